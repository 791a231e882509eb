//! `pause`: a fixed wait, with its reason.
//!
//! Invariant: it ends early only when the run is interrupted or the step's time is up.

use muster_scenario::ast::Pause;

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::wait::human;

/// Pauses.
pub(crate) async fn run(step: &StepContext, pause: &Pause) -> Result<Effects, ActionError> {
    let duration = step.value(&pause.duration)?;
    if duration > step.remaining() {
        let place = pause.duration.place();
        return Err(Trouble::failed(
            format!(
                "a pause of {} does not fit into the {} left for the step",
                human(duration),
                human(step.remaining())
            ),
            place,
        )
        .into());
    }
    tokio::select! {
        () = step.ctx.interrupted() => Err(Trouble::Interrupted.into()),
        () = tokio::time::sleep(duration) => Ok(Effects {
            summary: format!("paused {}: {}", human(duration), pause.because),
            ..Effects::default()
        }),
    }
}
