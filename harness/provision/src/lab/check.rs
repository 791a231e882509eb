//! What a machine must have to run a lab.
//!
//! Invariant: looking changes nothing, and every failed finding names what mends it.

use std::path::Path;

use super::address::{self, Net};
use super::command::{find, run};
use super::registry::Registration;
use super::{Hierarchies, LabOptions};

/// One thing that the lab needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is needed, for people: `program iptables`.
    pub what: String,
    /// Whether it is there.
    pub ok: bool,
    /// The command or act that brings it. Empty when `ok`.
    pub remedy: String,
}

impl Finding {
    fn new(what: impl Into<String>, ok: bool, remedy: impl Into<String>) -> Self {
        Finding {
            what: what.into(),
            ok,
            remedy: if ok { String::new() } else { remedy.into() },
        }
    }
}

/// Programs and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 14] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("iptables-save", "iptables"),
    ("iptables-restore", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("cp", "coreutils"),
    ("sh", "dash"),
];

/// Plugins that the pod network needs.
const CNI_PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];

/// Folders where distributions put CNI plugins.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// The components of the Kubernetes binary.
const COMPONENTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
];

/// Where the CNI plugins are.
pub(crate) fn cni_folder() -> Option<&'static str> {
    CNI_FOLDERS
        .into_iter()
        .find(|dir| CNI_PLUGINS.iter().all(|p| Path::new(dir).join(p).is_file()))
}

/// Looks at everything that a lab of these options needs. Findings come in a fixed order, failed and fine ones.
pub async fn check(options: &LabOptions) -> Vec<Finding> {
    let mut findings = vec![Finding::new(
        "root",
        rustix::process::geteuid().is_root(),
        "run it as root: sudo muster cluster up ...",
    )];
    findings.extend(PROGRAMS.iter().map(|(program, package)| {
        Finding::new(
            format!("program {program}"),
            find(program).is_some(),
            format!("apt-get install -y {package}"),
        )
    }));
    findings.push(Finding::new(
        format!(
            "CNI plugins {} in {}",
            CNI_PLUGINS.join(", "),
            CNI_FOLDERS.join(" or ")
        ),
        cni_folder().is_some(),
        "apt-get install -y containernetworking-plugins",
    ));
    findings.extend(kernel());
    findings.extend(outputs(options));
    findings.extend(disk(options));
    findings.extend(subnets(options).await);
    findings
}

fn kernel() -> Vec<Finding> {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    vec![
        Finding::new(
            "cgroups mounted below /sys/fs/cgroup",
            Hierarchies::discover().is_ok_and(|h| !h.is_empty()),
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        ),
        Finding::new(
            "kernel feature overlayfs",
            file("/proc/filesystems")
                .lines()
                .any(|l| l.split_whitespace().last() == Some("overlay")),
            "modprobe overlay",
        ),
        Finding::new(
            "kernel feature bridge netfilter",
            Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists(),
            "modprobe br_netfilter",
        ),
    ]
}

fn outputs(options: &LabOptions) -> Vec<Finding> {
    let bin = options.bin();
    let missing: Vec<&str> = COMPONENTS
        .into_iter()
        .filter(|c| !bin.join(c).is_file())
        .collect();
    let archives = super::images::archives(&options.archives()).unwrap_or_default();
    let what = if missing.is_empty() || missing.len() == COMPONENTS.len() {
        format!("Kubernetes binaries in {}", bin.display())
    } else {
        format!("Kubernetes binaries {} in {}", missing.join(", "), bin.display())
    };
    vec![
        Finding::new(what, missing.is_empty(), "run fixtures/lab/build"),
        Finding::new(
            format!("image archives (*.tar) in {}", options.archives().display()),
            !archives.is_empty(),
            "run fixtures/images/build",
        ),
    ]
}

fn disk(options: &LabOptions) -> Vec<Finding> {
    const OVERLAYFS: u64 = 0x794c_7630;
    const NEEDED: u64 = 2 << 30;
    let existing = options
        .state
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    let Ok(stat) = rustix::fs::statfs(existing) else {
        return vec![Finding::new(
            format!("folder {}", existing.display()),
            false,
            "make it readable",
        )];
    };
    let free = u64::try_from(stat.f_bsize)
        .unwrap_or(0)
        .saturating_mul(stat.f_bavail);
    vec![
        Finding::new(
            format!("2 GiB free for {}", options.state.display()),
            free >= NEEDED,
            format!("make room on the filesystem of {}", existing.display()),
        ),
        Finding::new(
            format!(
                "{} on a filesystem that can carry overlayfs",
                options.state.display()
            ),
            u64::try_from(stat.f_type) != Ok(OVERLAYFS),
            "in a container, mount a volume at /var/lib/muster",
        ),
    ]
}

