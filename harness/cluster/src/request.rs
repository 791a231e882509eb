//! The one choke point: every request is built, sent, counted, timed and, where [`Repeat`] allows it, sent again here.
//!
//! Invariant: nothing is sent uncounted, and nothing is sent again silently.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::discovery::Kind;
use crate::error::{Access, ApiError, ErrorClass};
use crate::notice::Notice;
use crate::repeat::{Failure, Reached, Repeat};

/// How long a request is sent again without a deadline of the caller's.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one answer to a read may take before it is asked again: a connection may be dead without a sign.
const READ_ATTEMPT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) verb: &'static str,
    /// The object or path.
    pub(crate) what: String,
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: String,
    pub(crate) accept: Option<&'static str>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    pub(crate) repeat: Repeat,
    pub(crate) access: Option<Access>,
    /// Whether the answer's head may take as long as it likes: a log that is followed has none before its first line.
    pub(crate) patient: bool,
    /// Whether it takes up one that broke off, and so counts as sent again.
    pub(crate) again: bool,
}

impl Call {
    pub(crate) fn read(verb: &'static str, what: impl Into<String>, path: String, repeat: Repeat) -> Self {
        Self {
            verb,
            what: what.into(),
            method: Method::GET,
            path,
            accept: None,
            content_type: None,
            body: Bytes::new(),
            repeat,
            access: None,
            patient: false,
            again: false,
        }
    }

    pub(crate) fn write(
        verb: &'static str,
        what: impl Into<String>,
        method: Method,
        path: String,
        (content_type, body): (&'static str, Bytes),
        repeat: Repeat,
    ) -> Self {
        Self {
            method,
            content_type: Some(content_type),
            body,
            ..Self::read(verb, what, path, repeat)
        }
    }

    /// Says what the role must allow, for the error of a 403.
    pub(crate) fn access(
        mut self,
        verb: &str,
        kind: &Kind,
        subresource: Option<&str>,
        namespace: Option<&str>,
    ) -> Self {
        self.access = Some(Access {
            verb: verb.to_owned(),
            group: kind.group.clone(),
            resource: match subresource {
                Some(subresource) => format!("{}/{subresource}", kind.plural),
                None => kind.plural.clone(),
            },
            namespace: namespace.filter(|_| kind.namespaced).map(str::to_owned),
        });
        self
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.verb, self.what)
    }

    pub(crate) fn error(&self, class: ErrorClass, message: impl Into<String>) -> ApiError {
        ApiError::new(self.verb, self.what.clone(), class, message)
    }

    fn request(&self, plain: bool) -> Result<Request<Body>, ApiError> {
        let mut builder = Request::builder().method(self.method.clone()).uri(&self.path);
        if let Some(accept) = self.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(content_type) = self.content_type {
            builder = builder.header(CONTENT_TYPE, content_type);
        }
        if plain {
            // A compressed stream is held back until the compressor has a block.
            builder = builder.header(ACCEPT_ENCODING, "identity");
        }
        builder
            .body(Body::from(self.body.clone()))
            .map_err(|error| self.error(ErrorClass::Invalid, error.to_string()))
    }
}

/// A path with its query.
pub(crate) fn with_query<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (key, value) in query {
        text.append_pair(key, &value);
    }
    match text.finish().as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A name as it may stand in a path: what Kubernetes allows as a path segment.
pub(crate) fn segment<'a>(verb: &'static str, what: &str, name: &'a str) -> Result<&'a str, ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~@+".contains(c);
    if name.is_empty() || name == "." || name == ".." || !name.chars().all(allowed) {
        return Err(ApiError::new(
            verb,
            what,
            ErrorClass::Invalid,
            format!("{name:?} can't be the name of an object or a namespace"),
        ));
    }
    Ok(name)
}

/// A complete answer with a status below 400.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// Whether an earlier try may have been carried out.
    pub(crate) uncertain: bool,
}

/// What a sequence of tries gave: the value, and whether an earlier try may have been carried out.
pub(crate) struct Tried<T> {
    pub(crate) value: T,
    pub(crate) uncertain: bool,
}

/// An error after the last try, and whether an earlier or the last one may have been carried out.
pub(crate) struct GaveUp {
    pub(crate) error: ApiError,
    pub(crate) uncertain: bool,
}

impl From<GaveUp> for ApiError {
    fn from(gave_up: GaveUp) -> Self {
        gave_up.error
    }
}

