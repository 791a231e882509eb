//! What counts as ready, kind by kind.

use serde_json::json;

use super::*;

/// The time of the mark in these tests.
const MARK: &str = "2026-01-01T00:00:10.5Z";

fn object(value: Value) -> Arc<Object> {
    Arc::new(Object(value))
}

fn judge(object: &Object, parts: &[Arc<Object>], removed: &[&str]) -> Readiness {
    let removed = removed.iter().map(|uid| (*uid).to_owned()).collect();
    let demand = Demand {
        generation: 0,
        removed: &removed,
        replicas: None,
        since: MARK.parse().unwrap(),
    };
    assess(object, parts, &demand)
}

fn found(readiness: Readiness) -> String {
    match readiness {
        Readiness::NotYet(mismatch) => mismatch.found,
        other => panic!("{other:?}"),
    }
}

fn deployment(updated: i64, progressing: Value) -> Arc<Object> {
    object(json!({"kind": "Deployment",
        "metadata": {"name": "web", "uid": "d", "generation": 2},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 2, "replicas": updated, "updatedReplicas": updated,
            "availableReplicas": updated, "conditions": [progressing]}}))
}

fn gave_up(time: &str) -> Value {
    json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
        "message": "timed out", "lastUpdateTime": time})
}

fn pod(name: &str, uid: &str, ready: &str) -> Arc<Object> {
    object(json!({"kind": "Pod",
        "metadata": {"name": name, "uid": uid, "labels": {"pod-template-hash": "h"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-h", "uid": "r"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}}))
}

#[test]
fn a_rollout_that_was_given_up_since_the_mark_never_becomes_ready() {
    let deployment = deployment(0, gave_up("2026-01-01T00:00:11Z"));
    assert!(matches!(judge(&deployment, &[], &[]), Readiness::Never(_)));
}

#[test]
fn a_rollout_that_was_given_up_before_the_mark_may_still_come_true() {
    for time in ["2026-01-01T00:00:09Z", "2026-01-01T00:00:10Z"] {
        let stuck = deployment(0, gave_up(time));
        assert_eq!(found(judge(&stuck, &[], &[])), "0", "{time}");
        let done = deployment(1, gave_up(time));
        let pods = [pod("web-h-1", "p", "True")];
        assert!(matches!(judge(&done, &pods, &[]), Readiness::Ready(_)), "{time}");
    }
}

#[test]
fn a_pod_that_the_step_removed_does_not_count() {
    let progressing = json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"});
    let deployment = deployment(1, progressing);
    let old = pod("web-h-1", "old", "True");
    let new = pod("web-h-2", "new", "True");
    let only_old = judge(&deployment, &[Arc::clone(&old)], &["old"]);
    assert!(found(only_old).contains("web-h-1 is one that this step removed"));
    assert!(matches!(
        judge(&deployment, &[old, new], &["old"]),
        Readiness::Ready(_)
    ));
}

#[test]
fn a_pod_belongs_to_the_deployment_of_its_replica_set_only() {
    let named = |name: &str| object(json!({"kind": "Deployment", "metadata": {"name": name, "uid": name}}));
    let pod = pod("web-h-1", "p", "True");
    assert!(belongs(&named("web"), &pod));
    assert!(!belongs(&named("worker"), &pod));
}

fn service(name: &str) -> Arc<Object> {
    object(json!({"kind": "Service", "metadata": {"name": name, "uid": name}}))
}

fn slice(service: &str, endpoints: Value) -> Arc<Object> {
    object(json!({"kind": "EndpointSlice",
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": service}},
        "endpoints": endpoints}))
}

fn endpoint(pod: &str, conditions: Value) -> Value {
    json!({"conditions": conditions, "targetRef": {"kind": "Pod", "uid": pod}})
}

#[test]
fn a_service_is_ready_with_one_ready_endpoint() {
    let none = slice("web", json!([]));
    assert_eq!(found(judge(&service("web"), &[none], &[])), "0 not ready");
    let unready = slice("web", json!([endpoint("a", json!({"ready": false}))]));
    assert_eq!(
        found(judge(&service("web"), &[Arc::clone(&unready)], &[])),
        "1 not ready"
    );
    // An unset condition means ready.
    let ready = slice("web", json!([endpoint("b", json!({}))]));
    assert_eq!(
        judge(&service("web"), &[unready, ready], &[]),
        Readiness::Ready("1 ready endpoints".to_owned())
    );
}

#[test]
fn an_endpoint_of_a_pod_that_the_step_removed_does_not_count() {
    let stale = endpoint("old", json!({"ready": true}));
    let before = slice("web", json!([stale.clone()]));
    assert_eq!(
        found(judge(&service("web"), &[before], &["old"])),
        "0 not ready, 1 removed by this step"
    );
    let after = slice("web", json!([stale, endpoint("new", json!({"ready": true}))]));
    assert!(matches!(
        judge(&service("web"), &[after], &["old"]),
        Readiness::Ready(_)
    ));
}

#[test]
fn a_slice_belongs_to_the_service_that_it_names() {
    let slice = slice("web", json!([]));
    assert!(belongs(&service("web"), &slice));
    assert!(!belongs(&service("worker"), &slice));
}
