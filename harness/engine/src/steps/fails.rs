//! `fails`: an action or a query must fail, and in this way.
//!
//! Invariant: succeeding, or failing otherwise, is never taken for the wanted failure; a command that could not be
//! started (126, 127) satisfies no negated `code`.

use muster_model::Mismatch;
use muster_scenario::ast::Fails;
use muster_scenario::matching::{Outcome, Pattern};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::failure::{FailureFacts, Trouble};

/// The differences between the wanted failure and what happened; empty if it is the wanted one.
pub(crate) fn compare(
    step: &StepContext,
    wanted: &Fails,
    facts: &FailureFacts,
) -> Result<Vec<Mismatch>, Trouble> {
    let text = |value: &Option<String>| value.as_ref().map_or(Value::Null, |text| json!(text));
    let number = |value: Option<i64>| value.map_or(Value::Null, |number| json!(number));
    let checks: [(&str, Option<&Pattern>, Value); 8] = [
        ("reason", wanted.reason.as_ref(), text(&facts.reason)),
        ("status", wanted.status.as_ref(), number(facts.status)),
        ("message", wanted.message.as_ref(), text(&facts.message)),
        ("code", wanted.code.as_ref(), number(facts.code)),
        ("stdout", wanted.stdout.as_ref(), text(&facts.stdout)),
        ("stderr", wanted.stderr.as_ref(), text(&facts.stderr)),
        ("sqlstate", wanted.sqlstate.as_ref(), text(&facts.sqlstate)),
        ("kind", wanted.kind.as_ref(), text(&facts.kind)),
    ];
    let mut all = Vec::new();
    for (name, pattern, value) in checks {
        let Some(pattern) = pattern else { continue };
        let bound = pattern
            .bind(&step.names())
            .map_err(|error| Trouble::from_eval(&error))?;
        if value.is_null() {
            all.push(Mismatch::new(name, bound.summary(), "nothing of the kind"));
            continue;
        }
        if name == "code" && bound.is_negative() && matches!(facts.code, Some(126 | 127)) {
            all.push(
                Mismatch::new(name, bound.summary(), value.to_string())
                    .hint("the command could not be started, which proves nothing"),
            );
            continue;
        }
        match bound.check(&value) {
            Outcome::Holds => {}
            Outcome::Differs(mismatches) | Outcome::Invalid(mismatches) => {
                all.extend(mismatches.into_iter().map(|m| {
                    let path = if m.path.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{name}.{}", m.path)
                    };
                    Mismatch { path, ..m }
                }));
            }
        }
    }
    Ok(all)
}
