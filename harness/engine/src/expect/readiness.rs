//! When is an object ready? Pure predicates on what the API server says.
//!
//! Invariant: a controller's counts are believed only at the generation that was written, and pods only one by one.
//! The conditions for Deployment, StatefulSet and DaemonSet are those of `kubectl rollout status`
//! (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go), to which the pods are added: deleting a pod changes
//! neither generation nor, for a while, the counts.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use muster_model::{Mismatch, Object};
use serde_json::Value;

use crate::pods;

/// The label of an endpoint slice that names its Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// How ready an object is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Readiness {
    /// It is, and this is what was seen.
    Ready(String),
    /// Not yet.
    NotYet(Mismatch),
    /// It can't become ready.
    Never(Mismatch),
}

/// What is asked of an object.
pub(crate) struct Demand<'a> {
    /// The generation that the step's action wrote, or 0.
    pub(crate) generation: i64,
    /// Uids that the step's action removed.
    pub(crate) removed: &'a HashSet<String>,
    /// `replicas:`.
    pub(crate) replicas: Option<i64>,
    /// When the step's mark was taken: what a controller gave up before is no verdict on this step.
    pub(crate) since: Timestamp,
}

fn not_yet(path: &str, expected: impl Into<String>, found: impl Into<String>) -> Readiness {
    Readiness::NotYet(Mismatch::new(path, expected, found))
}

fn number(object: &Object, path: &[&str]) -> i64 {
    object.integer(path).unwrap_or(0)
}

/// Whether a part belongs to an object: a pod to its owner, an endpoint slice to its Service.
pub(crate) fn belongs(object: &Object, part: &Object) -> bool {
    match object.kind() {
        "Service" => part.label(SERVICE_NAME) == Some(object.name()),
        _ => pods::owns(object, part),
    }
}

/// Assesses an object; `parts` are those that belong to it: pods of their owner, endpoint slices of a Service.
pub(crate) fn assess(object: &Object, parts: &[Arc<Object>], demand: &Demand<'_>) -> Readiness {
    if demand.removed.contains(object.uid()) {
        return not_yet(
            "metadata.uid",
            "another object than the one that this step removed",
            object.uid(),
        );
    }
    if object.is_terminating() && object.kind() != "Pod" {
        return not_yet("metadata.deletionTimestamp", "none", "it is being deleted");
    }
    match object.kind() {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" => {
            workload(object, parts, demand)
        }
        "Service" => service(parts, demand),
        "Pod" => pod(object),
        "Job" => terminal_condition(object, "Complete", "Failed"),
        "PersistentVolumeClaim" => match object.text(&["status", "phase"]) {
            "Bound" => Readiness::Ready(format!("Bound to {}", object.text(&["spec", "volumeName"]))),
            "Lost" => Readiness::Never(Mismatch::new("status.phase", "Bound", "Lost")),
            phase => not_yet(
                "status.phase",
                "Bound",
                if phase.is_empty() { "nothing" } else { phase },
            ),
        },
        "Namespace" => match object.text(&["status", "phase"]) {
            "Active" => Readiness::Ready("Active".to_owned()),
            phase => not_yet("status.phase", "Active", phase),
        },
        "CustomResourceDefinition" => terminal_condition(object, "Established", ""),
        "APIService" => terminal_condition(object, "Available", ""),
        _ => by_condition(object, demand),
    }
}

fn observed(object: &Object, demand: &Demand<'_>) -> Option<Readiness> {
    let wanted = demand.generation.max(object.generation());
    let observed = number(object, &["status", "observedGeneration"]);
    (observed < wanted).then(|| {
        not_yet(
            "status.observedGeneration",
            format!("at least {wanted}"),
            observed.to_string(),
        )
    })
}

fn workload(object: &Object, pods: &[Arc<Object>], demand: &Demand<'_>) -> Readiness {
    if let Some(waiting) = observed(object, demand) {
        return waiting;
    }
    let desired = pods::desired(object).unwrap_or(0);
    if let Some(replicas) = demand.replicas
        && replicas != desired
    {
        return not_yet("desired replicas", replicas.to_string(), desired.to_string());
    }
    if desired == 0 && demand.replicas != Some(0) {
        let path = if object.kind() == "DaemonSet" {
            "status.desiredNumberScheduled"
        } else {
            "spec.replicas"
        };
        let mismatch = Mismatch::new(path, "at least 1", "0")
            .hint("nothing runs, so nothing is ready; write `replicas: 0` if that is meant");
        // A DaemonSet's number is its controller's finding and may still grow.
        return if object.kind() == "DaemonSet" {
            Readiness::NotYet(mismatch)
        } else {
            Readiness::Never(mismatch)
        };
    }
    if let Some(waiting) = counts(object, desired, demand.since) {
        return waiting;
    }
    count_pods(object, pods, demand, desired)
}

