//! Objects: apply, create, patch, read, delete, scale, and kinds that come later.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_cluster::{
    ApplyOptions, Change, Cluster, DeleteOptions, Deletion, ErrorClass, Outcome, Patch, Query, ResolveError,
    Selector, Target,
};
use serde_json::{Value, json};

use crate::{Ground, until};

pub(crate) fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

fn deployment(replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "registry.invalid/none", "env": [{"name": "A", "value": "1"}]}]}}}})
}

/// A CustomResourceDefinition of a group of the trial's own.
pub(crate) fn definition(ground: &Ground) -> (String, Value) {
    let group = format!("{}.example.com", ground.namespace);
    let manifest = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}}}}]}});
    (group, manifest)
}

pub(crate) async fn remove_definition(cluster: &Cluster, group: &str) {
    let kind = cluster.resolve("crd", None).await.unwrap();
    let name = format!("widgets.{group}");
    cluster
        .delete(&kind, None, &name, &DeleteOptions::default())
        .await
        .unwrap();
}

pub(crate) async fn apply_outcomes(ground: Arc<Ground>) {
    let cluster = ground.cluster.scoped();
    cluster.resolve("configmap", None).await.unwrap();
    let before = cluster.requests().sent;
    let options = ApplyOptions {
        extra_labels: BTreeMap::from([("muster.dev/run".to_owned(), "r1".to_owned())]),
        ..ApplyOptions::default()
    };
    let first = cluster
        .apply(&config("a", "1"), ground.ns(), &options)
        .await
        .unwrap();
    assert_eq!(first.outcome, Outcome::Created);
    assert_eq!(first.object.label("muster.dev/run"), Some("r1"));
    assert_eq!(first.object.kind(), "ConfigMap");
    assert!(first.object.at(&["metadata", "managedFields"]).is_none());
    let second = cluster
        .apply(&config("a", "2"), ground.ns(), &ApplyOptions::default())
        .await
        .unwrap();
    assert_eq!(second.outcome, Outcome::Existing);
    assert_eq!(second.object.text(&["data", "key"]), "2");
    assert_eq!(second.object.uid(), first.object.uid());
    assert_eq!(
        second.object.label("muster.dev/run"),
        None,
        "applied without the label: it goes"
    );
    assert_eq!(cluster.requests().sent - before, 2, "an apply is one request");
}

pub(crate) async fn apply_refuses(ground: Arc<Ground>) {
    let refused = async |manifest: Value| {
        let options = ApplyOptions::default();
        ground
            .cluster
            .apply(&manifest, ground.ns(), &options)
            .await
            .unwrap_err()
    };
    let mut typo = deployment(1);
    typo["spec"]["replica"] = 3.into();
    let error = refused(typo).await;
    assert_eq!(error.class, ErrorClass::Invalid, "{error}");
    assert!(
        error
            .to_string()
            .contains(".spec.replica: field not declared in schema"),
        "{error}"
    );
    let mut negative = deployment(1);
    negative["spec"]["replicas"] = (-1).into();
    let error = refused(negative).await;
    assert_eq!(
        (error.class, error.status),
        (ErrorClass::Invalid, Some(422)),
        "{error}"
    );
    assert_eq!(error.causes[0].field, "spec.replicas");
    let text = error.to_string();
    assert_eq!(text.matches("greater than or equal to 0").count(), 1, "{text}");
    let error = refused(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})).await;
    assert_eq!(
        error.to_string(),
        "apply configmap/: the manifest has no metadata.name"
    );
    let error = refused(json!({"kind": "ConfigMap", "metadata": {"name": "a"}})).await;
    assert_eq!(
        error.to_string(),
        "apply a manifest: it has no apiVersion or no kind"
    );
    let error = refused(json!({"apiVersion": "v1", "kind": "ConfigMp", "metadata": {"name": "a"}})).await;
    assert_eq!(error.class, ErrorClass::NotServed);
    assert!(error.to_string().contains("did you mean ConfigMap?"), "{error}");
    let mut elsewhere = config("a", "1");
    elsewhere["metadata"]["namespace"] = "muster-no-such-namespace".into();
    let error = refused(elsewhere).await;
    assert_eq!(error.class, ErrorClass::NotFound, "{error}");
    assert!(
        error
            .to_string()
            .contains("namespaces \"muster-no-such-namespace\" not found"),
        "{error}"
    );
}

