//! A node: namespaces with a first process of muster's own, and in them containerd, kube-proxy and a kubelet.
//!
//! Invariant: ending a node's first process ends the node: its processes, mounts and network go with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::{HOST, NodeAddress, POD_NET};
use super::cgroup::{Hierarchies, TOP};
use super::command::find;
use super::config::{self, Containerd};
use super::layout::{Layout, NODE_BIN, NODE_CONFIG, make_dir, set_mode, write_file};
use super::pki::Pki;
use super::process::{Daemon, ProcessId, children, died};
use super::state::Journal;
use super::{check, images, network};
use crate::ProvisionError;
use crate::error::FileContext;

/// What a node's first process is told, by a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitSpec {
    pub(crate) hostname: String,
    /// Put over their targets in this order.
    pub(crate) binds: Vec<Bind>,
    /// Below `/proc/sys`, in the node's network namespace.
    pub(crate) sysctls: Vec<(String, String)>,
}

/// A file or folder of the host, and where the node sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) source: String,
    pub(crate) target: String,
}

/// A node on its way up.
pub(crate) struct Node<'a> {
    pub(crate) address: NodeAddress,
    pub(crate) all: &'a [NodeAddress],
    pub(crate) layout: &'a Layout,
    pub(crate) journal: &'a Journal,
    /// The Kubernetes binary (one for all components).
    pub(crate) binary: &'a Path,
}

/// A node whose runtime runs.
pub(crate) struct Powered {
    pub(crate) init: ProcessId,
}

/// The runtime's socket, seen from the host.
pub(crate) fn runtime_socket(init: ProcessId) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root/run/containerd/containerd.sock", init.pid))
}

