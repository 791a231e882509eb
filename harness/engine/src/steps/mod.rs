//! Actions at run time: one file per action.
//!
//! Invariant: what an action is about to change is in the undo log before its request is sent.

mod apply;
mod delete;
mod exec;
pub(crate) mod fails;
mod patch;
mod pause;
mod restart;
mod revert;
mod scale;
mod script;
mod target;

use muster_scenario::ast::{Action, ActionKind};

use crate::context::StepContext;
use crate::expect::describe;
use crate::failure::ActionError;
use crate::mark::Effects;

/// Does an action.
pub(crate) async fn act(step: &StepContext, action: &Action) -> Result<Effects, ActionError> {
    let place = &action.place;
    match &action.kind {
        ActionKind::Apply(apply) => apply::run(step, apply, place).await,
        ActionKind::Patch(patch) => patch::run(step, patch).await,
        ActionKind::Delete(delete) => delete::run(step, delete).await,
        ActionKind::Scale(scale) => scale::run(step, scale).await,
        ActionKind::Restart(restart) => restart::run(step, restart).await,
        ActionKind::Exec(exec) => exec::run(step, exec).await,
        ActionKind::Script(script) => script::run(step, script, place).await,
        ActionKind::Pause(pause) => pause::run(step, pause).await,
        ActionKind::RevertAll => revert::run(step).await,
    }
}

/// An action in a few words, before anything is resolved.
pub(crate) fn summary(action: &Action) -> String {
    match &action.kind {
        ActionKind::Apply(apply) => match (apply.files.len(), apply.objects.len()) {
            (0, objects) => format!("apply {}", inline(objects)),
            (_, 0) => {
                let files: Vec<_> = apply
                    .files
                    .iter()
                    .map(|file| file.literal().map_or(file.place().text(), |f| f))
                    .collect();
                format!("apply {}", files.join(", "))
            }
            (1, objects) => format!("apply 1 file and {}", inline(objects)),
            (files, objects) => format!("apply {files} files and {}", inline(objects)),
        },
        ActionKind::Patch(patch) => format!("patch {}", describe(&patch.target)),
        ActionKind::Delete(delete) => format!("delete {}", describe(&delete.target)),
        ActionKind::Scale(scale) => format!("scale {}", describe(&scale.target)),
        ActionKind::Restart(restart) => format!("restart {}", describe(&restart.target)),
        ActionKind::Exec(exec) => format!("exec in {}", describe(&exec.target)),
        ActionKind::Script(_) => "script".to_owned(),
        ActionKind::Pause(pause) => format!("pause: {}", pause.because),
        ActionKind::RevertAll => "revert all".to_owned(),
    }
}

fn inline(objects: usize) -> String {
    if objects == 1 {
        "1 inline object".to_owned()
    } else {
        format!("{objects} inline objects")
    }
}
