//! `scale`: the number of replicas, through the scale subresource.
//!
//! Invariant: the former number is in the undo log before the request is sent.

use muster_record::Deed;
use muster_scenario::ast::Scale;

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::target::named;
use crate::undo::Write;

/// Scales.
pub(crate) async fn run(step: &StepContext, scale: &Scale) -> Result<Effects, ActionError> {
    let place = &scale.target.place;
    let (found, name) = named(step, &scale.target).await?;
    let replicas = step.value(&scale.replicas)?;
    let replicas = u32::try_from(replicas).map_err(|_| {
        Trouble::failed(
            format!("replicas is {replicas}, and must be 0 or more"),
            scale.replicas.place(),
        )
    })?;
    let namespace = found.namespace.as_deref();
    let write = Write {
        deed: Deed::Scale,
        kind: &found.kind,
        namespace,
        name: &name,
        revert: &scale.revert,
        place,
    };
    let written = write
        .send(step, |_| {
            step.cluster.scale(&found.kind, namespace, &name, replicas)
        })
        .await?;
    let mut effects = Effects::default();
    step.wrote(&mut effects, &written.object);
    effects.summary = format!("scaled {} to {replicas}", written.object.reference());
    effects.result = written.object.0;
    Ok(effects)
}
