//! Pods of something: a pod itself, the pods of an owner, or the pods that a selector chooses.
//!
//! Invariant: a pod counts for an owner only if the owner's controller made it; labels alone prove nothing.

use std::sync::Arc;

use muster_cluster::{ApiError, Change, Cluster, Kind, Query, Selector, Target, Watch};
use muster_model::Object;
use serde_json::Value;

use crate::target::{Found, Which};

/// Watches the pods that belong to a target, and their owner if the target is one.
pub(crate) struct PodWatch {
    cluster: Cluster,
    pod_kind: Kind,
    found: Found,
    owner: Option<Watch>,
    pods: Option<Watch>,
    /// The selector that `pods` watches, to notice when the owner's changes.
    selecting: Option<Selector>,
}

/// What a pod watch saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodChange {
    /// Something changed, or was seen for the first time.
    Seen,
    /// What happened in between is unknown.
    Gap,
}

impl PodWatch {
    /// Watches the pods of a target. No request is sent before the first [`PodWatch::next`].
    pub(crate) fn new(cluster: &Cluster, pod_kind: Kind, found: Found) -> Self {
        let mut watch = Self {
            cluster: cluster.clone(),
            pod_kind,
            owner: None,
            pods: None,
            selecting: None,
            found,
        };
        if watch.is_pods() {
            watch.pods = Some(cluster.watch(watch.found.query()));
        } else {
            watch.owner = Some(cluster.watch(watch.found.query()));
        }
        watch
    }

    /// Whether the target is a kind that may own pods.
    pub(crate) fn can_own_pods(kind: &Kind) -> bool {
        matches!(
            kind.kind.as_str(),
            "Pod"
                | "Deployment"
                | "StatefulSet"
                | "DaemonSet"
                | "ReplicaSet"
                | "ReplicationController"
                | "Job"
        )
    }

    fn is_pods(&self) -> bool {
        self.found.kind.kind == "Pod"
    }

    /// Waits for the next change. Cancel-safe. The first call answers when all is listed.
    pub(crate) async fn next(&mut self) -> Result<PodChange, ApiError> {
        if self.owner.is_some() {
            let first = self.selecting.is_none();
            if first || self.pods.is_none() {
                let change = self.step_owner().await?;
                self.follow_owner();
                if self.pods.is_none() {
                    return Ok(change);
                }
                return self.step_pods().await;
            }
            let (Some(owner), Some(pods)) = (self.owner.as_mut(), self.pods.as_mut()) else {
                return Ok(PodChange::Seen);
            };
            tokio::select! {
                change = owner.next() => {
                    let change = seen(&change?);
                    if self.follow_owner() { self.step_pods().await } else { Ok(change) }
                }
                change = pods.next() => Ok(seen(&change?)),
            }
        } else {
            self.step_pods().await
        }
    }

    async fn step_owner(&mut self) -> Result<PodChange, ApiError> {
        match &mut self.owner {
            Some(owner) => Ok(seen(&owner.next().await?)),
            None => Ok(PodChange::Seen),
        }
    }

    async fn step_pods(&mut self) -> Result<PodChange, ApiError> {
        match &mut self.pods {
            Some(pods) => Ok(seen(&pods.next().await?)),
            None => Ok(PodChange::Seen),
        }
    }

    /// Opens or reopens the watch on pods after the owner was seen; true if it did.
    fn follow_owner(&mut self) -> bool {
        let wanted = match self.found.which {
            Which::Name(_) => self.owner().and_then(|owner| selector_of(&owner)),
            // Several owners: their pods are found by owner among all of the namespace.
            Which::Labels(_) => Some(Selector::all()),
        };
        let Some(selector) = wanted else { return false };
        if self.selecting.as_ref() == Some(&selector) {
            return false;
        }
        self.pods = Some(self.cluster.watch(Query {
            kind: self.pod_kind.clone(),
            namespace: self.found.namespace.clone(),
            target: if selector.is_all() {
                Target::All
            } else {
                Target::Labels(selector.clone())
            },
        }));
        self.selecting = Some(selector);
        true
    }

    /// The owner, if the target names one and it exists.
    pub(crate) fn owner(&self) -> Option<Arc<Object>> {
        self.owner
            .as_ref()
            .and_then(|owner| owner.objects().next().cloned())
    }

