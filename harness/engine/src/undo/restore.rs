//! Undoes what happened to one object.
//!
//! Invariant: a request is sent only after looking at the object as it is now.

use std::time::{Duration, Instant};

use muster_cluster::{
    Change, Cluster, DeleteOptions, Deletion, ErrorClass, FIELD_MANAGER, Kind, Patch, Query, ResolveError,
    Target,
};
use muster_model::event::CleanupDeed;
use muster_model::{Object, ObjectRef};
use muster_record::{Deed, Outcome};
use serde_json::Value;

use crate::undo::diff::{self, Changes};
use crate::undo::{Chain, Undone};

/// Undoes a chain; `None`: there was nothing left to do.
pub(super) async fn undo(
    cluster: &Cluster,
    chain: &Chain,
    budget: Duration,
) -> Result<Option<Undone>, String> {
    let Some(reference) = chain.reference() else {
        return Ok(None);
    };
    let kind = match cluster
        .resolve(&reference.kind, Some(&reference.api_version))
        .await
    {
        Ok(kind) => kind,
        // The kind went away with its CRD, and the object with it.
        Err(ResolveError::Unknown { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if chain.is_ours() {
        delete(cluster, &kind, reference, chain, budget).await
    } else if deleted(chain) {
        create_again(cluster, &kind, reference, chain).await
    } else {
        put_back(cluster, &kind, reference, chain).await
    }
}

/// Whether the last deed was a deletion that may have happened.
fn deleted(chain: &Chain) -> bool {
    chain.entries.iter().any(|entry| {
        entry.intent.deed == Deed::Delete && !matches!(entry.outcome, Some(Outcome::Failed { .. }))
    })
}

async fn current(cluster: &Cluster, kind: &Kind, reference: &ObjectRef) -> Result<Option<Object>, String> {
    cluster
        .get(kind, reference.namespace.as_deref(), &reference.name)
        .await
        .map_err(|error| error.to_string())
}

async fn delete(
    cluster: &Cluster,
    kind: &Kind,
    reference: &ObjectRef,
    chain: &Chain,
    budget: Duration,
) -> Result<Option<Undone>, String> {
    let made = chain.entries.iter().find_map(|entry| match &entry.outcome {
        Some(Outcome::Created { uid }) => Some(uid.clone()),
        _ => None,
    });
    let uid = match made {
        Some(uid) => uid,
        None => {
            // No answer was written: the object is the scenario's only if muster alone made it.
            let attempted = chain
                .entries
                .iter()
                .any(|entry| !matches!(entry.outcome, Some(Outcome::Failed { .. })));
            if !attempted {
                return Ok(None);
            }
            match current(cluster, kind, reference).await? {
                Some(object) if object.label(crate::namespaces::RUN_LABEL).is_some() => {
                    object.uid().to_owned()
                }
                Some(_) | None => return Ok(None),
            }
        }
    };
    let options = DeleteOptions {
        uid: Some(uid.clone()),
        ..DeleteOptions::default()
    };
    let deletion = cluster
        .delete(kind, reference.namespace.as_deref(), &reference.name, &options)
        .await
        .map_err(|error| error.to_string())?;
    if let Deletion::Terminating { uid } = deletion
        && let Err(why) = await_gone(cluster, kind, reference, &uid, budget).await
    {
        return Err(why);
    }
    Ok(Some(Undone {
        reference: reference.clone(),
        deed: CleanupDeed::Deleted,
        note: String::new(),
        object: None,
    }))
}

/// Waits until a uid is gone.
pub(crate) async fn await_gone(
    cluster: &Cluster,
    kind: &Kind,
    reference: &ObjectRef,
    uid: &str,
    budget: Duration,
) -> Result<(), String> {
    let end = Instant::now() + budget;
    let mut watch = cluster.watch(Query {
        kind: kind.clone(),
        namespace: reference.namespace.clone(),
        target: Target::Name(reference.name.clone()),
    });
    let mut last = None;
    loop {
        let change = match tokio::time::timeout_at(end.into(), watch.next()).await {
            Ok(change) => change.map_err(|error| error.to_string())?,
            Err(_) => {
                return Err(format!(
                    "{} is still there after {}{}",
                    reference.with_namespace(),
                    crate::wait::human(budget),
                    last.as_ref().map_or(String::new(), why_stuck)
                ));
            }
        };
        if matches!(change, Change::Unserved) {
            return Ok(());
        }
        let here = watch.objects().find(|object| object.uid() == uid).cloned();
        match here {
            None => return Ok(()),
            Some(object) => last = Some(object),
        }
    }
}

/// What keeps a terminating object.
fn why_stuck(object: &std::sync::Arc<Object>) -> String {
    let finalizers: Vec<_> = object
        .list(&["metadata", "finalizers"])
        .iter()
        .chain(object.list(&["spec", "finalizers"]))
        .filter_map(Value::as_str)
        .collect();
    let mut text = String::new();
    if !finalizers.is_empty() {
        text.push_str(&format!(": finalizers {}", finalizers.join(", ")));
    }
    for condition in object.list(&["status", "conditions"]) {
        if condition.get("status").and_then(Value::as_str) == Some("True") {
            text.push_str(&format!(
                "; {}",
                condition
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            ));
        }
    }
    text
}

async fn create_again(
    cluster: &Cluster,
    kind: &Kind,
    reference: &ObjectRef,
    chain: &Chain,
) -> Result<Option<Undone>, String> {
    let Some(before) = chain
        .entries
        .first()
        .and_then(|entry| entry.intent.before.as_ref())
    else {
        return Ok(None);
    };
    let controlled = before
        .list(&["metadata", "ownerReferences"])
        .iter()
        .any(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
    if controlled || current(cluster, kind, reference).await?.is_some() {
        // Its controller makes it anew, or has done so.
        return Ok(None);
    }
    let manifest = stripped(before);
    match cluster.create(&manifest, reference.namespace.as_deref()).await {
        Ok(written) => Ok(Some(Undone {
            reference: reference.clone(),
            deed: CleanupDeed::Restored,
            note: "created again".to_owned(),
            object: Some(written.object),
        })),
        Err(error) if error.class == ErrorClass::AlreadyExists => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// An object without what the server writes.
fn stripped(object: &Object) -> Value {
    let mut value = object.0.clone();
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "selfLink",
        ] {
            metadata.remove(key);
        }
    }
    value
}

async fn put_back(
    cluster: &Cluster,
    kind: &Kind,
    reference: &ObjectRef,
    chain: &Chain,
) -> Result<Option<Undone>, String> {
    let mut changes = Changes::new();
    let mut uid = None;
    for entry in &chain.entries {
        let before = entry.intent.before.as_ref();
        match (&entry.outcome, before) {
            (
                Some(Outcome::Existing {
                    uid: known,
                    after: Some(after),
                }),
                Some(before),
            ) => {
                uid.get_or_insert_with(|| known.clone());
                diff::merge(&mut changes, diff::changes(&before.0, &after.0));
            }
            (Some(Outcome::Unknown) | None, Some(before)) => {
                // The answer got lost: whatever differs from before is taken as changed by it.
                if let Some(now) = current(cluster, kind, reference).await? {
                    diff::merge(&mut changes, diff::changes(&before.0, &now.0));
                }
            }
            _ => {}
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let Some(now) = current(cluster, kind, reference).await? else {
        return Err(format!(
            "{} is gone, so its fields can't be put back",
            reference.with_namespace()
        ));
    };
    if uid.is_some_and(|uid| uid != now.uid()) {
        return Ok(Some(Undone {
            reference: reference.clone(),
            deed: CleanupDeed::LeftChanged,
            note: "another object has its name by now".to_owned(),
            object: None,
        }));
    }
    let (patch, left) = diff::restore(&changes, &now.0);
    let note = if left.is_empty() {
        String::new()
    } else {
        format!("changed by others since, so left: {}", left.join(", "))
    };
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        let deed = if left.is_empty() {
            CleanupDeed::Restored
        } else {
            CleanupDeed::LeftChanged
        };
        let note = if left.is_empty() {
            "was as before already".to_owned()
        } else {
            note
        };
        return Ok(Some(Undone {
            reference: reference.clone(),
            deed,
            note,
            object: None,
        }));
    }
    let written = cluster
        .patch(
            kind,
            reference.namespace.as_deref(),
            &reference.name,
            &Patch::Merge(patch),
            None,
            FIELD_MANAGER,
        )
        .await
        .map_err(|error| error.to_string())?;
    Ok(Some(Undone {
        reference: reference.clone(),
        deed: CleanupDeed::Restored,
        note,
        object: Some(written.object),
    }))
}
