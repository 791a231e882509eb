//! `revert: all`: puts back now what would be put back at the end.
//!
//! Invariant: what is put back here is not touched again by clean-up; what the scenario created stays until then.

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;

/// Puts everything back.
pub(crate) async fn run(step: &StepContext) -> Result<Effects, ActionError> {
    let mut effects = Effects::default();
    let restored = step.ctx.undo.restore_all(&step.cluster).await;
    let mut names = Vec::new();
    for deed in restored {
        match deed {
            Ok(restored) => {
                names.push(restored.reference.to_string());
                if let Some(object) = &restored.object {
                    effects.wrote(object);
                }
                step.ctx.emit(restored.into_event());
            }
            Err(failed) => {
                let place = step.ctx.scenario.place.clone();
                return Err(Trouble::failed(
                    format!(
                        "could not put back {}: {}",
                        failed.reference.with_namespace(),
                        failed.message
                    ),
                    &place,
                )
                .into());
            }
        }
    }
    effects.summary = if names.is_empty() {
        "nothing to put back".to_owned()
    } else {
        format!("put back {}", names.join(", "))
    };
    Ok(effects)
}
