//! What is to blame: the facts about pods that a person would look up next.
//!
//! Invariant: it only reads, it is bounded in time and size, and it never turns a failure into another one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use muster_cluster::{LogQuery, Selector};
use muster_model::Object;
use serde_json::Value;

use crate::book::default_container;
use crate::context::StepContext;
use crate::expect::readiness::pod_state;
use crate::options::Keep;
use crate::pods;
use crate::target::{Found, Which};

/// How many pods are looked into.
const PODS: usize = 3;
/// How many of a dead container's last lines are looked through, and how many are shown.
const LINES: i64 = 30;
const SHOWN: usize = 3;

/// The causes that the objects of a target show: states of pods, last words of containers (of one of them, if it is
/// named), warnings.
pub(crate) async fn of_target(
    step: &StepContext,
    found: &Found,
    objects: &[Arc<Object>],
    container: Option<&str>,
) -> Vec<String> {
    let mut causes = Vec::new();
    let mut pods: Vec<_> = objects
        .iter()
        .filter(|object| object.kind() == "Pod")
        .cloned()
        .collect();
    if pods.is_empty() && found.namespace.is_some() {
        pods = pods_behind(step, found, objects).await;
    }
    let troubled: Vec<_> = pods
        .iter()
        .filter(|pod| !pods::is_ready(pod))
        .take(PODS)
        .collect();
    for pod in &troubled {
        causes.extend(of_pod(step, pod, container).await);
    }
    for object in objects.iter().filter(|object| object.kind() != "Pod") {
        causes.extend(of_conditions(object));
    }
    let names: Vec<String> = objects
        .iter()
        .map(|object| object.name().to_owned())
        .chain(troubled.iter().map(|pod| pod.name().to_owned()))
        .chain(found.name().map(str::to_owned))
        .collect();
    causes.extend(warnings(step, found, &names).await);
    causes
}

async fn pods_behind(step: &StepContext, found: &Found, objects: &[Arc<Object>]) -> Vec<Arc<Object>> {
    let Some(selector) = objects.iter().find_map(|object| pods::selector_of(object)) else {
        return Vec::new();
    };
    if selector.is_all() {
        return Vec::new();
    }
    let Ok(kind) = step.cluster.resolve("pods", Some("v1")).await else {
        return Vec::new();
    };
    match step
        .cluster
        .list(&kind, found.namespace.as_deref(), &selector)
        .await
    {
        Ok(listing) => listing.objects,
        Err(_) => Vec::new(),
    }
}

async fn of_pod(step: &StepContext, pod: &Object, only: Option<&str>) -> Vec<String> {
    let mut causes = vec![format!("pod/{}: {}", pod.name(), pod_state(pod))];
    for status in pods::container_statuses(pod) {
        let name = pods::text(status, &["name"]);
        if only.is_some_and(|only| only != name) {
            continue;
        }
        if let Some(waiting) = status.get("state").and_then(|state| state.get("waiting")) {
            let message = pods::text(waiting, &["message"]);
            if !message.is_empty() {
                causes.push(format!("pod/{} container {name}: {message}", pod.name()));
            }
            let reason = pods::text(waiting, &["reason"]);
            if matches!(reason, "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull") {
                causes.push(format!(
                    "the node has no image {} and can't pull it: load it with `muster cluster load ARCHIVE`, or mend its name",
                    pods::text(status, &["image"])
                ));
            }
        }
        let ended_last = status
            .get("lastState")
            .and_then(|state| state.get("terminated"))
            .is_some();
        let ended_now = status
            .get("state")
            .and_then(|state| state.get("terminated"))
            .is_some();
        if ended_last || ended_now {
            let running = status
                .get("state")
                .is_some_and(|state| state.get("running").is_some());
            for line in last_words(step, pod, name, ended_last && running).await {
                causes.push(format!("pod/{} container {name} said: {line}", pod.name()));
            }
        }
    }
    causes
}

async fn last_words(step: &StepContext, pod: &Object, container: &str, previous: bool) -> Vec<String> {
    let query = LogQuery {
        namespace: pod.namespace().unwrap_or_default().to_owned(),
        pod: pod.name().to_owned(),
        container: Some(container.to_owned()),
        previous,
        tail: Some(LINES),
        ..LogQuery::default()
    };
    let read = async {
        let mut lines = Vec::new();
        if let Ok(mut stream) = step.cluster.logs(query).await {
            while let Ok(Some(line)) = stream.next().await {
                lines.push(line.text);
            }
        }
        lines
    };
    let lines = tokio::time::timeout(Duration::from_secs(3), read).await;
    telling(lines.unwrap_or_default())
}

