//! `revert: all`: puts back now what would be put back at the end.
//!
//! Invariant: what is put back here is not touched again by clean-up; what the scenario created stays until then.

use crate::context::StepContext;
use crate::failure::{self, ActionError, Trouble};
use crate::mark::Effects;

/// Puts everything back.
pub(crate) async fn run(step: &StepContext) -> Result<Effects, ActionError> {
    let mut effects = Effects::default();
    let restored = step.ctx.undo.restore_all(&step.cluster, step.deadline).await;
    let mut names = Vec::new();
    let mut failed = Vec::new();
    for deed in restored {
        match deed {
            Ok(restored) => {
                names.push(restored.reference.to_string());
                if let Some(object) = &restored.object {
                    step.wrote(&mut effects, object);
                }
                step.ctx.emit(restored.into_event());
            }
            Err(undo) => failed.push(undo),
        }
    }
    let mut failed = failed.into_iter();
    if let Some(first) = failed.next() {
        let message = format!(
            "could not put back {}: {}",
            first.reference.with_namespace(),
            first.message
        );
        let mut failure = failure::at(message, &step.ctx.scenario.place);
        failure.causes = failed
            .map(|other| format!("{}: {}", other.reference.with_namespace(), other.message))
            .collect();
        return Err(Trouble::Failed(failure).into());
    }
    effects.idle = effects.written.is_empty();
    effects.summary = if names.is_empty() {
        "nothing to put back".to_owned()
    } else {
        format!("put back {}", names.join(", "))
    };
    Ok(effects)
}
