//! How a try may fail, and after which failures a request may be sent again.
//!
//! Invariant: what changes the cluster is sent again only if it surely was not carried out, or does no harm twice.

use std::time::Duration;

use kube::client::AuthError;

use crate::error::{ApiError, ErrorClass};
use crate::request::Call;
use crate::transport::{chain, text_of};

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// GET, LIST, WATCH: after any transient error.
    Read,
    /// Server-side apply, merge patch, DELETE with uid: after any transient error; the outcome is unknown then.
    Idempotent,
    /// POST: if it never reached the server, if the server refused it for now (429), and on 503 with
    /// Retry-After.
    Create,
    /// JSON patch, exec, DELETE without uid: if it never reached the server, and if the server refused it for
    /// now (429).
    Once,
    /// Not at all.
    Never,
}

/// How far a failed try got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// No connection was made: the server has not seen it.
    No,
    /// It may have been carried out.
    Perhaps,
    /// The server refused it.
    Refused,
}

/// A try that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ApiError,
    pub(crate) reached: Reached,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// From kube's error: no answer, or an answer to an upgrade.
    pub(crate) fn of(call: &Call, error: &kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            let answer = serde_json::to_value(status).unwrap_or_default();
            return Self {
                error: ApiError::from_status(call.verb, &call.what, None, &answer, call.access.as_ref()),
                reached: Reached::Refused,
                retry_after: None,
            };
        }
        let auth = chain(error).find_map(|e| e.downcast_ref::<AuthError>());
        if let Some(auth) = auth {
            return Self {
                error: call
                    .error(ErrorClass::Unauthorized, auth_text(auth, None))
                    .help("the kubeconfig's way to get credentials failed: log in again"),
                reached: Reached::No,
                retry_after: None,
            };
        }
        let refused = chain(error).any(|e| {
            e.downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect)
        });
        Self {
            error: ApiError::from_transport(call.verb, &call.what, error),
            reached: if refused { Reached::No } else { Reached::Perhaps },
            retry_after: None,
        }
    }

    pub(crate) fn timeout(call: &Call, after: Duration) -> Self {
        Self {
            error: call.error(
                ErrorClass::Timeout,
                format!("no answer within {:.1} s", after.as_secs_f64()),
            ),
            reached: Reached::Perhaps,
            retry_after: None,
        }
    }
}

impl Repeat {
    /// Whether a request may be sent again after this failure.
    pub(crate) fn allows(self, failure: &Failure) -> bool {
        let error = &failure.error;
        if !error.is_transient() {
            return false;
        }
        let unsent = failure.reached != Reached::Perhaps;
        match self {
            Repeat::Read | Repeat::Idempotent => error.status != Some(501),
            Repeat::Create => unsent || (error.status == Some(503) && failure.retry_after.is_some()),
            Repeat::Once => unsent,
            Repeat::Never => false,
        }
    }
}

/// Why there are no credentials. Of a plugin only its command and what it complains about: its arguments, variables and
/// output may hold secrets.
pub(crate) fn auth_text(error: &AuthError, plugin: Option<&str>) -> String {
    let plugin = plugin.map(|command| format!(" {command}")).unwrap_or_default();
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let complaint = String::from_utf8_lossy(&out.stderr);
            format!(
                "the credential plugin{plugin} failed with {}: {}",
                out.status,
                complaint.trim().lines().last().unwrap_or("it printed no reason")
            )
        }
        AuthError::AuthExecStart(source) => {
            format!("the credential plugin{plugin} can't be started: {source}: is it installed?")
        }
        other => text_of(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: Option<u16>, class: ErrorClass, reached: Reached, retry_after: bool) -> Failure {
        let call = Call::read("get", "x", "/x".into(), Repeat::Read);
        let error = match status {
            Some(status) => ApiError::from_answer("get", "x", status, b"", None),
            None => call.error(class, "m"),
        };
        assert_eq!(error.class, class);
        Failure {
            error,
            reached,
            retry_after: retry_after.then_some(Duration::from_secs(1)),
        }
    }

    #[test]
    fn a_request_is_sent_again_only_where_that_is_safe() {
        use ErrorClass::{Connection, Forbidden, Invalid, Server, Timeout, TooManyRequests};
        use Repeat::{Create, Idempotent, Never, Once, Read};
        let cases = [
            (
                None,
                Connection,
                Reached::No,
                false,
                vec![Read, Idempotent, Create, Once],
            ),
            (None, Connection, Reached::Perhaps, false, vec![Read, Idempotent]),
            (None, Timeout, Reached::Perhaps, false, vec![Read, Idempotent]),
            (
                Some(429),
                TooManyRequests,
                Reached::Refused,
                false,
                vec![Read, Idempotent, Create, Once],
            ),
            (Some(500), Server, Reached::Perhaps, false, vec![Read, Idempotent]),
            (Some(503), Server, Reached::Perhaps, false, vec![Read, Idempotent]),
            (
                Some(503),
                Server,
                Reached::Perhaps,
                true,
                vec![Read, Idempotent, Create],
            ),
            (Some(501), Server, Reached::Perhaps, false, vec![]),
            (Some(403), Forbidden, Reached::Refused, false, vec![]),
            (Some(422), Invalid, Reached::Refused, false, vec![]),
        ];
        for (status, class, reached, retry_after, allowed) in cases {
            for repeat in [Read, Idempotent, Create, Once, Never] {
                assert_eq!(
                    repeat.allows(&failure(status, class, reached, retry_after)),
                    allowed.contains(&repeat),
                    "{repeat:?} after {status:?} {class:?} {reached:?} retry-after {retry_after}"
                );
            }
        }
    }
}