/// Of some last lines those that tell most: complaints, or else the last ones. Stack traces tell a developer of that
/// program more than a user of it.
fn telling(lines: Vec<String>) -> Vec<String> {
    let told = |line: &String| !line.trim().is_empty() && !line.starts_with(char::is_whitespace);
    let complains = |line: &String| {
        let line = line.to_lowercase();
        [
            "error", "fatal", "panic", "fail", "denied", "refused", "cannot", "can't",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    let told: Vec<String> = lines.into_iter().filter(told).collect();
    let complaints: Vec<String> = told.iter().filter(|line| complains(line)).cloned().collect();
    let mut best = if complaints.is_empty() { told } else { complaints };
    best.split_off(best.len().saturating_sub(SHOWN))
}

fn of_conditions(object: &Object) -> Vec<String> {
    object
        .list(&["status", "conditions"])
        .iter()
        .filter(|condition| {
            let bad_when = match pods::text(condition, &["type"]) {
                "Ready" | "Available" | "Progressing" | "Established" | "Complete" => "False",
                "Failed" | "ReplicaFailure" | "Degraded" => "True",
                _ => return false,
            };
            pods::text(condition, &["status"]) == bad_when
        })
        .map(|condition| {
            format!(
                "{}: {}={} ({}: {})",
                object.reference(),
                pods::text(condition, &["type"]),
                pods::text(condition, &["status"]),
                pods::text(condition, &["reason"]),
                pods::text(condition, &["message"])
            )
        })
        .collect()
}

/// The latest warnings about some names.
async fn warnings(step: &StepContext, found: &Found, names: &[String]) -> Vec<String> {
    let Some(namespace) = found.namespace.as_deref() else {
        return Vec::new();
    };
    let Ok(kind) = step.cluster.resolve("events", Some("v1")).await else {
        return Vec::new();
    };
    let Ok(listing) = step.cluster.list(&kind, Some(namespace), &Selector::all()).await else {
        return Vec::new();
    };
    let mut events: Vec<_> = listing
        .objects
        .iter()
        .filter(|event| event.text(&["type"]) == "Warning" && !is_before(event, step.mark.time))
        .filter(|event| {
            let about = event.text(&["involvedObject", "name"]);
            names
                .iter()
                .any(|name| about == name || about.starts_with(&format!("{name}-")))
        })
        .collect();
    events.sort_by_key(|event| last_time(event));
    let mut texts: Vec<String> = Vec::new();
    for event in events.iter().rev() {
        let text = format!(
            "event on {}/{}: {}: {}",
            event.text(&["involvedObject", "kind"]).to_lowercase(),
            event.text(&["involvedObject", "name"]),
            event.text(&["reason"]),
            event.text(&["message"])
        );
        if !texts.contains(&text) {
            texts.push(text);
        }
        if texts.len() == 4 {
            break;
        }
    }
    texts.reverse();
    texts
}

/// Whether an event was last seen before a time; the API gives whole seconds.
fn is_before(event: &Object, time: Timestamp) -> bool {
    last_time(event)
        .parse::<Timestamp>()
        .is_ok_and(|seen| seen.as_second() < time.as_second())
}

/// The time at which an event was last seen, as text that sorts.
pub(crate) fn last_time(event: &Object) -> String {
    for path in [
        &["lastTimestamp"][..],
        &["eventTime"],
        &["metadata", "creationTimestamp"],
    ] {
        if let Some(Value::String(time)) = event.at(path) {
            return time.clone();
        }
    }
    String::new()
}

/// What to look at to see what there is: a namespace of the scenario is gone by the time that somebody reads this.
pub(crate) fn look_hint(step: &StepContext, found: &Found) -> String {
    let goes = found
        .namespace
        .as_ref()
        .is_some_and(|namespace| step.ctx.is_own_namespace(namespace));
    if goes && step.ctx.options.keep == Keep::Never {
        return "the evidence lists what there was; `--keep on-failure` leaves it in the cluster".to_owned();
    }
    let namespace = found
        .namespace
        .as_ref()
        .map_or(String::new(), |namespace| format!(" -n {namespace}"));
    match &found.which {
        Which::Name(_) => format!(
            "`kubectl get {}{namespace}` lists what there is",
            found.kind.plural
        ),
        Which::Labels(_) => {
            format!(
                "`kubectl get {}{namespace} --show-labels` lists what there is",
                found.kind.plural
            )
        }
    }
}

/// The default container of a pod, or its first.
pub(crate) fn main_container(pod: &Object) -> Option<String> {
    default_container(pod).or_else(|| {
        pod.list(&["spec", "containers"])
            .first()
            .map(|container| pods::text(container, &["name"]).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        telling(text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn complaints_come_before_other_lines_and_stack_traces_never() {
        assert_eq!(
            lines("start\nFatal run error: x\nstopping\nmain.main\n\t/main.go:1"),
            ["Fatal run error: x"]
        );
        assert_eq!(lines("a\nb\nc\nd\n    at x"), ["b", "c", "d"]);
        assert!(lines("").is_empty());
    }
}
