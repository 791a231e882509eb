//! Evidence: what a colleague needs to understand a failure without the cluster.
//!
//! Invariant: it is taken before anything is deleted or put back, within its own budget, and no Secret's content is in
//! it.

use std::fmt::Write as _;
use std::sync::Arc;

use muster_cluster::{LogQuery, Selector};
use muster_model::Object;
use muster_model::event::EventKind;
use serde_json::Value;

use crate::causes::last_time;
use crate::context::Context;
use crate::expect::readiness::pod_state;
use crate::options::budget;
use crate::pods;

/// What is read in each namespace of the scenario.
const KINDS: [&str; 14] = [
    "pods",
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "replicasets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "services",
    "endpointslices.discovery.k8s.io",
    "configmaps",
    "persistentvolumeclaims",
    "serviceaccounts",
    "networkpolicies.networking.k8s.io",
    "ingresses.networking.k8s.io",
];

/// The most lines of one container's log.
const LINES: i64 = 5000;

/// Takes the evidence of a failed scenario.
pub(crate) async fn take(ctx: &Arc<Context>) {
    if tokio::time::timeout(budget::EVIDENCE, take_all(ctx))
        .await
        .is_err()
    {
        ctx.emit(EventKind::Noted {
            message: format!(
                "evidence is incomplete: its {} were used up",
                crate::wait::human(budget::EVIDENCE)
            ),
            place: None,
        });
    }
}

async fn take_all(ctx: &Arc<Context>) {
    let folder = format!("scenario-{}", ctx.scope.scenario.unwrap_or(0));
    let namespaces = ctx.namespaces();
    let mut each = Vec::new();
    for (_, namespace) in &namespaces {
        each.push(of_namespace(ctx, &folder, namespace));
    }
    futures::future::join_all(each).await;
    cluster_scoped(ctx, &folder).await;
    book(ctx, &folder);
}

fn write(ctx: &Context, path: &str, what: &str, bytes: &[u8]) {
    if let Err(error) = ctx.recorder.evidence(&ctx.scope, path, what, bytes) {
        ctx.emit(EventKind::Noted {
            message: format!("evidence {path} could not be written: {error}"),
            place: None,
        });
    }
}

async fn list(ctx: &Context, kind: &str, namespace: Option<&str>) -> Vec<Arc<Object>> {
    let Ok(kind) = ctx.cluster.resolve(kind, None).await else {
        return Vec::new();
    };
    match ctx.cluster.list(&kind, namespace, &Selector::all()).await {
        Ok(listing) => listing.objects,
        Err(_) => Vec::new(),
    }
}

async fn of_namespace(ctx: &Context, folder: &str, namespace: &str) {
    let mut requests = Vec::new();
    for kind in KINDS {
        requests.push(list(ctx, kind, Some(namespace)));
    }
    let lists = futures::future::join_all(requests).await;
    let mut overview = format!("namespace {namespace}\n\n");
    for (kind, objects) in KINDS.iter().zip(&lists) {
        if objects.is_empty() {
            continue;
        }
        let name = kind.split('.').next().unwrap_or(kind);
        for object in objects {
            let _ = writeln!(overview, "{name:24} {:48} {}", object.name(), state(object));
        }
        let values: Vec<&Value> = objects.iter().map(|object| &object.0).collect();
        if let Ok(json) = serde_json::to_vec_pretty(&values) {
            write(
                ctx,
                &format!("{folder}/{namespace}/{name}.json"),
                &format!("{name} in namespace {namespace}"),
                &json,
            );
        }
    }
    // Secrets by name and keys only.
    for secret in list(ctx, "secrets", Some(namespace)).await {
        let keys: Vec<_> = secret
            .at(&["data"])
            .and_then(Value::as_object)
            .map(|data| data.keys().cloned().collect())
            .unwrap_or_default();
        let _ = writeln!(
            overview,
            "{:24} {:48} keys: {}",
            "secrets",
            secret.name(),
            keys.join(", ")
        );
    }
    write(
        ctx,
        &format!("{folder}/{namespace}/overview.txt"),
        &format!("what is in namespace {namespace}"),
        overview.as_bytes(),
    );
    events(ctx, folder, namespace).await;
    let pods = lists.into_iter().next().unwrap_or_default();
    let mut reads = Vec::new();
    for pod in &pods {
        reads.push(logs(ctx, folder, pod));
    }
    futures::future::join_all(reads).await;
}

