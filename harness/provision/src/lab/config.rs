//! The configuration files of the lab's components.
//!
//! Invariant: pure functions from values to text; nothing here touches the machine.

use base64::Engine;
use serde_json::json;

use super::address::{self, NodeAddress};
use super::layout::NODE_CONFIG;
use super::pki::Identity;

/// The pause image that every pod's sandbox runs.
pub(crate) const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// containerd's configuration (version 2, read by 1.6 and later).
pub(crate) struct Containerd<'a> {
    pub(crate) root: &'a str,
    pub(crate) state: &'a str,
    pub(crate) socket: &'a str,
    /// Where the CNI plugins are; none: no pods are to run here.
    pub(crate) cni_bin: Option<&'a str>,
    /// Without CAP_SYS_RESOURCE runc can't set a negative oom_score_adj and dies.
    pub(crate) restrict_oom_score_adj: bool,
}

impl Containerd<'_> {
    pub(crate) fn render(&self) -> String {
        let Containerd {
            root,
            state,
            socket,
            restrict_oom_score_adj,
            ..
        } = self;
        let cri_off = if self.cni_bin.is_none() {
            r#""io.containerd.grpc.v1.cri", "#
        } else {
            ""
        };
        let mut text = format!(
            r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [{cri_off}"io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]

[grpc]
  address = "{socket}"
"#
        );
        if let Some(cni_bin) = self.cni_bin {
            text.push_str(&format!(
                r#"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = {restrict_oom_score_adj}
  sandbox_image = "{PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_bin}"
    conf_dir = "{NODE_CONFIG}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"#
            ));
        }
        text
    }
}

/// The node's pod network. Sources are kept: what leaves the pod network is masqueraded by a rule of the node.
pub(crate) fn cni(node: NodeAddress) -> String {
    pretty(&json!({
        "cniVersion": "0.4.0",
        "name": "muster",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": node.pod_net().to_string() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    }))
}

/// The kubelet's configuration.
pub(crate) fn kubelet(node: NodeAddress) -> String {
    pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": format!("{NODE_CONFIG}/ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": format!("{NODE_CONFIG}/kubelet.crt"),
        "tlsPrivateKeyFile": format!("{NODE_CONFIG}/kubelet.key"),
        "clusterDNS": [address::DNS_SERVICE.to_string()],
        "clusterDomain": address::DOMAIN,
        // Names that aren't the cluster's are asked of the cluster DNS as well: the host's own resolver may be
        // one that listens on a loopback address only.
        "resolvConf": format!("{NODE_CONFIG}/resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}/{}", super::cgroup::TOP, node.name()),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failSwapOn": false,
        // Images can't be pulled again, so none may be collected, however full the disk.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        // ConfigMap and Secret volumes follow their objects within about a second instead of a minute.
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "syncFrequency": "10s",
        // A scenario reads logs from its mark on: rotation must not take lines away.
        "containerLogMaxSize": "200Mi",
        "containerLogMaxFiles": 5,
        "serializeImagePulls": false,
    }))
}

/// A kubeconfig with everything embedded.
pub(crate) fn kubeconfig(cluster: &str, user: &str, authority: &str, identity: &Identity) -> String {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: {cluster}\n\
         clusters:\n\
         - name: {cluster}\n  cluster:\n    server: https://{}:{}\n    certificate-authority-data: {}\n\
         users:\n\
         - name: {user}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n\
         contexts:\n\
         - name: {cluster}\n  context:\n    cluster: {cluster}\n    user: {user}\n",
        address::HOST,
        address::API_PORT,
        base64(authority),
        base64(&identity.certificate),
        base64(&identity.key),
    )
}

/// CoreDNS's configuration. `forward`: whether the host has a resolver for names that aren't the cluster's.
pub(crate) fn corefile(kubeconfig: &str, forward: bool) -> String {
    let (host, domain) = (address::HOST, address::DOMAIN);
    let forward = if forward {
        "    forward . /etc/resolv.conf\n"
    } else {
        ""
    };
    format!(
        ".:53 {{\n    bind {host}\n    errors\n    ready {host}:8181\n    \
         kubernetes {domain} in-addr.arpa ip6.arpa {{\n        kubeconfig {kubeconfig}\n        pods insecure\n        \
         fallthrough in-addr.arpa ip6.arpa\n        ttl 5\n    }}\n{forward}    \
         cache 30 {{\n        disable success {domain}\n        disable denial {domain}\n    }}\n}}\n"
    )
}

/// Whether a resolv.conf names a resolver.
pub(crate) fn has_resolver(resolv_conf: &str) -> bool {
    resolv_conf
        .lines()
        .any(|l| l.split_whitespace().next() == Some("nameserver"))
}

/// What is written to the audit log: who did what to which object, for every request, once.
pub(crate) const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\n\
    kind: Policy\n\
    omitStages: [RequestReceived]\n\
    rules:\n\
    - level: Metadata\n";

/// The node's `/etc/hosts`.
pub(crate) fn hosts(nodes: &[NodeAddress]) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for node in nodes {
        text.push_str(&format!("{} {}\n", node.ip(), node.name()));
    }
    text
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containerd_without_pods_has_no_cri() {
        let mut config = Containerd {
            root: "/r",
            state: "/s",
            socket: "/c.sock",
            cni_bin: None,
            restrict_oom_score_adj: true,
        };
        assert!(
            config
                .render()
                .contains(r#"disabled_plugins = ["io.containerd.grpc.v1.cri", "#)
        );
        assert!(!config.render().contains("sandbox_image"));
        config.cni_bin = Some("/usr/lib/cni");
        let text = config.render();
        assert!(text.contains("restrict_oom_score_adj = true"), "{text}");
        assert!(
            text.contains(r#"sandbox_image = "registry.k8s.io/pause:3.10""#),
            "{text}"
        );
    }

    #[test]
    fn a_kubelet_never_collects_images_and_stays_in_its_cgroup() {
        let config: serde_json::Value = serde_json::from_str(&kubelet(NodeAddress::first(2)[1])).unwrap();
        assert_eq!(config["imageGCHighThresholdPercent"], 100);
        assert_eq!(config["cgroupRoot"], "/muster/node2");
        assert_eq!(config["configMapAndSecretChangeDetectionStrategy"], "Watch");
    }

    #[test]
    fn a_kubeconfig_stands_alone() {
        let identity = Identity {
            certificate: "CERT".into(),
            key: "KEY".into(),
        };
        let text = kubeconfig("muster", "admin", "CA", &identity);
        assert!(text.contains("    server: https://10.243.0.1:6443\n"), "{text}");
        assert!(text.contains("    certificate-authority-data: Q0E=\n"), "{text}");
        assert!(text.contains("    client-key-data: S0VZ\n"), "{text}");
    }

    #[test]
    fn dns_forwards_only_where_the_host_has_a_resolver() {
        assert!(corefile("/k", true).contains("forward . /etc/resolv.conf"));
        assert!(!corefile("/k", false).contains("forward"));
        assert!(has_resolver("# c\nnameserver 192.0.2.1\n"));
        assert!(!has_resolver("search example.org\n# nameserver 192.0.2.1\n"));
    }
}
