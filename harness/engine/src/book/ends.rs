//! Ends of containers, as statuses of pods tell them.
//!
//! Invariant: each end is known by its container id; what the API server does not show any more is only counted.

use std::sync::Arc;

use jiff::Timestamp;
use muster_model::Object;
use serde_json::{Value, json};

use crate::book::track::TrackData;
use crate::pods;

/// The end of one container instance.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) pod_name: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) container_id: String,
    pub(crate) code: i64,
    pub(crate) reason: String,
    /// When, by the node's clock, in whole seconds.
    pub(crate) finished: Option<Timestamp>,
    /// The pod was being deleted when its container ended.
    pub(crate) terminating: bool,
    /// It ended as it should: an init container, or a pod that runs to its end, with code 0.
    pub(crate) regular: bool,
}

impl End {
    /// `exit code 1 (Error)`.
    pub(crate) fn describe(&self) -> String {
        format!("exit code {} ({})", self.code, self.reason)
    }

    /// What `save` sees as `self`.
    pub(crate) fn to_value(&self) -> Value {
        json!({"pod": self.pod_name, "container": self.container, "code": self.code, "reason": self.reason})
    }
}

/// How often a container has ended, by its status: the restarts, and the last instance if it has ended too. While the
/// kubelet waits to start a container again, `lastState` tells of the instance that `restartCount` doesn't count yet.
pub(super) fn total_ends(status: &Value) -> i64 {
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    let ended_now = status
        .get("state")
        .and_then(|state| state.get("terminated"))
        .is_some();
    let waits = status
        .get("state")
        .and_then(|state| state.get("waiting"))
        .is_some()
        && status
            .get("lastState")
            .and_then(|state| state.get("terminated"))
            .is_some();
    restarts + i64::from(ended_now || waits)
}

/// The ids of the instances of a container that its status names.
pub(super) fn instance_ids(status: &Value) -> Vec<String> {
    [
        &["containerID"][..],
        &["state", "terminated", "containerID"],
        &["lastState", "terminated", "containerID"],
    ]
    .iter()
    .map(|path| pods::text(status, path))
    .filter(|id| !id.is_empty())
    .map(str::to_owned)
    .collect()
}

/// Notes the ends that some pods show.
pub(super) fn note_ends(data: &mut TrackData, pods: &[Arc<Object>]) {
    for pod in pods {
        let restarts = matches!(pod.text(&["spec", "restartPolicy"]), "" | "Always");
        let init = pod.list(&["status", "initContainerStatuses"]).len();
        for (index, status) in pods::container_statuses(pod).enumerate() {
            let container = pods::text(status, &["name"]).to_owned();
            // Such containers are expected to end.
            let finite = index < init || !restarts;
            for state in ["lastState", "state"] {
                let Some(ended) = status.get(state).and_then(|state| state.get("terminated")) else {
                    continue;
                };
                let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
                data.add_end(End {
                    pod_name: pod.name().to_owned(),
                    pod_uid: pod.uid().to_owned(),
                    container: container.clone(),
                    container_id: pods::text(ended, &["containerID"]).to_owned(),
                    code,
                    reason: pods::text(ended, &["reason"]).to_owned(),
                    finished: pods::text(ended, &["finishedAt"]).parse().ok(),
                    terminating: pod.is_terminating(),
                    regular: finite && code == 0,
                });
            }
            if !finite {
                let total = total_ends(status);
                let known = data
                    .total_ends
                    .entry((pod.uid().to_owned(), container))
                    .or_default();
                // A list of one's own may be newer than what the watch delivers next.
                *known = total.max(*known);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> Value {
        value
    }

    #[test]
    fn a_container_that_waits_in_back_off_has_ended_once_more_than_it_was_restarted() {
        let ended = json!({"terminated": {"exitCode": 1, "containerID": "a"}});
        for (value, ends) in [
            (json!({"restartCount": 0, "state": {"running": {}}}), 0),
            (json!({"restartCount": 0, "state": ended}), 1),
            (
                json!({"restartCount": 1, "state": {"running": {}}, "lastState": ended}),
                1,
            ),
            (
                json!({"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}),
                2,
            ),
            (
                json!({"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}}),
                0,
            ),
        ] {
            assert_eq!(total_ends(&status(value.clone())), ends, "{value}");
        }
    }

    #[test]
    fn an_end_seen_as_state_and_later_as_last_state_counts_once() {
        let pod = |state: Value, last: Value| {
            Arc::new(Object(
                json!({"kind": "Pod", "metadata": {"name": "p", "uid": "u"},
                "status": {"containerStatuses": [{"name": "c", "restartCount": 0, "state": state, "lastState": last}]}}),
            ))
        };
        let ended =
            json!({"terminated": {"exitCode": 1, "reason": "Error", "containerID": "containerd://1"}});
        let mut data = TrackData::default();
        note_ends(&mut data, &[pod(ended.clone(), json!({}))]);
        note_ends(&mut data, &[pod(json!({"running": {}}), ended)]);
        assert_eq!(data.ends.len(), 1);
        assert_eq!(data.ends[0].code, 1);
    }
}