impl Cluster {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        Ok(self.send_or_give_up(call).await?)
    }

    /// As [`Cluster::send`], for callers that must know whether the request may have been carried out.
    pub(crate) async fn send_or_give_up(&self, call: &Call) -> Result<Answer, GaveUp> {
        let tried = self
            .attempts(call, |call| {
                Box::pin(async move {
                    let _slot = self.shared().gate.acquire().await;
                    let response = self.one(call, false).await?;
                    let status = response.status().as_u16();
                    let body = response
                        .into_body()
                        .collect()
                        .await
                        .map_err(|error| Failure::of(call, &error))?
                        .to_bytes();
                    Ok((status, body))
                })
            })
            .await?;
        let (status, body) = tried.value;
        Ok(Answer {
            status,
            body,
            uncertain: tried.uncertain,
        })
    }

    /// Sends a request and hands out the body as it comes.
    pub(crate) async fn open(&self, call: &Call) -> Result<Body, ApiError> {
        let tried = self
            .attempts(call, |call| {
                Box::pin(async move { Ok(self.one(call, true).await?.into_body()) })
            })
            .await?;
        Ok(tried.value)
    }

    /// One try: an answer with a status below 400, or a failure.
    async fn one(&self, call: &Call, plain: bool) -> Result<Response<Body>, Failure> {
        let request = call.request(plain).map_err(|error| Failure {
            error,
            reached: Reached::No,
            retry_after: None,
        })?;
        let response = self
            .shared()
            .client
            .send(request)
            .await
            .map_err(|error| Failure::of(call, &error))?;
        for warning in response.headers().get_all("warning") {
            if let Ok(text) = warning.to_str() {
                self.notice(&Notice::Warning {
                    what: call.title(),
                    text: warning_text(text),
                });
            }
        }
        let status = response.status();
        if status.as_u16() < 400 {
            return Ok(response);
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        // A body that breaks off still leaves the status.
        let body = response
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Err(Failure {
            error: ApiError::from_answer(
                call.verb,
                &call.what,
                status.as_u16(),
                &body,
                call.access.as_ref(),
            ),
            // A gateway's 5xx says nothing about what stands behind it.
            reached: if status.is_server_error() {
                Reached::Perhaps
            } else {
                Reached::Refused
            },
            retry_after,
        })
    }

    /// Tries until it works, the error is permanent, or the time is up.
    pub(crate) async fn attempts<'a, T>(
        &'a self,
        call: &'a Call,
        attempt: impl Fn(&'a Call) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<Tried<T>, GaveUp> {
        let began = Instant::now();
        let deadline = self.deadline().unwrap_or(began + PATIENCE);
        let mut pause = FIRST_PAUSE;
        let mut uncertain = false;
        let mut count = 0;
        if deadline <= began {
            return Err(GaveUp {
                error: call.error(ErrorClass::Timeout, "no time was left to send it"),
                uncertain,
            });
        }
        loop {
            count += 1;
            self.count(call.again || count > 1);
            let sent = Instant::now();
            let outcome = if call.patient {
                attempt(call).await
            } else {
                let limit = match call.repeat {
                    Repeat::Read => deadline.min(sent + READ_ATTEMPT),
                    _ => deadline,
                };
                match tokio::time::timeout_at(limit, attempt(call)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Failure::timeout(call, sent.elapsed())),
                }
            };
            let failure = match outcome {
                Ok(value) => return Ok(Tried { value, uncertain }),
                Err(failure) => failure,
            };
            uncertain |= failure.reached == Reached::Perhaps;
            let wait = match failure.retry_after {
                Some(server) => server.max(pause),
                None => pause,
            };
            if !call.repeat.allows(&failure) || Instant::now() + wait >= deadline {
                return Err(GaveUp {
                    error: failure.error.attempts(count),
                    uncertain,
                });
            }
            self.notice(&Notice::Retried {
                what: call.title(),
                reason: failure.error.message.clone(),
                attempts: count,
            });
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The text of a Warning header: `299 - "text"` (RFC 7234, section 5.5, as the API server sends it).
fn warning_text(header: &str) -> String {
    let text = header.splitn(3, ' ').nth(2).unwrap_or(header);
    text.trim_matches('"').replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        let query = [
            ("fieldSelector", "metadata.name=a".to_owned()),
            ("labelSelector", "a/b=c".to_owned()),
        ];
        assert_eq!(
            with_query("/api/v1/pods", query),
            "/api/v1/pods?fieldSelector=metadata.name%3Da&labelSelector=a%2Fb%3Dc"
        );
        assert_eq!(with_query("/readyz", []), "/readyz");
    }

    #[test]
    fn a_name_can_not_lead_to_another_path() {
        for good in ["web", "system:node:a", "a.b-c", "1.2.3.4"] {
            assert!(segment("get", "x", good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a?b", "a b", "a%2fb", "ä"] {
            let error = segment("get", "pod/x", bad).unwrap_err();
            assert_eq!(error.class, ErrorClass::Invalid);
        }
    }

    #[test]
    fn a_warning_header_is_read() {
        assert_eq!(
            warning_text(r#"299 - "batch/v1beta1 CronJob is deprecated""#),
            "batch/v1beta1 CronJob is deprecated"
        );
    }
}