pub(crate) async fn apply_conflict(ground: Arc<Ground>) {
    let other = ApplyOptions {
        field_manager: "somebody-else".into(),
        ..ApplyOptions::default()
    };
    ground
        .cluster
        .apply(&config("a", "1"), ground.ns(), &other)
        .await
        .unwrap();
    let mine = ApplyOptions::default();
    let error = ground
        .cluster
        .apply(&config("a", "2"), ground.ns(), &mine)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Conflict);
    assert_eq!(error.causes[0].field, ".data.key");
    let text = error.to_string();
    assert!(
        text.contains("somebody-else") && text.contains("which takes it over"),
        "{text}"
    );
    let forced = ApplyOptions { force: true, ..mine };
    let written = ground
        .cluster
        .apply(&config("a", "2"), ground.ns(), &forced)
        .await
        .unwrap();
    assert_eq!(written.object.text(&["data", "key"]), "2");
    let kind = ground.kind("configmap").await;
    let managers = ground
        .cluster
        .field_managers(&kind, ground.ns(), "a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(managers, ["muster"], "who owns nothing any more is no manager");
    assert_eq!(
        ground
            .cluster
            .field_managers(&kind, ground.ns(), "none")
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn create(ground: Arc<Ground>) {
    let created = ground
        .cluster
        .create(&config("a", "1"), ground.ns())
        .await
        .unwrap();
    assert_eq!(created.outcome, Outcome::Created);
    let error = ground
        .cluster
        .create(&config("a", "1"), ground.ns())
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::AlreadyExists);
    let generated = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}});
    let generated = ground.cluster.create(&generated, ground.ns()).await.unwrap();
    assert!(generated.object.name().starts_with("g-"));
    let typo = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "dta": {}});
    let error = ground.cluster.create(&typo, ground.ns()).await.unwrap_err();
    assert!(error.to_string().contains("unknown field \"dta\""), "{error}");
}

pub(crate) async fn patch(ground: Arc<Ground>) {
    ground.apply(&deployment(0)).await;
    let kind = ground.kind("deployment").await;
    let send = async |patch: Patch| {
        ground
            .cluster
            .patch(&kind, ground.ns(), "web", &patch, None, "muster")
            .await
    };
    let env = |name: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": name, "value": "2"}]}]}}}});
    let strategic = send(Patch::Strategic(env("B"))).await.unwrap();
    let containers = |written: &muster_cluster::Written| {
        written.object.list(&["spec", "template", "spec", "containers"])[0].clone()
    };
    assert_eq!(
        containers(&strategic)["env"].as_array().unwrap().len(),
        2,
        "merged by name"
    );
    assert_eq!(strategic.outcome, Outcome::Existing);
    let json =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "9"}]);
    let patched = send(Patch::Json(json)).await.unwrap();
    assert_eq!(containers(&patched)["env"][0]["value"], "9");
    let merged = send(Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}})))
        .await
        .unwrap();
    assert_eq!(merged.object.text(&["metadata", "annotations", "a"]), "b");
    let error = send(Patch::Merge(json!({"spec": {"replica": 1}})))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("unknown field \"spec.replica\""),
        "{error}"
    );
    let error = send(Patch::Json(
        json!([{"op": "test", "path": "/spec/replicas", "value": 7}]),
    ))
    .await
    .unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid, "{error}");
    let nobody = Patch::Merge(json!({}));
    let error = ground
        .cluster
        .patch(&kind, ground.ns(), "none", &nobody, None, "muster")
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    let status = Patch::Merge(json!({"status": {"observedGeneration": 77}}));
    let written = ground
        .cluster
        .patch(&kind, ground.ns(), "web", &status, Some("status"), "muster")
        .await;
    assert_eq!(written.unwrap().object.kind(), "Deployment");
}

pub(crate) async fn read(ground: Arc<Ground>) {
    let kind = ground.kind("cm").await;
    assert_eq!(ground.cluster.get(&kind, ground.ns(), "a").await.unwrap(), None);
    let mut labelled = config("a", "1");
    labelled["metadata"]["labels"] = json!({"app": "x"});
    ground.apply(&labelled).await;
    ground.apply(&config("b", "1")).await;
    let object = ground
        .cluster
        .get(&kind, ground.ns(), "a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(object.reference().to_string(), "configmap/a");
    let selector: Selector = [("app", "x")].into_iter().collect();
    let listing = ground.cluster.list(&kind, ground.ns(), &selector).await.unwrap();
    assert_eq!(
        *listing.objects[0], object,
        "an item of a list is the whole object"
    );
    assert_eq!(listing.objects.len(), 1);
    assert!(!listing.resource_version.is_empty());
    let everywhere = ground.cluster.list(&kind, None, &selector).await.unwrap();
    assert!(everywhere.objects.iter().any(|o| o.uid() == object.uid()));
    let error = ground.cluster.get(&kind, None, "a").await.unwrap_err();
    assert!(error.to_string().contains("none is given"), "{error}");
    let unserved = muster_cluster::Kind {
        plural: "confs".into(),
        ..kind
    };
    let error = ground.cluster.get(&unserved, ground.ns(), "a").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotServed, "{error}");
}