async fn subnets(options: &LabOptions) -> Vec<Finding> {
    let ours = [address::NODE_NET, address::POD_NET, address::SERVICE_NET];
    let registered = Registration::current().ok().flatten();
    // The lab's own routes are no conflict; whether it may be replaced is not asked here.
    let own = registered.as_ref().is_some_and(|r| r.name == options.name);
    let remedy = match registered.filter(|_| !own) {
        Some(other) => format!(
            "lab `{0}` runs here; take it down: muster cluster down --name {0}",
            other.name
        ),
        None => "remove what uses it: see `ip route show table all`".to_owned(),
    };
    let routes = run("list routes", "ip")
        .args(["-4", "-o", "route", "show", "table", "all"])
        .output()
        .await;
    let used = used_networks(&routes.unwrap_or_default(), own);
    ours.into_iter()
        .map(|net| {
            let users: Vec<String> = used
                .iter()
                .filter(|(n, _)| n.overlaps(net))
                .map(|(n, dev)| format!("{n} on {dev}"))
                .collect();
            let what = if users.is_empty() {
                format!("subnet {net} unused")
            } else {
                format!("subnet {net} unused (a route has {})", users.join(", "))
            };
            Finding::new(what, users.is_empty(), remedy.clone())
        })
        .collect()
}

/// The networks that `ip route` lists, default routes aside, with their devices.
fn used_networks(routes: &str, without_ours: bool) -> Vec<(Net, String)> {
    const KINDS: [&str; 7] = [
        "local",
        "broadcast",
        "unicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
    ];
    let mut found: Vec<(Net, String)> = Vec::new();
    for line in routes.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(net) = words
            .iter()
            .find(|w| !KINDS.contains(w))
            .and_then(|w| Net::parse(w))
        else {
            continue;
        };
        let device = words
            .iter()
            .position(|w| *w == "dev")
            .and_then(|i| words.get(i + 1))
            .unwrap_or(&"no device");
        let own = without_ours && *device == address::BRIDGE;
        // An address within a network that its device has anyway tells nothing new.
        let known = found.iter().any(|(n, d)| d == device && n.overlaps(net));
        if !own && !known && net != Net::new([0, 0, 0, 0], 0) {
            found.push((net, (*device).to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "default via 192.0.2.1 dev eth0 \n\
        10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1 \n\
        10.243.0.0/24 dev muster0 proto kernel scope link src 10.243.0.1 \n\
        local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 \n\
        blackhole 10.96.0.0/12 \n";

    #[test]
    fn networks_in_use_are_read_from_the_routes() {
        let used = used_networks(ROUTES, false);
        let text: Vec<String> = used.iter().map(|(n, d)| format!("{n} {d}")).collect();
        assert_eq!(
            text,
            [
                "10.244.0.0/24 cni0",
                "10.243.0.0/24 muster0",
                "127.0.0.1/32 lo",
                "10.96.0.0/12 no device"
            ]
        );
    }

    #[test]
    fn the_labs_own_routes_are_no_conflict() {
        assert!(!used_networks(ROUTES, true).iter().any(|(_, d)| d == "muster0"));
    }

    #[tokio::test]
    async fn missing_outputs_are_found_with_the_command_that_builds_them() {
        let dir = tempfile::tempdir().unwrap();
        let options = LabOptions {
            cache: dir.path().to_owned(),
            ..LabOptions::named("test")
        };
        let findings = check(&options).await;
        let remedies: Vec<&str> = findings
            .iter()
            .filter(|f| !f.ok)
            .map(|f| f.remedy.as_str())
            .collect();
        assert!(remedies.contains(&"run fixtures/lab/build"), "{findings:?}");
        assert!(remedies.contains(&"run fixtures/images/build"), "{findings:?}");
        assert!(findings.iter().filter(|f| f.ok).all(|f| f.remedy.is_empty()));
    }
}
