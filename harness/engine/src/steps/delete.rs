//! `delete`: until the uid is gone, not the name.
//!
//! Invariant: what the scenario did not make is saved before it is deleted.

use std::sync::Arc;

use muster_cluster::{DeleteOptions, Deletion};
use muster_model::Object;
use muster_scenario::ast::{Delete, Revert};

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::target::existing;
use crate::target::{Found, find};
use crate::undo::await_gone;

/// Kinds that hold more than their own fields: what goes with them can't be put back.
const HOLDERS: [&str; 4] = [
    "Namespace",
    "CustomResourceDefinition",
    "PersistentVolume",
    "PersistentVolumeClaim",
];

/// Deletes and waits.
pub(crate) async fn run(step: &StepContext, delete: &Delete) -> Result<Effects, ActionError> {
    let found = find(step, &delete.target, &step.namespace).await?;
    let grace = step.optional(delete.grace_period.as_ref())?;
    let objects = existing(step, &found).await?;
    for object in &objects {
        can_come_back(step, delete, object)?;
    }
    let grace = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
    let deletions = objects
        .iter()
        .map(|object| delete_one(step, delete, &found, object, grace));
    let mut effects = Effects::default();
    for deleted in futures::future::join_all(deletions).await {
        effects.removed.insert(deleted?);
    }
    let names: Vec<_> = objects
        .iter()
        .map(|object| object.reference().to_string())
        .collect();
    effects.summary = format!("deleted {}", names.join(", "));
    Ok(effects)
}

fn is_ours(step: &StepContext, object: &Object) -> bool {
    let own = object
        .namespace()
        .is_some_and(|namespace| step.ctx.is_own_namespace(namespace));
    own || step.ctx.undo.made(object.uid())
}

fn can_come_back(step: &StepContext, delete: &Delete, object: &Object) -> Result<(), Trouble> {
    if delete.revert != Revert::Yes || !HOLDERS.contains(&object.kind()) || is_ours(step, object) {
        return Ok(());
    }
    let message = format!(
        "{} was there before the scenario, and what it holds would go with it and could not be put back",
        object.reference().with_namespace()
    );
    Err(Trouble::failed(message, &delete.target.place).help(
        "delete what the scenario made, or give `revert: false` and `because:` if it shall be gone for good",
    ))
}

async fn delete_one(
    step: &StepContext,
    delete: &Delete,
    found: &Found,
    object: &Arc<Object>,
    grace: Option<u32>,
) -> Result<String, ActionError> {
    let place = &delete.target.place;
    let uid = object.uid().to_owned();
    let reference = object.reference();
    let ticket = if is_ours(step, object) || delete.revert != Revert::Yes {
        None
    } else {
        Some(step.ctx.undo.record_deletion(object, place)?)
    };
    let options = DeleteOptions {
        uid: Some(uid.clone()),
        grace_period: grace,
        ..DeleteOptions::default()
    };
    let answer = step
        .cluster
        .delete(&found.kind, object.namespace(), object.name(), &options)
        .await;
    if let Some(ticket) = ticket {
        step.ctx
            .undo
            .deleted(ticket, &uid, answer.as_ref().err(), place)?;
    }
    match answer.map_err(|error| ActionError::from_api(&error, place))? {
        Deletion::Gone | Deletion::NotFound => {}
        Deletion::Terminating { uid } => {
            let gone = await_gone(&step.cluster, &found.kind, &reference, &uid, step.deadline);
            tokio::select! {
                () = step.ctx.interrupted() => return Err(Trouble::Interrupted.into()),
                gone = gone => gone.map_err(|why| Trouble::failed(why, place))?,
            }
        }
    }
    Ok(uid)
}