    /// All owners that exist, of a target by name or by labels.
    pub(crate) fn owners(&self) -> Vec<Arc<Object>> {
        self.owner
            .as_ref()
            .map(|owner| owner.objects().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether the target is an owner of pods, not pods themselves.
    pub(crate) fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// The pods that belong to the target, terminating ones too, by name.
    pub(crate) fn pods(&self) -> Vec<Arc<Object>> {
        let Some(watch) = &self.pods else {
            return Vec::new();
        };
        let mut pods: Vec<_> = if self.owner.is_some() {
            let owners = self.owners();
            watch
                .objects()
                .filter(|pod| owners.iter().any(|owner| owns(owner, pod)))
                .cloned()
                .collect()
        } else {
            watch.objects().cloned().collect()
        };
        pods.sort_by(|a, b| a.name().cmp(b.name()));
        pods
    }
}

fn seen(change: &Change) -> PodChange {
    match change {
        Change::Relisted => PodChange::Gap,
        _ => PodChange::Seen,
    }
}

/// The labels that an owner's pods carry (`spec.selector.matchLabels`, or a controller's plain `spec.selector`).
pub(crate) fn selector_of(owner: &Object) -> Option<Selector> {
    let labels = owner.at(&["spec", "selector", "matchLabels"]).or_else(|| {
        owner
            .at(&["spec", "selector"])
            .filter(|selector| selector.get("matchExpressions").is_none())
    });
    match labels {
        Some(Value::Object(map)) => Some(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        ),
        // An owner with expressions only: all pods of the namespace, told apart by owner.
        _ => Some(Selector::all()),
    }
}

/// Whether an owner's controller made a pod; a Deployment owns through the ReplicaSet that bears its name and the
/// pod's template hash.
pub(crate) fn owns(owner: &Object, pod: &Object) -> bool {
    if pod.is_owned_by(owner.uid()) {
        return true;
    }
    if owner.kind() != "Deployment" {
        return false;
    }
    let Some(hash) = pod.label("pod-template-hash") else {
        return false;
    };
    let set = format!("{}-{hash}", owner.name());
    pod.list(&["metadata", "ownerReferences"])
        .iter()
        .any(|reference| {
            reference.get("kind").and_then(Value::as_str) == Some("ReplicaSet")
                && reference.get("name").and_then(Value::as_str) == Some(&set)
        })
}

/// The desired number of pods of an owner; `None` for kinds without one.
pub(crate) fn desired(owner: &Object) -> Option<i64> {
    match owner.kind() {
        "DaemonSet" => Some(owner.integer(&["status", "desiredNumberScheduled"]).unwrap_or(0)),
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            Some(owner.integer(&["spec", "replicas"]).unwrap_or(1))
        }
        _ => None,
    }
}

/// Whether a condition has status `True`.
pub(crate) fn condition_is_true(object: &Object, name: &str) -> bool {
    condition(object, name).is_some_and(|c| c.get("status").and_then(Value::as_str) == Some("True"))
}

/// A condition of an object.
pub(crate) fn condition<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object
        .list(&["status", "conditions"])
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(name))
}

/// Whether a pod serves: Ready and not being deleted.
pub(crate) fn is_ready(pod: &Object) -> bool {
    !pod.is_terminating() && condition_is_true(pod, "Ready")
}

/// The statuses of a pod's containers, init ones first.
pub(crate) fn container_statuses(pod: &Object) -> impl Iterator<Item = &Value> {
    pod.list(&["status", "initContainerStatuses"])
        .iter()
        .chain(pod.list(&["status", "containerStatuses"]))
}

/// The string at a path of a JSON value.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter()
        .try_fold(value, |value, key| value.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object(value)
    }

    #[test]
    fn a_deployment_owns_the_pods_of_its_replica_sets_only() {
        let deployment = object(json!({"kind": "Deployment", "metadata": {"name": "web", "uid": "d"}}));
        let pod = |set: &str| {
            object(json!({"kind": "Pod", "metadata": {
                "name": "p", "labels": {"pod-template-hash": "abc"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": set, "uid": "r"}]}}))
        };
        assert!(owns(&deployment, &pod("web-abc")));
        assert!(!owns(&deployment, &pod("web-other-abc")));
    }

    #[test]
    fn a_terminating_pod_is_not_ready() {
        let pod = object(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        assert!(!is_ready(&pod));
    }
}
