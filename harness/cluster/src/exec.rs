//! Running a command in a container.
//!
//! Invariant: a command that ran has an exit code, whatever it is; only what kept it from running is an error.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::cluster::Cluster;
use crate::error::ApiError;
use crate::logs::pods;
use crate::repeat::{Failure, Repeat};
use crate::request::{Call, segment};
use crate::transport::text_of;

/// What a command printed, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// The exit code.
    pub code: i32,
}

/// Why a command did not run, or its end is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// The request failed: no such pod, forbidden, the connection was refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The container can't run it: no such command, or the container does not run.
    #[error("exec {what}: {message}")]
    NotRun {
        /// The pod and container.
        what: String,
        /// The runtime's text.
        message: String,
    },
    /// The connection was lost: the command may go on, or have ended.
    #[error("exec {what}: the connection was lost before the command ended: {message}")]
    Lost {
        /// The pod and container.
        what: String,
        /// What happened.
        message: String,
    },
}

impl Cluster {
    /// Runs a command in a container without standard input and waits for its end. `container: None` is enough
    /// for a pod with one. The cluster's deadline holds for the
    /// start only: how long the command may run is the caller's business, who drops the future.
    ///
    /// # Errors
    /// [`ExecError`]; an exit code other than 0 is none.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
        command: &[String],
    ) -> Result<ExecOutput, ExecError> {
        let at = match container {
            Some(container) => format!(" container {container}"),
            None => String::new(),
        };
        let what = format!("pod/{pod}{at} in namespace {namespace}");
        segment("exec", &what, namespace)?;
        segment("exec", &what, pod)?;
        let call = Call::read("exec", what.clone(), String::new(), Repeat::Once).access(
            "create",
            &pods(),
            Some("exec"),
            Some(namespace),
        );
        let api: Api<Pod> = Api::namespaced(self.shared().client.clone(), namespace);
        let tried = self
            .attempts(&call, |call| {
                let (api, pod, command) = (api.clone(), pod.to_owned(), command.to_vec());
                let params = AttachParams {
                    container: container.map(str::to_owned),
                    stdin: false,
                    stdout: true,
                    stderr: true,
                    ..AttachParams::default()
                };
                Box::pin(async move {
                    api.exec(&pod, command, &params)
                        .await
                        .map_err(|error| Failure::of(call, &error))
                })
            })
            .await
            .map_err(ApiError::from)?;
        finish(tried.value, what).await
    }
}

async fn finish(mut process: AttachedProcess, what: String) -> Result<ExecOutput, ExecError> {
    let status = process.take_status();
    let (out, err) = (process.stdout(), process.stderr());
    let lost = |message: String| ExecError::Lost {
        what: what.clone(),
        message,
    };
    // All at once: an output that nobody reads would block the other.
    let (stdout, stderr, status) = tokio::join!(read(out), read(err), async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    });
    let (stdout, stderr) = (
        stdout.map_err(|e| lost(e.to_string()))?,
        stderr.map_err(|e| lost(e.to_string()))?,
    );
    let Some(status) = status else {
        return Err(lost(match process.join().await {
            Ok(()) => "the server closed it".to_owned(),
            Err(error) => text_of(&error),
        }));
    };
    let code = if status.status.as_deref() == Some("Success") {
        Some(0)
    } else {
        // As kubectl reads it (k8s.io/client-go/tools/remotecommand, errorDecoderV4).
        status
            .details
            .iter()
            .flat_map(|details| details.causes.iter().flatten())
            .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
            .and_then(|cause| cause.message.as_ref()?.parse().ok())
    };
    match code {
        Some(code) => Ok(ExecOutput { stdout, stderr, code }),
        None => Err(ExecError::NotRun {
            what,
            message: status
                .message
                .or(status.reason)
                .unwrap_or_else(|| "the runtime gave no reason".to_owned()),
        }),
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut all).await?;
    }
    Ok(all)
}