pub(crate) async fn delete(ground: Arc<Ground>) {
    let kind = ground.kind("configmap").await;
    let uid = ground.apply(&config("a", "1")).await.object.uid().to_owned();
    let delete = async |uid: &str| {
        let options = DeleteOptions {
            uid: Some(uid.to_owned()),
            ..DeleteOptions::default()
        };
        ground
            .cluster
            .delete(&kind, ground.ns(), "a", &options)
            .await
            .unwrap()
    };
    assert_eq!(
        delete("00000000-0000-0000-0000-000000000000").await,
        Deletion::NotFound
    );
    assert!(
        ground
            .cluster
            .get(&kind, ground.ns(), "a")
            .await
            .unwrap()
            .is_some(),
        "another's object stays"
    );
    assert_eq!(delete(&uid).await, Deletion::Gone);
    assert_eq!(delete(&uid).await, Deletion::NotFound);
    let mut held = config("a", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let uid = ground.apply(&held).await.object.uid().to_owned();
    assert_eq!(delete(&uid).await, Deletion::Terminating { uid: uid.clone() });
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    ground
        .cluster
        .patch(&kind, ground.ns(), "a", &free, None, "muster")
        .await
        .unwrap();
    assert_eq!(delete(&uid).await, Deletion::NotFound);
}

pub(crate) async fn scale(ground: Arc<Ground>) {
    ground.apply(&deployment(0)).await;
    let kind = ground.kind("deployment").await;
    let written = ground.cluster.scale(&kind, ground.ns(), "web", 2).await.unwrap();
    assert_eq!(written.object.integer(&["spec", "replicas"]), Some(2));
    assert_eq!(written.object.kind(), "Deployment");
    assert_eq!(written.object.generation(), 2);
    let error = ground
        .cluster
        .scale(&kind, ground.ns(), "none", 2)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    let config = ground.kind("configmap").await;
    let error = ground
        .cluster
        .scale(&config, ground.ns(), "a", 2)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("configmaps have no scale subresource"),
        "{error}"
    );
}

pub(crate) async fn new_kind(ground: Arc<Ground>) {
    let (group, manifest) = definition(&ground);
    let version = format!("{group}/v1");
    let unknown = ground
        .cluster
        .resolve("widget", Some(&version))
        .await
        .unwrap_err();
    assert!(matches!(unknown, ResolveError::Unknown { .. }), "{unknown}");
    ground.cluster.create(&manifest, None).await.unwrap();
    let kind = until("widgets are served", async || {
        ground.cluster.resolve("widget", Some(&version)).await.ok()
    })
    .await;
    assert_eq!(kind.resource(), format!("widgets.{group}"));
    assert!(kind.namespaced && kind.has_subresource("status"));
    let widget = |spec: Value| json!({"apiVersion": version, "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let options = ApplyOptions::default();
    let written = until("a widget can be applied", async || {
        ground
            .cluster
            .apply(&widget(json!({"size": 1})), ground.ns(), &options)
            .await
            .ok()
    })
    .await;
    assert_eq!(written.object.integer(&["spec", "size"]), Some(1));
    let error = ground
        .cluster
        .apply(&widget(json!({"sise": 1})), ground.ns(), &options)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("sise"), "{error}");
    let status = Patch::Merge(json!({"status": {"phase": "Ready"}}));
    let written = ground
        .cluster
        .patch(&kind, ground.ns(), "w", &status, Some("status"), "muster")
        .await
        .unwrap();
    assert_eq!(written.object.text(&["status", "phase"]), "Ready");
    let mut watch = ground.cluster.watch(Query {
        kind,
        namespace: Some(ground.namespace.clone()),
        target: Target::All,
    });
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(watch.objects().count(), 1);
    remove_definition(&ground.cluster, &group).await;
}
