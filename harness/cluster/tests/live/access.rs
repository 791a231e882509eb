//! Connecting, and what the role allows.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use muster_cluster::{Cluster, ConnectError, ConnectOptions, ErrorClass, Selector};
use serde_json::json;

use crate::Ground;

pub(crate) async fn written_kubeconfig(ground: Arc<Ground>) {
    let path = ground.folder.path().join("child");
    ground.cluster.write_kubeconfig(&path).await.unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let options = ConnectOptions {
        kubeconfig: Some(path.clone()),
        ..ConnectOptions::default()
    };
    let again = Cluster::connect(&options).await.unwrap();
    assert_eq!(again.server(), ground.cluster.server());
    assert_eq!(again.version(), ground.cluster.version());
    assert!(again.version().starts_with("v1."), "{}", again.version());
    assert_eq!(again.context(), ground.cluster.context());
    assert_eq!(again.kubeconfig_paths(), [path]);
    assert_eq!(again.requests().sent, 0, "connecting is not counted");
}

pub(crate) async fn wrong_credentials(ground: Arc<Ground>) {
    ground
        .cluster
        .write_kubeconfig(&ground.folder.path().join("admin"))
        .await
        .unwrap();
    let wrong = ground.kubeconfig(|config| config["users"][0]["user"] = json!({"token": "wrong"}));
    let error = Cluster::connect(&wrong).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unauthorized { .. }), "{error}");
    let untrusted = ground.kubeconfig(|config| {
        let cluster = config["clusters"][0]["cluster"].as_object_mut().unwrap();
        cluster.remove("certificate-authority");
        cluster.remove("certificate-authority-data");
    });
    let error = Cluster::connect(&untrusted).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

pub(crate) async fn forbidden(ground: Arc<Ground>) {
    let nobody = ground.as_somebody(json!([])).await;
    let kind = ground.kind("configmap").await;
    let error = nobody
        .list(&kind, ground.ns(), &Selector::all())
        .await
        .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Forbidden, Some(403)));
    let text = error.to_string();
    let ns = &ground.namespace;
    assert!(
        text.starts_with(&format!(
            "list configmaps in namespace {ns}: configmaps is forbidden: "
        )),
        "{text}"
    );
    assert!(
        text.ends_with(&format!("kubectl auth can-i list configmaps -n {ns})")),
        "{text}"
    );
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let error = nobody
        .apply(&manifest, ground.ns(), &Default::default())
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Forbidden);
    assert!(error.to_string().contains("verbs [patch]"), "{error}");
    let error = nobody
        .exec(ns, "a", None, &["true".into()])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("resources [pods/exec]"), "{error}");
    assert_eq!(
        nobody.requests().retried,
        0,
        "what is forbidden is not sent again"
    );
}

pub(crate) async fn allowed(ground: Arc<Ground>) {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let somebody = ground.as_somebody(rules).await;
    let kind = ground.kind("configmap").await;
    assert!(
        ground
            .cluster
            .allowed("delete", &kind, ground.ns())
            .await
            .unwrap()
    );
    assert!(somebody.allowed("get", &kind, ground.ns()).await.unwrap());
    assert!(!somebody.allowed("delete", &kind, ground.ns()).await.unwrap());
    assert!(!somebody.allowed("get", &kind, Some("kube-system")).await.unwrap());
    assert!(!somebody.allowed("get", &kind, None).await.unwrap());
}

pub(crate) async fn raw(ground: Arc<Ground>) {
    assert_eq!(ground.cluster.raw_get("/readyz").await.unwrap(), "ok");
    let error = ground.cluster.raw_get("/nowhere").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotServed);
}
