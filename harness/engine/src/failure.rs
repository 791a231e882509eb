//! Failures: an error of an action or an expectation with everything that explains it.
//!
//! Invariant: a failure names what was expected, where it is written, and what to do or look at next.

use muster_cluster::{ApiError, ErrorClass};
use muster_model::event::Failure;
use muster_model::{ObjectRef, Place};
use muster_scenario::expr::EvalError;

/// How something in a scenario went wrong.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// The scenario fails: the verdict is about what is tested.
    Failed(Box<Failure>),
    /// The cluster or the environment failed: nothing can be said.
    Environment(Box<Failure>),
    /// The user stopped the run.
    Interrupted,
}

/// What an action's or a query's failure looks like to `fails`.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailureFacts {
    /// API reason, such as `Forbidden`.
    pub(crate) reason: Option<String>,
    /// HTTP status.
    pub(crate) status: Option<i64>,
    /// The message.
    pub(crate) message: Option<String>,
    /// Exit code.
    pub(crate) code: Option<i64>,
    /// Standard output.
    pub(crate) stdout: Option<String>,
    /// Standard error.
    pub(crate) stderr: Option<String>,
    /// SQLSTATE.
    pub(crate) sqlstate: Option<String>,
    /// Connection failure kind.
    pub(crate) kind: Option<String>,
}

/// An action's failure: what `fails` compares, and what is reported without it.
#[derive(Debug, Clone)]
pub(crate) struct ActionError {
    /// What is compared.
    pub(crate) facts: Box<FailureFacts>,
    /// What is reported.
    pub(crate) trouble: Trouble,
}

impl From<Trouble> for ActionError {
    fn from(trouble: Trouble) -> Self {
        Self {
            facts: Box::default(),
            trouble,
        }
    }
}

/// A failure with a message at a place.
pub(crate) fn at(message: impl Into<String>, place: &Place) -> Box<Failure> {
    Box::new(Failure {
        message: message.into(),
        place: Some(place.to_ref()),
        source: source_line(place),
        ..Failure::default()
    })
}

/// The source line of a place, without its line break.
pub(crate) fn source_line(place: &Place) -> String {
    let (line, _) = place.line_column();
    place
        .file
        .text()
        .lines()
        .nth(line - 1)
        .unwrap_or_default()
        .to_owned()
}

impl Trouble {
    /// A failure of the scenario.
    pub(crate) fn failed(message: impl Into<String>, place: &Place) -> Self {
        Self::Failed(at(message, place))
    }

    /// Adds a remedy.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Self::Failed(failure) | Self::Environment(failure) = &mut self {
            failure.help.push(help.into());
        }
        self
    }

    /// The failure, none when interrupted.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Environment(failure) => Some(failure),
            Self::Interrupted => None,
        }
    }

    /// The failure itself.
    pub(crate) fn into_failure(self) -> Option<Box<Failure>> {
        match self {
            Self::Failed(failure) | Self::Environment(failure) => Some(failure),
            Self::Interrupted => None,
        }
    }

    /// From an expression that gave no value.
    pub(crate) fn from_eval(error: &EvalError) -> Self {
        Self::Failed(at(
            format!("the expression could not be evaluated: {}", error.message),
            &error.place,
        ))
    }

    /// From an API error: a cluster that is lost, unreachable or doesn't know who asks is the environment's failure, a
    /// refusal the scenario's.
    pub(crate) fn from_api(error: &ApiError, place: &Place) -> Self {
        let failure = at(error.to_string(), place);
        let stranger = matches!(error.class, ErrorClass::Unauthorized | ErrorClass::Tls);
        if stranger || error.is_transient() {
            Self::Environment(failure)
        } else {
            Self::Failed(failure)
        }
    }
}

impl ActionError {
    /// From an API error.
    pub(crate) fn from_api(error: &ApiError, place: &Place) -> Self {
        Self {
            facts: Box::new(FailureFacts {
                reason: Some(error.reason.clone()).filter(|reason| !reason.is_empty()),
                status: error.status.map(i64::from),
                message: Some(error.message.clone()),
                ..FailureFacts::default()
            }),
            trouble: Trouble::from_api(error, place),
        }
    }
}

/// A reference from its parts.
pub(crate) fn reference(kind: &muster_cluster::Kind, namespace: Option<&str>, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: kind.api_version.clone(),
        kind: kind.kind.clone(),
        namespace: if kind.namespaced {
            namespace.map(str::to_owned)
        } else {
            None
        },
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_scenarios_failure_and_an_unknown_user_or_lost_server_the_environments() {
        let place = Place::nowhere("scenario.yaml");
        let is_environment = |class| {
            let error = ApiError::new("get", "pod/a", class, "no");
            matches!(Trouble::from_api(&error, &place), Trouble::Environment(_))
        };
        for class in [
            ErrorClass::Unauthorized,
            ErrorClass::Tls,
            ErrorClass::Server,
            ErrorClass::Timeout,
            ErrorClass::Connection,
        ] {
            assert!(is_environment(class), "{class:?}");
        }
        for class in [
            ErrorClass::Forbidden,
            ErrorClass::NotFound,
            ErrorClass::Invalid,
            ErrorClass::Conflict,
        ] {
            assert!(!is_environment(class), "{class:?}");
        }
    }
}