/// What `kubectl rollout status` asks.
fn counts(object: &Object, desired: i64, since: Timestamp) -> Option<Readiness> {
    let status = |key: &str| number(object, &["status", key]);
    let short = |key: &str, wanted: i64| {
        (status(key) < wanted).then(|| {
            not_yet(
                &format!("status.{key}"),
                wanted.to_string(),
                status(key).to_string(),
            )
        })
    };
    match object.kind() {
        "Deployment" => {
            if let Some(mismatch) = given_up(object, since) {
                return Some(Readiness::Never(mismatch));
            }
            short("updatedReplicas", desired)
                .or_else(|| {
                    (status("replicas") > status("updatedReplicas")).then(|| {
                        not_yet(
                            "status.replicas",
                            format!("{} (old replicas gone)", status("updatedReplicas")),
                            status("replicas").to_string(),
                        )
                    })
                })
                .or_else(|| short("availableReplicas", desired))
        }
        "StatefulSet" => {
            let rolling = object.text(&["spec", "updateStrategy", "type"]) != "OnDelete";
            let partition = number(object, &["spec", "updateStrategy", "rollingUpdate", "partition"]);
            let updating = rolling
                && object.text(&["status", "updateRevision"]) != object.text(&["status", "currentRevision"]);
            short("readyReplicas", desired).or_else(|| {
                if updating {
                    short("updatedReplicas", desired - partition)
                } else {
                    None
                }
            })
        }
        "DaemonSet" => short("updatedNumberScheduled", desired).or_else(|| short("numberAvailable", desired)),
        _ => short("readyReplicas", desired),
    }
}

/// A rollout that its controller gave up since the mark. An older verdict stays until the rollout moves on, and says
/// nothing about this step.
fn given_up(deployment: &Object, since: Timestamp) -> Option<Mismatch> {
    let progressing = pods::condition(deployment, "Progressing")?;
    // The API gives whole seconds.
    let updated: Timestamp = pods::text(progressing, &["lastUpdateTime"]).parse().ok()?;
    let now = updated.as_second() > since.as_second();
    (now && pods::text(progressing, &["reason"]) == "ProgressDeadlineExceeded").then(|| {
        Mismatch::new(
            "status.conditions[type=Progressing].reason",
            "a rollout that progresses",
            format!(
                "ProgressDeadlineExceeded: {}",
                pods::text(progressing, &["message"])
            ),
        )
    })
}

/// The pods themselves: as many as desired, Ready, at the current revision, not going.
fn count_pods(object: &Object, pods: &[Arc<Object>], demand: &Demand<'_>, desired: i64) -> Readiness {
    let revision = match object.kind() {
        "StatefulSet"
            if object.text(&["spec", "updateStrategy", "type"]) != "OnDelete"
                && number(object, &["spec", "updateStrategy", "rollingUpdate", "partition"]) == 0 =>
        {
            Some(object.text(&["status", "updateRevision"])).filter(|revision| !revision.is_empty())
        }
        _ => None,
    };
    let mut serving = 0;
    let mut why = Vec::new();
    for pod in pods {
        if pod.is_terminating() {
            why.push(format!("{} is terminating", pod.name()));
        } else if demand.removed.contains(pod.uid()) {
            why.push(format!("{} is one that this step removed", pod.name()));
        } else if revision.is_some_and(|revision| pod.label("controller-revision-hash") != Some(revision)) {
            why.push(format!("{} is at an old revision", pod.name()));
        } else if pods::is_ready(pod) {
            serving += 1;
        } else {
            why.push(format!("{} is not Ready: {}", pod.name(), pod_state(pod)));
        }
    }
    if serving < desired {
        let found = if why.is_empty() {
            format!("{serving}")
        } else {
            format!("{serving} ({})", why.join("; "))
        };
        return not_yet("ready pods", desired.to_string(), found);
    }
    Readiness::Ready(format!("{serving}/{desired} pods ready"))
}

/// A Service serves by a ready endpoint. The slices may still list a pod that the step removed.
fn service(slices: &[Arc<Object>], demand: &Demand<'_>) -> Readiness {
    let (removed, left): (Vec<_>, Vec<_>) = slices
        .iter()
        .flat_map(|slice| slice.list(&["endpoints"]))
        .partition(|endpoint| {
            let uid = pods::text(endpoint, &["targetRef", "uid"]);
            demand.removed.contains(uid)
        });
    let is_ready = |endpoint: &&Value| {
        // Unset means ready: discovery.k8s.io/v1 EndpointConditions.
        endpoint
            .get("conditions")
            .and_then(|conditions| conditions.get("ready"))
            .and_then(Value::as_bool)
            .unwrap_or(true)
    };
    let ready = left.iter().copied().filter(is_ready).count();
    if ready > 0 {
        return Readiness::Ready(format!("{ready} ready endpoints"));
    }
    let mut found = format!("{} not ready", left.len());
    if !removed.is_empty() {
        found.push_str(&format!(", {} removed by this step", removed.len()));
    }
    not_yet("endpoints", "a ready one", found)
}

