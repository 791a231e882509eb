//! `patch`: merge, json or strategic, of an object or one of its subresources.
//!
//! Invariant: the object as it was is in the undo log before the patch is sent.

use muster_cluster::{FIELD_MANAGER, Patch as Body};
use muster_record::Deed;
use muster_scenario::ast::{Patch, PatchBody, Revert};

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::target::named;

/// Patches.
pub(crate) async fn run(step: &StepContext, patch: &Patch) -> Result<Effects, ActionError> {
    let place = &patch.target.place;
    let (found, name) = named(step, &patch.target).await?;
    let names = step.names();
    let eval =
        |tree: &muster_scenario::expr::Tree| tree.eval(&names).map_err(|error| Trouble::from_eval(&error));
    let body = match &patch.body {
        PatchBody::Merge(tree) => Body::Merge(eval(tree)?),
        PatchBody::Json(tree) => Body::Json(eval(tree)?),
        PatchBody::Strategic(tree) => Body::Strategic(eval(tree)?),
    };
    let namespace = found.namespace.as_deref();
    let request = step.cluster.patch(
        &found.kind,
        namespace,
        &name,
        &body,
        patch.subresource.as_deref(),
        FIELD_MANAGER,
    );
    let reference = found.kind.reference(namespace, &name);
    let written = if patch.revert != Revert::Yes
        || namespace.is_some_and(|namespace| step.ctx.is_own_namespace(namespace))
    {
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
                    .record(Deed::Patch, reference, Some(before), place, request)
                    .await?
            }
            // The API server's own words for an object that isn't there.
            None => request
                .await
                .map_err(|error| ActionError::from_api(&error, place))?,
        }
    };
    let mut effects = Effects::default();
    step.wrote(&mut effects, &written.object);
    effects.summary = format!("patched {}", written.object.reference());
    effects.result = written.object.0;
    Ok(effects)
}
