//! What a fresh API server must hold, and when a lab is ready.
//!
//! Invariant: ready means that a pod created now is scheduled, starts, and resolves names.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};

use super::address::{API_SERVICE, DNS_SERVICE, DOMAIN, HOST, NodeAddress};
use super::api::Api;
use super::process::ProcessId;
use crate::ProvisionError;

/// The objects: access for the cluster DNS, its Service and endpoint, the default StorageClass.
fn objects() -> [(&'static str, Value); 5] {
    let rule = |group: &str, resources: &[&str]| json!({ "apiGroups": [group], "resources": resources, "verbs": ["list", "watch"] });
    let dns_ports = [("dns", "UDP"), ("dns-tcp", "TCP")];
    [
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": { "name": "system:coredns" },
                "rules": [
                    rule("", &["endpoints", "services", "pods", "namespaces"]),
                    rule("discovery.k8s.io", &["endpointslices"]),
                ],
            }),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": { "name": "system:coredns" },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns" },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns" }],
            }),
        ),
        (
            "/api/v1/namespaces/kube-system/services",
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "kube-dns",
                    "labels": { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" },
                },
                "spec": {
                    "clusterIP": DNS_SERVICE.to_string(),
                    "ports": dns_ports.map(|(name, protocol)| json!({ "name": name, "port": 53, "protocol": protocol })),
                },
            }),
        ),
        (
            "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices",
            json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": { "name": "kube-dns-host", "labels": { "kubernetes.io/service-name": "kube-dns" } },
                "addressType": "IPv4",
                "endpoints": [{ "addresses": [HOST.to_string()], "conditions": { "ready": true } }],
                "ports": dns_ports.map(|(name, protocol)| json!({ "name": name, "port": 53, "protocol": protocol })),
            }),
        ),
        (
            "/apis/storage.k8s.io/v1/storageclasses",
            json!({
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": "standard",
                    "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
                },
                "provisioner": "kubernetes.io/host-path",
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
            }),
        ),
    ]
}

/// Makes the objects that a fresh cluster lacks.
pub(crate) async fn create_objects(api: &Api) -> Result<(), ProvisionError> {
    let objects = objects();
    futures::future::try_join_all(objects.iter().map(|(path, object)| api.create(path, object)))
        .await
        .map(drop)
}

/// What is not ready yet, for people; none when all is.
pub(crate) async fn missing(api: &Api, nodes: &[(NodeAddress, ProcessId)]) -> Option<String> {
    let names: Vec<String> = nodes.iter().map(|(node, _)| node.name()).collect();
    match api.get("/api/v1/nodes").await {
        Err(e) => return Some(e.to_string()),
        Ok(list) => {
            if let Some(reason) = unready_nodes(&list, &names) {
                return Some(reason);
            }
        }
    }
    for path in [
        "/api/v1/namespaces/default/serviceaccounts/default",
        "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
        "/apis/storage.k8s.io/v1/storageclasses/standard",
    ] {
        if let Err(e) = api.get(path).await {
            return Some(e.to_string());
        }
    }
    for (node, init) in nodes {
        if let Err(reason) = dns_answers(*init).await {
            return Some(format!(
                "cluster DNS does not answer on {}: {reason}",
                node.name()
            ));
        }
    }
    None
}

/// Why the listed nodes are not those wanted, all Ready and free of taints.
fn unready_nodes(list: &Value, names: &[String]) -> Option<String> {
    let empty = Vec::new();
    let items = list["items"].as_array().unwrap_or(&empty);
    for name in names {
        let Some(node) = items.iter().find(|n| n["metadata"]["name"] == name.as_str()) else {
            return Some(format!("{name} is not registered"));
        };
        let ready = node["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["type"] == "Ready");
        match ready {
            Some(condition) if condition["status"] == "True" => {}
            Some(condition) => return Some(format!("{name} is not Ready: {}", condition["message"])),
            None => return Some(format!("{name} says nothing of being Ready")),
        }
        if let Some(taint) = node["spec"]["taints"].as_array().and_then(|t| t.first()) {
            return Some(format!("{name} has the taint {}", taint["key"]));
        }
    }
    None
}

/// Asks the cluster DNS, by its Service, from the node whose first process is `init`.
pub(crate) async fn dns_answers(init: ProcessId) -> Result<(), String> {
    let (send, receive) = tokio::sync::oneshot::channel();
    // A thread of its own, because it changes its network namespace and ends with it.
    std::thread::spawn(move || {
        let result = ask_in_namespace(init);
        // Nobody waits any more when `up` was given up.
        let _ = send.send(result);
    });
    receive.await.map_err(|e| e.to_string())?
}

fn ask_in_namespace(init: ProcessId) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let namespace = File::open(format!("/proc/{}/ns/net", init.pid)).map_err(text)?;
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&namespace),
        Some(rustix::thread::LinkNameSpaceType::Network),
    )
    .map_err(|e| e.to_string())?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(text)?;
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .map_err(text)?;
    socket.connect((DNS_SERVICE, 53)).map_err(text)?;
    let name = format!("kubernetes.default.svc.{DOMAIN}");
    socket.send(&query(&name)).map_err(text)?;
    let mut answer = [0_u8; 512];
    let length = socket.recv(&mut answer).map_err(text)?;
    if holds(&answer[..length], API_SERVICE) {
        Ok(())
    } else {
        Err(format!("no address for {name}"))
    }
}

const QUERY_ID: [u8; 2] = [0x6d, 0x75];

/// A DNS question for the IPv4 address of a name (RFC 1035, section 4.1).
fn query(name: &str) -> Vec<u8> {
    let mut packet = QUERY_ID.to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// Whether an answer to [`query`] has no error and an address record with that address.
fn holds(answer: &[u8], address: Ipv4Addr) -> bool {
    let mut record = vec![0, 4];
    record.extend(address.octets());
    answer.len() > 12
        && answer[..2] == QUERY_ID
        && answer[3] & 0x0f == 0
        && answer[12..].windows(record.len()).any(|w| w == record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, taints: Value) -> Value {
        json!({ "items": [{
            "metadata": { "name": "node1" },
            "spec": { "taints": taints },
            "status": { "conditions": [{ "type": "Ready", "status": ready, "message": "cni not there" }] },
        }] })
    }

    #[test]
    fn a_node_counts_when_it_is_ready_and_free_of_taints() {
        let names = ["node1".to_owned()];
        assert_eq!(unready_nodes(&node("True", Value::Null), &names), None);
        assert!(
            unready_nodes(&node("False", Value::Null), &names)
                .unwrap()
                .contains("cni not there")
        );
        let taints = json!([{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }]);
        assert!(
            unready_nodes(&node("True", taints), &names)
                .unwrap()
                .contains("not-ready")
        );
        assert!(
            unready_nodes(&node("True", Value::Null), &["node2".to_owned()])
                .unwrap()
                .contains("node2")
        );
    }

    #[test]
    fn a_dns_answer_without_the_address_is_none() {
        let mut answer = query("a.b");
        answer[2] = 0x81;
        assert!(!holds(&answer, API_SERVICE));
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 96, 0, 1]);
        assert!(holds(&answer, API_SERVICE));
        answer[3] = 0x83;
        assert!(!holds(&answer, API_SERVICE), "NXDOMAIN");
    }
}
