//! Watching, with and without the right to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_cluster::{Change, DeleteOptions, Patch, Query, Target, Watch};
use serde_json::json;

use crate::objects::{config, definition, remove_definition};
use crate::{Ground, until};

async fn query(ground: &Ground, target: Target) -> Query {
    Query {
        kind: ground.kind("configmap").await,
        namespace: Some(ground.namespace.clone()),
        target,
    }
}

/// The next change as `applied a=1`.
async fn seen(watch: &mut Watch) -> String {
    let change = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
    match change.expect("a change within 20 s").unwrap() {
        Change::Applied(object) => format!("applied {}={}", object.name(), object.text(&["data", "key"])),
        Change::Deleted(object) => format!("deleted {}={}", object.name(), object.text(&["data", "key"])),
        other => format!("{other:?}"),
    }
}

async fn delete(ground: &Ground, name: &str) {
    let kind = ground.kind("configmap").await;
    ground
        .cluster
        .delete(&kind, ground.ns(), name, &DeleteOptions::default())
        .await
        .unwrap();
}

pub(crate) async fn order(ground: Arc<Ground>) {
    ground.apply(&config("other", "0")).await;
    let cluster = ground.cluster.scoped();
    let mut watch = cluster.watch(query(&ground, Target::Name("a".into())).await);
    assert_eq!(cluster.requests().sent, 0);
    assert_eq!(seen(&mut watch).await, "Synced");
    assert_eq!(
        cluster.requests().sent,
        1,
        "the first look is one LIST and no WATCH"
    );
    assert_eq!(watch.objects().count(), 0);
    // All of it happens before the WATCH is opened: its floor is the LIST's version.
    for value in ["1", "2", "3"] {
        ground.apply(&config("a", value)).await;
    }
    delete(&ground, "a").await;
    ground.apply(&config("a", "4")).await;
    for expected in [
        "applied a=1",
        "applied a=2",
        "applied a=3",
        "deleted a=3",
        "applied a=4",
    ] {
        assert_eq!(seen(&mut watch).await, expected);
    }
    let object = watch.objects().next().unwrap();
    assert!(object.at(&["metadata", "managedFields"]).is_none());
    assert_eq!((object.kind(), object.api_version()), ("ConfigMap", "v1"));
    assert_eq!(cluster.requests().sent, 2, "one LIST, one WATCH");
}

pub(crate) async fn labels(ground: Arc<Ground>) {
    let kind = ground.kind("configmap").await;
    let target = Target::Labels([("app", "x")].into_iter().collect());
    let mut watch = ground.cluster.watch(query(&ground, target).await);
    assert_eq!(seen(&mut watch).await, "Synced");
    ground.apply(&config("a", "1")).await;
    let label = async |value: serde_json::Value| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
        ground
            .cluster
            .patch(&kind, ground.ns(), "a", &patch, None, "muster")
            .await
            .unwrap();
    };
    label("x".into()).await;
    assert_eq!(seen(&mut watch).await, "applied a=1");
    label(json!(null)).await;
    assert_eq!(seen(&mut watch).await, "deleted a=1");
    assert_eq!(watch.objects().count(), 0);
}

pub(crate) async fn polling(ground: Arc<Ground>) {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]);
    let notices = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&notices);
    let somebody = ground.as_somebody(rules).await;
    let somebody = somebody.on_notice(move |notice| sink.lock().unwrap().push(notice.to_string()));
    let mut watch = somebody.watch(query(&ground, Target::Name("a".into())).await);
    assert_eq!(seen(&mut watch).await, "Synced");
    ground.apply(&config("a", "1")).await;
    assert_eq!(seen(&mut watch).await, "applied a=1");
    delete(&ground, "a").await;
    assert_eq!(seen(&mut watch).await, "deleted a=1");
    let notices = notices.lock().unwrap();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("only get and list are allowed, not watch"),
        "{notices:?}"
    );
}

pub(crate) async fn polling_by_get(ground: Arc<Ground>) {
    let rules =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}]);
    let somebody = ground.as_somebody(rules).await;
    let mut watch = somebody.watch(query(&ground, Target::Name("a".into())).await);
    assert_eq!(seen(&mut watch).await, "Synced");
    ground.apply(&config("a", "1")).await;
    assert_eq!(seen(&mut watch).await, "applied a=1");
    let mut other = somebody.watch(query(&ground, Target::Name("b".into())).await);
    let error = other.next().await.unwrap_err().to_string();
    assert!(error.contains("cannot list resource"), "{error}");
}

pub(crate) async fn unserved(ground: Arc<Ground>) {
    let (group, manifest) = definition(&ground);
    let version = format!("{group}/v1");
    ground.cluster.create(&manifest, None).await.unwrap();
    let kind = until("widgets are served", async || {
        ground.cluster.resolve("widget", Some(&version)).await.ok()
    })
    .await;
    let mut watch = ground.cluster.watch(Query {
        kind,
        namespace: Some(ground.namespace.clone()),
        target: Target::All,
    });
    // Discovery may be ahead of the storage.
    let mut first = watch.next().await.unwrap();
    if first == Change::Unserved {
        first = watch.next().await.unwrap();
    }
    assert_eq!(first, Change::Synced);
    let widget =
        json!({"apiVersion": version, "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}});
    ground.apply(&widget).await;
    assert_eq!(seen(&mut watch).await, "applied w=");
    remove_definition(&ground.cluster, &group).await;
    assert_eq!(seen(&mut watch).await, "deleted w=");
    assert_eq!(seen(&mut watch).await, "Unserved");
    // A definition that is going can't be applied to; it is made anew when it is gone.
    until("the definition is made anew", async || {
        ground.cluster.create(&manifest, None).await.ok()
    })
    .await;
    assert_eq!(seen(&mut watch).await, "Synced");
    remove_definition(&ground.cluster, &group).await;
}
