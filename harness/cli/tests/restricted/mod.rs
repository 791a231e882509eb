//! A ServiceAccount that may do little, and a kubeconfig with its token.
//!
//! Invariant: it lives in a namespace of its own, which goes away with it.

use std::time::{Duration, Instant};

use muster_cluster::{ApplyOptions, Cluster, DeleteOptions};
use serde_json::{Value, json};

use crate::ask;

/// The account. It may read ConfigMaps in its namespace, see namespaces, and nothing else.
pub(crate) struct Restricted {
    cluster: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// A kubeconfig with its token.
    pub(crate) kubeconfig: String,
}

impl Restricted {
    /// Makes it.
    pub(crate) fn create(cluster: &str) -> Self {
        let namespace = format!("muster-test-rights-{}", std::process::id());
        let kubeconfig = ask(cluster, async |cluster| make(&cluster, &namespace).await);
        Self {
            cluster: cluster.to_owned(),
            namespace,
            kubeconfig,
        }
    }
}

impl Drop for Restricted {
    fn drop(&mut self) {
        ask(&self.cluster, async |cluster| {
            let options = DeleteOptions::default();
            for (kind, name) in [
                ("namespaces", &self.namespace),
                ("clusterrolebindings", &self.namespace),
                ("clusterroles", &self.namespace),
            ] {
                let kind = cluster.resolve(kind, None).await.unwrap();
                let _ = cluster.delete(&kind, None, name, &options).await;
            }
        });
    }
}

async fn make(cluster: &Cluster, namespace: &str) -> String {
    let subjects = json!([{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}]);
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
               "metadata": {"name": "reader", "annotations": {"kubernetes.io/service-account.name": "reader"}}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
               "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, "subjects": subjects}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": namespace},
               "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": namespace},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace}, "subjects": subjects}),
    ];
    for object in &objects {
        cluster
            .apply(object, Some(namespace), &ApplyOptions::default())
            .await
            .unwrap();
    }
    let secrets = cluster.resolve("secrets", Some("v1")).await.unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let secret = cluster.get(&secrets, Some(namespace), "reader").await.unwrap();
        let data = secret.and_then(|secret| secret.0.get("data").cloned());
        if let Some(token) = data
            .as_ref()
            .and_then(|data| data.get("token"))
            .and_then(Value::as_str)
        {
            let authority = data
                .as_ref()
                .and_then(|data| data["ca.crt"].as_str())
                .unwrap_or_default();
            return kubeconfig(cluster.server(), authority, &decoded(token));
        }
        assert!(Instant::now() < end, "the account got no token");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn decoded(text: &str) -> String {
    use base64::Engine;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

fn kubeconfig(server: &str, authority: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "reader",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "reader", "user": {"token": token}}],
        "contexts": [{"name": "reader", "context": {"cluster": "c", "user": "reader"}}],
    })
    .to_string()
}