fn state(object: &Object) -> String {
    match object.kind() {
        "Pod" => {
            let ready = pods::container_statuses(object)
                .filter(|status| status.get("ready") == Some(&Value::Bool(true)))
                .count();
            let all = object.list(&["spec", "containers"]).len();
            let restarts: i64 = pods::container_statuses(object)
                .filter_map(|status| status.get("restartCount").and_then(Value::as_i64))
                .sum();
            format!("{ready}/{all} ready, {restarts} restarts, {}", pod_state(object))
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" => {
            let ready = object
                .integer(&["status", "readyReplicas"])
                .or_else(|| object.integer(&["status", "numberReady"]))
                .unwrap_or(0);
            format!("{ready}/{} ready", pods::desired(object).unwrap_or(0))
        }
        _ => object.text(&["status", "phase"]).to_owned(),
    }
}

async fn events(ctx: &Context, folder: &str, namespace: &str) {
    let mut events = list(ctx, "events", Some(namespace)).await;
    events.sort_by_key(|event| last_time(event));
    let mut text = String::new();
    for event in &events {
        let _ = writeln!(
            text,
            "{:28} {:8} {}/{} {}: {} (x{})",
            last_time(event),
            event.text(&["type"]),
            event.text(&["involvedObject", "kind"]).to_lowercase(),
            event.text(&["involvedObject", "name"]),
            event.text(&["reason"]),
            event.text(&["message"]),
            event.integer(&["count"]).unwrap_or(1)
        );
    }
    write(
        ctx,
        &format!("{folder}/{namespace}/events.txt"),
        &format!("events in namespace {namespace}, oldest first"),
        text.as_bytes(),
    );
}

async fn logs(ctx: &Context, folder: &str, pod: &Object) {
    let namespace = pod.namespace().unwrap_or_default();
    for status in pods::container_statuses(pod) {
        let container = pods::text(status, &["name"]);
        let restarted = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0) > 0;
        for previous in [false, true] {
            if previous && !restarted {
                continue;
            }
            let query = LogQuery {
                namespace: namespace.to_owned(),
                pod: pod.name().to_owned(),
                container: Some(container.to_owned()),
                previous,
                tail: Some(LINES),
                ..LogQuery::default()
            };
            let Ok(mut stream) = ctx.cluster.logs(query).await else {
                continue;
            };
            let mut text = String::new();
            while let Ok(Some(line)) = stream.next().await {
                let _ = writeln!(text, "{} {}", line.time, line.text);
            }
            let (suffix, which) = if previous {
                (".previous", "previous log")
            } else {
                ("", "log")
            };
            write(
                ctx,
                &format!("{folder}/{namespace}/logs/{}/{container}{suffix}.log", pod.name()),
                &format!("{which} of {container} of pod/{}", pod.name()),
                text.as_bytes(),
            );
        }
    }
}

/// The cluster-scoped objects that the scenario changed.
async fn cluster_scoped(ctx: &Context, folder: &str) {
    for reference in ctx.undo.pending() {
        if reference.namespace.is_some() || reference.kind == "Namespace" || reference.kind == "Secret" {
            continue;
        }
        let Ok(kind) = ctx
            .cluster
            .resolve(&reference.kind, Some(&reference.api_version))
            .await
        else {
            continue;
        };
        let Ok(Some(object)) = ctx.cluster.get(&kind, None, &reference.name).await else {
            continue;
        };
        if let Ok(json) = serde_json::to_vec_pretty(&object.0) {
            let path = format!(
                "{folder}/cluster/{}-{}.json",
                reference.kind.to_lowercase(),
                reference.name
            );
            write(ctx, &path, &reference.to_string(), &json);
        }
    }
}

/// The lines that were followed from the first step on: of pods that are gone too.
fn book(ctx: &Context, folder: &str) {
    for track in ctx.book.tracks() {
        let data = track.read();
        if data.lines.is_empty() {
            continue;
        }
        let mut text = String::new();
        for line in &data.lines {
            let _ = writeln!(
                text,
                "{} {} {}: {}",
                line.time, line.pod_name, line.container, line.text
            );
        }
        let name = track.found().display().replace('/', "-");
        write(
            ctx,
            &format!("{folder}/followed/{name}.log"),
            &format!(
                "all lines of {} since the scenario began, of pods that are gone too",
                track.found().display()
            ),
            text.as_bytes(),
        );
    }
}
