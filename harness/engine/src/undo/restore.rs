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
use muster_record::Outcome;
use serde_json::Value;

use crate::namespaces::RUN_LABEL;
use crate::undo::Undone;
use crate::undo::chain::Chain;
use crate::undo::diff::{self, Changes};

const ANOTHER: &str = "another object has its name by now";

/// Undoes a chain, waiting until `end` at most; `None`: there was nothing left to do.
pub(super) async fn undo(cluster: &Cluster, chain: &Chain, end: Instant) -> Result<Option<Undone>, String> {
    let reference = &chain.reference;
    let kind = match cluster
        .resolve(&reference.kind, Some(&reference.api_version))
        .await
    {
        Ok(kind) => kind,
        // The kind went away with its CRD, and what the scenario made of it too.
        Err(ResolveError::Unknown { .. }) if chain.is_ours() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut now = current(cluster, &kind, reference).await?;
    let mut deleted = None;
    if let Some(object) = now.take_if(|object| chain.made(object)) {
        deleted = Some(delete(cluster, &kind, reference, &object, end).await?);
    } else if let Some(object) = now.take_if(|object| is_going(chain, object)) {
        await_gone(cluster, &kind, reference, object.uid(), end).await?;
    }
    match (now, chain.original()) {
        (Some(object), _) => put_back(cluster, &kind, chain, &object).await,
        (None, Some(original)) if !is_controlled(original) => {
            create_again(cluster, reference, original).await.map(Some)
        }
        (None, _) if deleted.is_some() => Ok(deleted),
        (None, _) if chain.has_made() => Ok(Some(told(reference, CleanupDeed::Deleted, "was gone already"))),
        (None, None) => gone(chain),
        (None, Some(_)) => Ok(None),
    }
}

/// Whether this is the object that the scenario began to delete.
fn is_going(chain: &Chain, object: &Object) -> bool {
    object.is_terminating()
        && chain
            .original()
            .is_some_and(|original| original.uid() == object.uid())
}

/// Whether a controller makes an object anew when it is gone.
fn is_controlled(object: &Object) -> bool {
    object
        .list(&["metadata", "ownerReferences"])
        .iter()
        .any(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

fn told(reference: &ObjectRef, deed: CleanupDeed, note: impl Into<String>) -> Undone {
    Undone {
        reference: reference.clone(),
        deed,
        note: note.into(),
        object: None,
    }
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
    object: &Object,
    end: Instant,
) -> Result<Undone, String> {
    let options = DeleteOptions {
        uid: Some(object.uid().to_owned()),
        ..DeleteOptions::default()
    };
    let deletion = cluster
        .delete(kind, reference.namespace.as_deref(), &reference.name, &options)
        .await
        .map_err(|error| error.to_string())?;
    let note = match deletion {
        Deletion::Gone => "",
        Deletion::NotFound => "was gone already",
        Deletion::Terminating { uid } => {
            await_gone(cluster, kind, reference, &uid, end).await?;
            ""
        }
    };
    Ok(told(reference, CleanupDeed::Deleted, note))
}

/// Waits until a uid is gone, until `end` at most.
pub(crate) async fn await_gone(
    cluster: &Cluster,
    kind: &Kind,
    reference: &ObjectRef,
    uid: &str,
    end: Instant,
) -> Result<(), String> {
    let began = Instant::now();
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
                let name = reference.with_namespace();
                let waited = Duration::from_secs(began.elapsed().as_secs());
                return Err(if waited.is_zero() {
                    format!("{name} is being deleted, and no time was left to wait for it")
                } else {
                    let why = last.as_ref().map_or(String::new(), why_stuck);
                    format!("{name} is still there after {}{why}", crate::wait::human(waited))
                });
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

async fn create_again(cluster: &Cluster, reference: &ObjectRef, original: &Object) -> Result<Undone, String> {
    let manifest = stripped(original);
    match cluster.create(&manifest, reference.namespace.as_deref()).await {
        Ok(written) => Ok(Undone {
            object: Some(written.object),
            ..told(reference, CleanupDeed::Restored, "created again")
        }),
        Err(error) if error.class == ErrorClass::AlreadyExists => {
            Ok(told(reference, CleanupDeed::LeftChanged, ANOTHER))
        }
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

/// What the scenario changed is gone.
fn gone(chain: &Chain) -> Result<Option<Undone>, String> {
    let lost = chain.changes().any(|(entry, before)| match &entry.outcome {
        Some(Outcome::Existing {
            after: Some(after), ..
        }) => !is_controlled(before) && !diff::changes(&before.0, &after.0).is_empty(),
        _ => false,
    });
    if lost {
        return Err(format!(
            "{} is gone, so its fields can't be put back",
            chain.reference.with_namespace()
        ));
    }
    Ok(None)
}

/// The changes of one object that the scenario did not make.
fn changes_of(chain: &Chain, now: &Object) -> Changes {
    let mut changes = Changes::new();
    for (entry, before) in chain.changes().filter(|(_, before)| before.uid() == now.uid()) {
        let after = match &entry.outcome {
            Some(Outcome::Existing { after, .. }) => after.as_ref(),
            // The answer got lost: whatever differs from before is taken as changed by it.
            _ => Some(now),
        };
        if let Some(after) = after {
            diff::merge(&mut changes, diff::changes(&before.0, &after.0));
        }
    }
    changes
}

async fn put_back(
    cluster: &Cluster,
    kind: &Kind,
    chain: &Chain,
    now: &Object,
) -> Result<Option<Undone>, String> {
    let reference = &chain.reference;
    let changes = changes_of(chain, now);
    let joined = chain.joined(now);
    if changes.is_empty() && !joined {
        return Ok(replaced(chain, now));
    }
    let (mut patch, left) = diff::restore(&changes, &now.0);
    if joined && now.label(RUN_LABEL) == Some(&chain.run) {
        diff::take_label(&mut patch, RUN_LABEL);
    }
    let idle = patch.as_object().is_none_or(serde_json::Map::is_empty);
    let note = if joined {
        "others made it just before it was applied: what was applied stays".to_owned()
    } else if !left.is_empty() {
        format!("changed by others since, so left: {}", left.join(", "))
    } else if idle {
        "was as before already".to_owned()
    } else {
        String::new()
    };
    let deed = if joined || (idle && !left.is_empty()) {
        CleanupDeed::LeftChanged
    } else {
        CleanupDeed::Restored
    };
    if idle {
        return Ok(Some(told(reference, deed, note)));
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
        object: Some(written.object),
        ..told(reference, deed, note)
    }))
}

/// What there is to say where the name is another object's, which the scenario neither made nor changed.
fn replaced(chain: &Chain, now: &Object) -> Option<Undone> {
    if chain.has_made() && chain.is_ours() {
        let note = format!("was gone already; {ANOTHER}");
        return Some(told(&chain.reference, CleanupDeed::Deleted, note));
    }
    let other = chain
        .changes()
        .map(|(_, before)| before)
        .chain(chain.original())
        .any(|before| before.uid() != now.uid() && !is_controlled(before));
    other.then(|| told(&chain.reference, CleanupDeed::LeftChanged, ANOTHER))
}
