//! Notices: what a reader of the run should know though nothing failed.
//!
//! Invariant: a notice is readable alone; a request that is sent again is never silent.

use std::fmt;
use std::sync::Arc;

/// Receives notices as they happen. Called on the task that sends the request: it must not block.
pub type NoticeSink = Arc<dyn Fn(&Notice) + Send + Sync>;

/// Something that happened between muster and the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A request failed in a way that may pass and is sent again.
    Retried {
        /// Such as `list pods in namespace db`.
        what: String,
        /// Why, such as `connection refused`.
        reason: String,
        /// How many times it has been sent so far, at least 1.
        attempts: u32,
    },
    /// The role does not allow to watch: the objects are read again and again instead, and states in between are
    /// not seen.
    Polling {
        /// Such as `watch pods in namespace db`.
        what: String,
        /// Why.
        reason: String,
    },
    /// The API server answered with a warning, such as a deprecated version.
    Warning {
        /// The request that it answers.
        what: String,
        /// The server's text.
        text: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Retried {
                what,
                reason,
                attempts,
            } => write!(f, "{what}: {reason}, sent again ({})", attempts + 1),
            Notice::Polling { what, reason } => {
                write!(
                    f,
                    "{what}: {reason}; reading every 0.5 to 5 s instead, so states in between are not seen"
                )
            }
            Notice::Warning { what, text } => write!(f, "{what}: the API server warns: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_says_what_why_and_how_often() {
        let notice = Notice::Retried {
            what: "list pods in namespace db".into(),
            reason: "connection lost".into(),
            attempts: 1,
        };
        assert_eq!(
            notice.to_string(),
            "list pods in namespace db: connection lost, sent again (2)"
        );
    }
}
