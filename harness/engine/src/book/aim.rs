//! What the book of a scenario is about: the targets of its `log` and `crash` expectations.
//!
//! Invariant: a target that isn't known yet is no error here; it is found at its expectation's turn.

use std::sync::Arc;

use muster_scenario::ast::{Expectation, Step, Subject, Target};

use crate::book::Track;
use crate::context::StepContext;
use crate::failure::Trouble;
use crate::pods::PodWatch;
use crate::target;

/// The tracks that the `log` and `crash` expectations of a step read; begun now if they are new. What can't be found
/// yet is found at the expectation's turn.
///
/// # Errors
/// The API server's, for another reason than an unknown kind.
pub(crate) async fn tracks_of(context: &StepContext, step: &Step) -> Result<Vec<Arc<Track>>, Trouble> {
    let mut tracks = Vec::new();
    for expectation in &step.expect {
        let mut subjects = vec![expectation];
        subjects.extend(expectation.fails_on.as_deref());
        for expectation in subjects {
            tracks.extend(track_of(context, step, expectation).await?);
        }
    }
    Ok(tracks)
}

async fn track_of(
    context: &StepContext,
    step: &Step,
    expectation: &Expectation,
) -> Result<Option<Arc<Track>>, Trouble> {
    let (target, container): (&Target, _) = match &expectation.subject {
        Subject::Log(log) => (&log.target, Some(log.container.as_ref())),
        Subject::Crash(crash) => (&crash.target, None),
        _ => return Ok(None),
    };
    let Ok(namespace) = context.namespace_of(expectation.namespace.as_ref().or(step.namespace.as_ref()))
    else {
        return Ok(None);
    };
    let found = match target::find(context, target, &namespace).await {
        Ok(found) => found,
        // A kind or a name that isn't known yet.
        Err(Trouble::Failed(_)) => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    if !PodWatch::can_own_pods(&found.kind) {
        return Ok(None);
    }
    let track = context.ctx.book.track(found);
    match container.map(|container| context.optional(container)) {
        Some(Ok(name)) => track.follow(name.as_deref()),
        Some(Err(_)) => return Ok(None),
        None => {}
    }
    Ok(Some(track))
}
