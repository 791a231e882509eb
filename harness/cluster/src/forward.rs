//! Port-forwarding: a byte stream to a port of a pod.
//!
//! Invariant: one port per upgrade; the end of the stream tells a clean end from a failure; it is never half-closed,
//! since kube's forwarder drops what the pod still sends after that.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::cluster::Cluster;
use crate::error::{ApiError, ErrorClass};
use crate::logs::pods;
use crate::repeat::{Failure, Repeat};
use crate::request::{Call, segment};
use crate::transport::text_of;

/// Why there is no stream. What goes wrong later comes from the stream as an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The request failed: no such pod, forbidden, the pod does not run.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// A byte stream to a port of a pod. The port is dialled only by the kubelet, so a port where nothing listens shows
/// as an [`io::ErrorKind::ConnectionRefused`] on the first read. Dropping it closes it; shutting down its writing side
/// only flushes.
pub struct Forward {
    stream: DuplexStream,
    /// Mutexes only since these futures can't be shared between threads: they are never locked.
    error: Mutex<Option<BoxFuture<'static, Option<String>>>>,
    task: Mutex<Option<BoxFuture<'static, Option<String>>>>,
    what: String,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Opens a stream to a port of a pod. One upgrade request.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub async fn forward(&self, namespace: &str, pod: &str, port: u16) -> Result<Forward, ForwardError> {
        let what = format!("port {port} of pod/{pod} in namespace {namespace}");
        segment("forward", &what, namespace)?;
        segment("forward", &what, pod)?;
        let call = Call::read("forward", what.clone(), String::new(), Repeat::Once).access(
            "create",
            &pods(),
            Some("portforward"),
            Some(namespace),
        );
        let api: Api<Pod> = Api::namespaced(self.shared().client.clone(), namespace);
        let tried = self
            .attempts(&call, |call| {
                let (api, pod) = (api.clone(), pod.to_owned());
                Box::pin(async move {
                    api.portforward(&pod, &[port])
                        .await
                        .map_err(|error| Failure::of(call, &error))
                })
            })
            .await
            .map_err(ApiError::from)?;
        let mut forwarder = tried.value;
        let (Some(stream), Some(error)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
            let message = "the forwarder gave no stream";
            return Err(ApiError::new("forward", what, ErrorClass::Decode, message).into());
        };
        Ok(Forward {
            stream,
            error: Mutex::new(Some(Box::pin(error))),
            task: Mutex::new(Some(Box::pin(async move {
                forwarder.join().await.err().map(|error| text_of(&error))
            }))),
            what,
        })
    }
}

impl Forward {
    /// What the pod's side or the connection had to say, if it said anything yet.
    fn failure(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let said = poll(&mut self.error, context);
        if let Some(Some(text)) = said {
            let text = text.trim();
            let kind = match text {
                text if text.contains("onnection refused") => io::ErrorKind::ConnectionRefused,
                _ => io::ErrorKind::ConnectionAborted,
            };
            return Some(io::Error::new(kind, format!("forward {}: {text}", self.what)));
        }
        if let Some(Some(text)) = poll(&mut self.task, context) {
            return Some(io::Error::new(
                io::ErrorKind::ConnectionReset,
                format!(
                    "forward {}: the connection to the API server was lost: {text}",
                    self.what
                ),
            ));
        }
        None
    }
}

/// Polls a future that is done once.
fn poll(
    slot: &mut Mutex<Option<BoxFuture<'static, Option<String>>>>,
    context: &mut Context<'_>,
) -> Option<Option<String>> {
    let slot = match slot.get_mut() {
        Ok(slot) => slot,
        Err(poisoned) => poisoned.into_inner(),
    };
    match slot.as_mut()?.as_mut().poll(context) {
        Poll::Ready(result) => {
            *slot = None;
            Some(result)
        }
        Poll::Pending => None,
    }
}

impl AsyncRead for Forward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() > before || buffer.remaining() == 0 => {
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => match self.failure(context) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Ready(Ok(())),
            },
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match self.failure(context) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Forward {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(context, bytes)) {
            Ok(count) => Poll::Ready(Ok(count)),
            // The other end is gone: say why, if that is known.
            Err(error) => Poll::Ready(Err(self.failure(context).unwrap_or(error))),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
