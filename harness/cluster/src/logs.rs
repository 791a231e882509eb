//! Logs of containers, line by line with the node's time.
//!
//! Invariant: a line carries the time at which the node took it, to the nanosecond; no line is dropped here.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::discovery::Kind;
use crate::error::{ApiError, ErrorClass};
use crate::lines::Lines;
use crate::repeat::{Failure, Repeat};
use crate::request::{Call, segment, with_query};

/// Which log is read, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; `None` if the pod has only one.
    pub container: Option<String>,
    /// The log of the container's former run.
    pub previous: bool,
    /// Whether to wait for more until the container ends.
    pub follow: bool,
    /// How many lines from the end; `None`: all.
    pub tail: Option<i64>,
    /// From this time on. The server knows whole seconds only: it is cut down to one, so up to a second of older lines
    /// may come too.
    pub since_time: Option<Timestamp>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the node took it.
    pub time: Timestamp,
    /// The line without its line feed. Bytes that are no UTF-8 are replaced by U+FFFD.
    pub text: String,
}

/// A log as it comes. Made by [`Cluster::logs`].
pub struct LogStream {
    call: Call,
    /// A mutex only since bodies can't be shared between threads: it is never locked.
    source: Mutex<Source>,
}

enum Source {
    Opening(Pin<Box<dyn Future<Output = Result<Lines, ApiError>> + Send>>),
    Open(Lines),
    Ended,
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream")
            .field("what", &self.call.what)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Opens a log. With `follow` the server answers only when there is a first line, so errors of opening may come
    /// from the first [`LogStream::next`].
    ///
    /// # Errors
    /// [`ApiError`]; one whose [`ApiError::is_waiting_to_start`] holds if the container does not run yet.
    pub async fn logs(&self, query: LogQuery) -> Result<LogStream, ApiError> {
        let call = call(&query)?;
        let (cluster, sent) = (self.clone(), call.clone());
        let mut opening: Pin<Box<dyn Future<Output = Result<Lines, ApiError>> + Send>> =
            Box::pin(async move { cluster.open(&sent).await.map(Lines::new) });
        let source = if query.follow {
            // Sends it, and sees whether the answer is here already.
            match poll_fn(|context| std::task::Poll::Ready(opening.as_mut().poll(context))).await {
                std::task::Poll::Ready(lines) => Source::Open(lines?),
                std::task::Poll::Pending => Source::Opening(opening),
            }
        } else {
            Source::Open(opening.await?)
        };
        Ok(LogStream {
            call,
            source: Mutex::new(source),
        })
    }
}

fn call(query: &LogQuery) -> Result<Call, ApiError> {
    let container = match &query.container {
        Some(container) => format!(" container {container}"),
        None => String::new(),
    };
    let what = format!("pod/{}{container} in namespace {}", query.pod, query.namespace);
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/log",
        segment("logs", &what, &query.namespace)?,
        segment("logs", &what, &query.pod)?
    );
    let mut parameters = vec![("timestamps", "true".to_owned())];
    if let Some(container) = &query.container {
        parameters.push(("container", container.clone()));
    }
    if query.previous {
        parameters.push(("previous", "true".to_owned()));
    }
    if query.follow {
        parameters.push(("follow", "true".to_owned()));
    }
    if let Some(tail) = query.tail {
        parameters.push(("tailLines", tail.to_string()));
    }
    if let Some(time) = query.since_time {
        parameters.push(("sinceTime", floor_to_second(time).to_string()));
    }
    let mut call = Call::read("logs", what, with_query(&path, parameters), Repeat::Read).access(
        "get",
        &pods(),
        Some("log"),
        Some(&query.namespace),
    );
    call.patient = query.follow;
    Ok(call)
}

/// Cut, never rounded up: a line of the same second must not be missed.
fn floor_to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(time)
}

/// The kind that `exec`, `logs` and `forward` are about.
pub(crate) fn pods() -> Kind {
    Kind {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
        singular: "pod".to_owned(),
        short_names: Vec::new(),
        namespaced: true,
        verbs: Vec::new(),
        subresources: Vec::new(),
    }
}

impl LogStream {
    /// The next line; `None` at the end of the log, with `follow` when the container has ended. Cancel-safe.
    ///
    /// # Errors
    /// [`ApiError`]: `Connection` if the connection broke, `Server` if the kubelet says in the stream that it can't read
    /// the log.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ApiError> {
        let source = match self.source.get_mut() {
            Ok(source) => source,
            Err(poisoned) => poisoned.into_inner(),
        };
        loop {
            match source {
                Source::Opening(opening) => {
                    let opened = opening.await;
                    *source = Source::Ended;
                    *source = Source::Open(opened?);
                }
                Source::Open(lines) => match lines.next().await {
                    Ok(Some(line)) => {
                        return match parse(&line) {
                            Some(line) => Ok(Some(line)),
                            None => Err(ApiError::new(
                                "logs",
                                self.call.what.clone(),
                                ErrorClass::Server,
                                String::from_utf8_lossy(&line).into_owned(),
                            )),
                        };
                    }
                    Ok(None) => *source = Source::Ended,
                    Err(error) => {
                        *source = Source::Ended;
                        return Err(Failure::of(&self.call, &error).error);
                    }
                },
                Source::Ended => return Ok(None),
            }
        }
    }
}

/// `2026-01-02T03:04:05.678901234Z text`. `None` for what the kubelet itself has to say: it has no time.
fn parse(line: &[u8]) -> Option<LogLine> {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let time = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
    let text = line.get(end + 1..).unwrap_or_default();
    Some(LogLine {
        time,
        text: String::from_utf8_lossy(text).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_line_has_the_nodes_time_to_the_nanosecond() {
        assert_eq!(
            parse(b"2026-01-02T03:04:05.678901234Z hello  world"),
            Some(LogLine {
                time: at("2026-01-02T03:04:05.678901234Z"),
                text: "hello  world".into()
            })
        );
        let zone = parse(b"2026-01-02T04:04:05.5+01:00 x").unwrap();
        assert_eq!(zone.time, at("2026-01-02T03:04:05.5Z"));
    }

    #[test]
    fn an_empty_line_and_bytes_that_are_no_text_are_lines_too() {
        assert_eq!(parse(b"2026-01-02T03:04:05Z ").unwrap().text, "");
        assert_eq!(parse(b"2026-01-02T03:04:05Z").unwrap().text, "");
        assert_eq!(parse(b"2026-01-02T03:04:05Z a\xffb").unwrap().text, "a\u{fffd}b");
    }

    #[test]
    fn what_the_kubelet_says_itself_is_no_line() {
        assert_eq!(
            parse(b"unable to retrieve container logs for containerd://abc"),
            None
        );
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn the_since_time_is_cut_and_not_rounded() {
        let query = LogQuery {
            namespace: "db".into(),
            pod: "pg".into(),
            container: Some("main".into()),
            follow: true,
            tail: Some(1),
            since_time: Some(at("2026-01-02T03:04:05.999Z")),
            ..LogQuery::default()
        };
        let call = call(&query).unwrap();
        assert_eq!(
            call.path,
            "/api/v1/namespaces/db/pods/pg/log?timestamps=true&container=main&follow=true&tailLines=1&sinceTime=2026-01-02T03%3A04%3A05Z"
        );
        assert!(call.patient);
        assert_eq!(
            floor_to_second(at("1969-12-31T23:59:58.5Z")),
            at("1969-12-31T23:59:58Z")
        );
    }
}