impl Node<'_> {
    fn name(&self) -> String {
        self.address.name()
    }

    fn cgroup(&self) -> String {
        format!("{TOP}/{}/system", self.name())
    }

    fn log(&self, role: &str) -> PathBuf {
        self.layout.log(&format!("{}-{role}", self.name()))
    }

    /// Makes the node's folder, its namespaces and its network, and starts its runtime.
    pub(crate) async fn power_on(&self, pki: &Pki, template: &Path) -> Result<Powered, ProvisionError> {
        let name = self.name();
        self.write_files(pki)?;
        images::copy(template, &self.layout.node_var(&name).join("lib/containerd")).await?;
        let cgroups = Hierarchies::discover()?;
        cgroups.create(&format!("{TOP}/{name}"), false)?;
        cgroups.create(&self.cgroup(), true)?;
        let init = self.start_init().await?;
        network::node_up(self.address, self.all, init).await?;
        let program = find("containerd").unwrap_or_else(|| "containerd".into());
        let args = vec!["--config".to_owned(), format!("{NODE_CONFIG}/containerd.toml")];
        let process = self.start("containerd", program, args, init).await?;
        images::wait_socket(
            &runtime_socket(init),
            process,
            &format!("containerd of {name}"),
            &self.log("containerd"),
        )
        .await?;
        Ok(Powered { init })
    }

    /// Starts what needs the API server.
    pub(crate) async fn join(&self, powered: &Powered) -> Result<(), ProvisionError> {
        let (name, ip) = (self.name(), self.address.ip());
        let program = |component: &str| Path::new(NODE_BIN).join(component);
        let kubelet = [
            format!("--config={NODE_CONFIG}/kubelet.json"),
            format!("--kubeconfig={NODE_CONFIG}/kubelet.kubeconfig"),
            format!("--hostname-override={name}"),
            format!("--node-ip={ip}"),
            "--root-dir=/var/lib/kubelet".to_owned(),
            "--cert-dir=/var/lib/kubelet/pki".to_owned(),
        ];
        let proxy = [
            format!("--kubeconfig={NODE_CONFIG}/kube-proxy.kubeconfig"),
            format!("--hostname-override={name}"),
            format!("--cluster-cidr={POD_NET}"),
            "--proxy-mode=iptables".to_owned(),
            "--conntrack-max-per-core=0".to_owned(),
            // The second of the two would otherwise wait for a second after the first change.
            "--iptables-min-sync-period=100ms".to_owned(),
        ];
        self.start("kubelet", program("kubelet"), kubelet.into(), powered.init)
            .await?;
        self.start("kube-proxy", program("kube-proxy"), proxy.into(), powered.init)
            .await?;
        Ok(())
    }

    async fn start(
        &self,
        role: &str,
        program: PathBuf,
        args: Vec<String>,
        init: ProcessId,
    ) -> Result<ProcessId, ProvisionError> {
        let name = self.name();
        let daemon = Daemon {
            role: format!("{role} of {name}"),
            program,
            args,
            log: self.log(role),
            cgroup: self.cgroup(),
        };
        let process = daemon.start_in(init).await?;
        self.journal.started(role, Some(&name), process)?;
        Ok(process)
    }

    /// The namespaces and their first process.
    async fn start_init(&self) -> Result<ProcessId, ProvisionError> {
        let name = self.name();
        let args = [
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation=private",
        ]
        .into_iter()
        .map(String::from)
        // The executable by way of this process: it may have been replaced on disk since it started.
        .chain([
            "--".to_owned(),
            format!("/proc/{}/exe", std::process::id()),
            crate::child::CHILD.to_owned(),
            crate::child::NODE_INIT.to_owned(),
            self.spec_file().display().to_string(),
        ])
        .collect();
        let daemon = Daemon {
            role: format!("init of {name}"),
            program: find("unshare").unwrap_or_else(|| "unshare".into()),
            args,
            log: self.log("init"),
            cgroup: self.cgroup(),
        };
        let keeper = daemon.start_and_hear(Duration::from_secs(20)).await?;
        self.journal.started("keeper", Some(&name), keeper)?;
        let init = children(keeper.pid)
            .first()
            .and_then(|pid| ProcessId::of(*pid))
            .ok_or_else(|| died(&format!("init of {name}"), &self.log("init")))?;
        self.journal.started("init", Some(&name), init)?;
        Ok(init)
    }

    fn spec_file(&self) -> PathBuf {
        self.layout.node(&self.name()).join("init.json")
    }

    fn write_files(&self, pki: &Pki) -> Result<(), ProvisionError> {
        let name = self.name();
        let (node, var, etc) = (
            self.layout.node(&name),
            self.layout.node_var(&name),
            self.layout.node_config(&name),
        );
        for dir in [
            "lib/kubelet",
            "lib/cni",
            "lib/containerd",
            "lib/muster/cni",
            "log",
            "tmp",
            "cache",
        ] {
            make_dir(&var.join(dir))?;
        }
        for (link, target) in [("run", "/run"), ("lock", "/run/lock")] {
            std::os::unix::fs::symlink(target, var.join(link)).at("link", var.join(link))?;
        }
        let identity = pki.node(self.address)?;
        let ca = &pki.authority.certificate;
        let containerd = Containerd {
            root: "/var/lib/containerd",
            state: "/run/containerd",
            socket: "/run/containerd/containerd.sock",
            cni_bin: check::cni_folder(),
            restrict_oom_score_adj: !has_sys_resource(),
        };
        let machine_id = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
            .unwrap_or_default()
            .replace('-', "");
        for (path, text) in [
            (etc.join("ca.crt"), ca.clone()),
            (etc.join("kubelet.crt"), identity.certificate.clone()),
            (etc.join("kubelet.key"), identity.key.clone()),
            (
                etc.join("kubelet.kubeconfig"),
                config::kubeconfig("muster", "kubelet", ca, &identity),
            ),
            (
                etc.join("kube-proxy.kubeconfig"),
                config::kubeconfig("muster", "kube-proxy", ca, &pki.proxy),
            ),
            (etc.join("kubelet.json"), config::kubelet(self.address)),
            (etc.join("containerd.toml"), containerd.render()),
            (etc.join("cni/10-muster.conflist"), config::cni(self.address)),
            (etc.join("resolv.conf"), format!("nameserver {HOST}\n")),
            (node.join("hostname"), format!("{name}\n")),
            (node.join("hosts"), config::hosts(self.all)),
            (node.join("machine-id"), machine_id),
        ] {
            write_file(&path, &text)?;
        }
        for file in ["hostname", "hosts", "machine-id"] {
            set_mode(&node.join(file), 0o644)?;
        }
        set_mode(&var.join("tmp"), 0o1777)?;
        let text = serde_json::to_string_pretty(&self.spec()).map_err(|e| ProvisionError::BadRecord {
            path: self.spec_file(),
            reason: e.to_string(),
        })?;
        write_file(&self.spec_file(), &text)
    }

    fn spec(&self) -> InitSpec {
        let name = self.name();
        let node = self.layout.node(&name);
        let bind = |source: &Path, target: &str| Bind {
            source: source.display().to_string(),
            target: target.to_owned(),
        };
        let mut binds = vec![
            bind(&self.layout.node_var(&name), "/var"),
            bind(self.binary.parent().unwrap_or(self.binary), NODE_BIN),
            bind(&self.layout.tmp(), "/tmp"),
        ];
        for file in ["hostname", "hosts", "machine-id"] {
            let target = format!("/etc/{file}");
            if Path::new(&target).is_file() {
                binds.push(bind(&node.join(file), &target));
            }
        }
        let sysctls = ["net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"];
        InitSpec {
            hostname: name,
            binds,
            sysctls: sysctls
                .into_iter()
                .map(|n| (n.to_owned(), "1".to_owned()))
                .collect(),
        }
    }
}

/// Whether this process may lower oom_score_adj (CAP_SYS_RESOURCE, bit 24).
fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    capabilities(&status).is_some_and(|caps| caps & (1 << 24) != 0)
}

fn capabilities(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_sys_resource_is_seen() {
        assert_eq!(
            capabilities("Name:\tx\nCapEff:\t000001fffeffffff\n").map(|c| c & (1 << 24)),
            Some(0)
        );
        assert_ne!(
            capabilities("CapEff:\t000001ffffffffff\n").map(|c| c & (1 << 24)),
            Some(0)
        );
    }
}
