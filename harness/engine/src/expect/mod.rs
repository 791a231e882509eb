//! Expectations at run time: one file per subject.
//!
//! Invariant: an observer only looks; it never changes anything in the cluster.

mod crash;
mod line;
mod log;
mod object;
mod pod_set;
pub(crate) mod readiness;
mod ready;
mod sql;
mod tracked;
pub(crate) mod watched;

use std::sync::Arc;

use muster_model::Mismatch;
use muster_scenario::ast::{Expectation, Subject};
use muster_scenario::expr::EvalError;
use muster_scenario::matching::{Outcome, Pattern};
use serde_json::Value;

use crate::context::StepContext;
use crate::failure::Trouble;
use crate::mark::Effects;
use crate::wait::Observe;

/// Makes the observer of an expectation. Its templates are filled in now.
pub(crate) fn observer(
    step: &Arc<StepContext>,
    expectation: &Expectation,
    effects: &Arc<Effects>,
) -> Result<Box<dyn Observe>, Trouble> {
    let namespace = step.namespace_of(expectation.namespace.as_ref())?;
    Ok(match &expectation.subject {
        Subject::Object(subject) => Box::new(object::ObjectObserver::new(
            step,
            subject,
            namespace,
            expectation.any,
            effects,
        )?),
        Subject::Ready(subject) => Box::new(ready::ReadyObserver::new(
            step,
            subject,
            namespace,
            expectation.any,
            effects,
        )?),
        Subject::Crash(subject) => Box::new(crash::CrashObserver::new(
            step,
            subject,
            namespace,
            (expectation.any, expectation.never.is_some()),
            effects,
        )?),
        Subject::Log(subject) => Box::new(log::LogObserver::new(
            step,
            subject,
            namespace,
            expectation.never.is_some(),
            effects,
        )?),
        Subject::Sql(subject) => {
            let every = step.optional(expectation.every.as_ref())?;
            Box::new(sql::SqlObserver::new(step, subject, every, effects)?)
        }
    })
}

/// Whether an expectation can be observed before its step's action: what asks a database or reads lines since the mark
/// can't hold then.
pub(crate) fn has_before(expectation: &Expectation) -> bool {
    matches!(expectation.subject, Subject::Object(_) | Subject::Ready(_))
}

/// Compares a value with a pattern that may be missing; true without one.
pub(crate) fn matches_optional(pattern: Option<&muster_scenario::matching::Bound>, value: &Value) -> bool {
    pattern.is_none_or(|pattern| matches!(pattern.check(value), Outcome::Holds))
}

/// Binds a pattern that may be missing.
pub(crate) fn bind_optional(
    step: &StepContext,
    pattern: Option<&Pattern>,
) -> Result<Option<muster_scenario::matching::Bound>, Trouble> {
    pattern
        .map(|pattern| pattern.bind(&step.names()))
        .transpose()
        .map_err(|error: EvalError| Trouble::from_eval(&error))
}

pub(crate) use watched::describe;

/// The differences of a part, with its name before their paths.
pub(crate) fn prefixed(path: &str, mismatches: Vec<Mismatch>) -> Vec<Mismatch> {
    mismatches
        .into_iter()
        .map(|m| Mismatch {
            path: format!("{path}{}", m.path),
            ..m
        })
        .collect()
}