fn pod(pod: &Object) -> Readiness {
    if pod.is_terminating() {
        return not_yet("metadata.deletionTimestamp", "none", "the pod is being deleted");
    }
    if let phase @ ("Failed" | "Succeeded") = pod.text(&["status", "phase"]) {
        return Readiness::Never(Mismatch::new("status.phase", "Running", phase));
    }
    if let Some(reason) = hopeless(pod) {
        return Readiness::Never(Mismatch::new(
            "status.containerStatuses",
            "containers that start",
            reason,
        ));
    }
    if pods::condition_is_true(pod, "Ready") {
        return Readiness::Ready("Ready".to_owned());
    }
    not_yet(
        "status.conditions[type=Ready].status",
        "True",
        format!("not Ready: {}", pod_state(pod)),
    )
}

/// A waiting reason that no time mends.
pub(crate) fn hopeless(pod: &Object) -> Option<String> {
    pods::container_statuses(pod).find_map(|status| {
        let waiting = status.get("state")?.get("waiting")?;
        let reason = pods::text(waiting, &["reason"]);
        matches!(reason, "InvalidImageName" | "ErrImageNeverPull").then(|| {
            format!(
                "{}: {reason}: {}",
                pods::text(status, &["name"]),
                pods::text(waiting, &["message"])
            )
        })
    })
}

/// A pod in a few words, as `kubectl get pods` would put it.
pub(crate) fn pod_state(pod: &Object) -> String {
    if pod.is_terminating() {
        return "Terminating".to_owned();
    }
    for status in pods::container_statuses(pod) {
        let name = pods::text(status, &["name"]);
        let state = status.get("state").unwrap_or(&Value::Null);
        if let Some(waiting) = state.get("waiting") {
            let mut text = format!("{name}: {}", pods::text(waiting, &["reason"]));
            if let Some(last) = status.get("lastState").and_then(|last| last.get("terminated")) {
                text.push_str(&format!(
                    " (last exit code {})",
                    last.get("exitCode").and_then(Value::as_i64).unwrap_or_default()
                ));
            }
            return text;
        }
        if let Some(ended) = state.get("terminated") {
            let reason = pods::text(ended, &["reason"]);
            let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
            if reason != "Completed" {
                return format!("{name}: {reason} (exit code {code})");
            }
        }
    }
    if let Some(scheduled) = pods::condition(pod, "PodScheduled")
        && pods::text(scheduled, &["status"]) == "False"
    {
        return format!("unscheduled: {}", pods::text(scheduled, &["message"]));
    }
    let waiting: Vec<_> = pods::container_statuses(pod)
        .filter(|status| {
            status.get("ready") == Some(&Value::Bool(false))
                && status
                    .get("state")
                    .is_some_and(|state| state.get("running").is_some())
        })
        .map(|status| pods::text(status, &["name"]))
        .collect();
    if waiting.is_empty() {
        pod.text(&["status", "phase"]).to_owned()
    } else {
        format!(
            "Running, readiness probe of {} has not succeeded",
            waiting.join(", ")
        )
    }
}

fn terminal_condition(object: &Object, good: &str, bad: &str) -> Readiness {
    if pods::condition_is_true(object, good) {
        return Readiness::Ready(good.to_owned());
    }
    if let Some(failed) = pods::condition(object, bad)
        && pods::text(failed, &["status"]) == "True"
    {
        return Readiness::Never(Mismatch::new(
            format!("status.conditions[type={good}].status"),
            "True",
            format!(
                "{bad}: {}: {}",
                pods::text(failed, &["reason"]),
                pods::text(failed, &["message"])
            ),
        ));
    }
    let found = pods::condition(object, good).map_or_else(
        || "no such condition".to_owned(),
        |c| format!("{} ({})", pods::text(c, &["status"]), pods::text(c, &["message"])),
    );
    not_yet(&format!("status.conditions[type={good}].status"), "True", found)
}

fn by_condition(object: &Object, demand: &Demand<'_>) -> Readiness {
    if object.integer(&["status", "observedGeneration"]).is_some()
        && let Some(waiting) = observed(object, demand)
    {
        return waiting;
    }
    for name in ["Ready", "Available"] {
        let Some(condition) = pods::condition(object, name) else {
            continue;
        };
        if let Some(seen) = condition.get("observedGeneration").and_then(Value::as_i64)
            && seen < demand.generation.max(object.generation())
        {
            return not_yet(
                &format!("status.conditions[type={name}].observedGeneration"),
                object.generation().to_string(),
                seen.to_string(),
            );
        }
        let status = pods::text(condition, &["status"]);
        if status == "True" {
            return Readiness::Ready(format!("{name}=True"));
        }
        let found = format!(
            "{status} ({}: {})",
            pods::text(condition, &["reason"]),
            pods::text(condition, &["message"])
        );
        return not_yet(&format!("status.conditions[type={name}].status"), "True", found);
    }
    not_yet("status.conditions", "a Ready or Available condition", "neither")
}

#[cfg(test)]
mod tests;
