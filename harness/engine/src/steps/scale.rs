//! `scale`: the number of replicas, through the scale subresource.
//!
//! Invariant: the former number is in the undo log before the request is sent.

use muster_record::Deed;
use muster_scenario::ast::{Revert, Scale};

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::target::named;

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
    let request = step.cluster.scale(&found.kind, namespace, &name, replicas);
    let ours = namespace.is_some_and(|namespace| step.ctx.is_own_namespace(namespace));
    let written = if ours || scale.revert != Revert::Yes {
        request
            .await
            .map_err(|error| ActionError::from_api(&error, place))?
    } else {
        let before = step
            .cluster
            .get(&found.kind, namespace, &name)
            .await
            .map_err(|error| ActionError::from_api(&error, place))?;
        match before {
            Some(before) => {
                step.ctx
                    .undo
                    .record(Deed::Scale, before.reference(), Some(before), place, request)
                    .await?
            }
            None => request
                .await
                .map_err(|error| ActionError::from_api(&error, place))?,
        }
    };
    let mut effects = Effects::default();
    step.wrote(&mut effects, &written.object);
    effects.summary = format!("scaled {} to {replicas}", written.object.reference());
    effects.result = written.object.0;
    Ok(effects)
}
