//! `patch`: merge, json or strategic, of an object or one of its subresources.
//!
//! Invariant: the object as it was is in the undo log before the patch is sent.

use muster_cluster::{FIELD_MANAGER, Patch as Body};
use muster_record::Deed;
use muster_scenario::ast::{Patch, PatchBody};

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::target::named;
use crate::undo::Write;

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
    let write = Write {
        deed: Deed::Patch,
        kind: &found.kind,
        namespace,
        name: &name,
        revert: &patch.revert,
        place,
    };
    let written = write
        .send(step, |_| {
            step.cluster.patch(
                &found.kind,
                namespace,
                &name,
                &body,
                patch.subresource.as_deref(),
                FIELD_MANAGER,
            )
        })
        .await?;
    let mut effects = Effects::default();
    step.wrote(&mut effects, &written.object);
    effects.summary = format!("patched {}", written.object.reference());
    effects.result = written.object.0;
    Ok(effects)
}
