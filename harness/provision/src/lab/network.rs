//! The wires: a bridge on the host, a cable to each node, a pod bridge and routes in each node.
//!
//! Invariant: on the host, links are named by [`address`](super::address), routes go over them and rules carry
//! [`RULE_COMMENT`], so [`host_down`] finds all of them without a memory.

use super::address::{BRIDGE, HOST, NODE_NET, NodeAddress, POD_NET, RULE_COMMENT};
use super::command::run;
use super::process::ProcessId;
use crate::ProvisionError;

/// The host's bridge and rules.
pub(crate) async fn host_up() -> Result<(), ProvisionError> {
    run("make the bridge of the nodes", "ip")
        .args(["-batch", "-"])
        .input(format!(
            "link add {BRIDGE} type bridge\naddr add {HOST}/24 dev {BRIDGE}\nlink set {BRIDGE} up\n"
        ))
        .ok()
        .await?;
    // First in their chains: a container engine or a firewall may drop at the end of them.
    let comment = format!("-m comment --comment {RULE_COMMENT}");
    run("let the nodes through the firewall", "iptables-restore")
        .args(["--noflush", "--wait"])
        .input(format!(
            "*filter\n\
             -I INPUT -i {BRIDGE} {comment} -j ACCEPT\n\
             -I FORWARD -i {BRIDGE} {comment} -j ACCEPT\n\
             -I FORWARD -o {BRIDGE} {comment} -j ACCEPT\n\
             COMMIT\n\
             *nat\n\
             -A POSTROUTING -s {NODE_NET} ! -o {BRIDGE} {comment} -j MASQUERADE\n\
             COMMIT\n"
        ))
        .ok()
        .await
}

/// Connects a node, whose first process is `init`, and gives it its pod bridge and its routes.
pub(crate) async fn node_up(
    node: NodeAddress,
    all: &[NodeAddress],
    init: ProcessId,
) -> Result<(), ProvisionError> {
    let (name, link, pid) = (node.name(), node.link(), init.pid);
    run(format!("connect {name}"), "ip")
        .args(["-batch", "-"])
        .input(format!(
            "link add {link} type veth peer name eth0 netns {pid}\n\
             link set {link} master {BRIDGE} up\n\
             route replace {} via {}\n",
            node.pod_net(),
            node.ip()
        ))
        .ok()
        .await?;
    let mut batch = format!(
        "link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\nroute add default via {HOST}\n\
         link add cni0 type bridge\naddr add {}/24 dev cni0\nlink set cni0 up\n",
        node.ip(),
        node.pod_gateway()
    );
    for other in all.iter().filter(|o| **o != node) {
        batch.push_str(&format!("route add {} via {}\n", other.pod_net(), other.ip()));
    }
    let inside = |doing: &str| {
        run(format!("{doing} of {name}"), "nsenter").args(["--target", &pid.to_string(), "--net", "--"])
    };
    inside("set the network up")
        .args(["ip", "-batch", "-"])
        .input(batch)
        .ok()
        .await?;
    // Sources are kept among pods; what leaves for elsewhere goes by the node's address.
    inside("set the rules up")
        .args(["iptables-restore", "--noflush", "--wait"])
        .input(format!(
            "*nat\n-A POSTROUTING -s {} ! -d {POD_NET} -o eth0 -j MASQUERADE\nCOMMIT\n",
            node.pod_net()
        ))
        .ok()
        .await
}

/// The lab's links that are there on the host.
pub(crate) fn links() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name == BRIDGE || name.starts_with("muster-node"))
        .collect()
}

/// Whether another bridge is on the host: then something else may rely on IP forwarding.
pub(crate) fn other_bridges() -> bool {
    let entries = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|e| e.path())
        .any(|p| p.join("bridge").is_dir() && !p.ends_with(BRIDGE))
}

/// Removes the host's links (routes go with them) and rules.
pub(crate) async fn host_down() -> Result<(), ProvisionError> {
    let links = links();
    if !links.is_empty() {
        let batch: String = links.iter().map(|l| format!("link del {l}\n")).collect();
        // A cable may go by itself in between, when its node's namespace is torn down; look again below.
        let result = run("remove the links of the lab", "ip")
            .args(["-force", "-batch", "-"])
            .input(batch)
            .ok()
            .await;
        if !self::links().is_empty() {
            result?;
        }
    }
    let rules = run("list the rules", "iptables-save").output().await?;
    let removal = removal(&rules);
    if removal.is_empty() {
        return Ok(());
    }
    run("remove the rules of the lab", "iptables-restore")
        .args(["--noflush", "--wait"])
        .input(removal)
        .ok()
        .await
}

/// Input for `iptables-restore` that deletes the lab's rules out of what `iptables-save` printed.
fn removal(saved: &str) -> String {
    let (mut text, mut table, mut open) = (String::new(), "", false);
    for line in saved.lines() {
        if line.starts_with('*') {
            (table, open) = (line, false);
        }
        let ours = line
            .split_whitespace()
            .any(|w| w.trim_matches('"') == RULE_COMMENT);
        if let (true, Some(rule)) = (ours, line.strip_prefix("-A ")) {
            if !open {
                text.push_str(&format!("{table}\n"));
                open = true;
            }
            text.push_str(&format!("-D {rule}\n"));
        }
        if line == "COMMIT" && open {
            text.push_str("COMMIT\n");
            open = false;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_labs_rules_are_removed() {
        let saved = "# Generated\n*filter\n:FORWARD DROP [0:0]\n\
            -A FORWARD -i muster0 -m comment --comment muster-lab -j ACCEPT\n\
            -A FORWARD -i docker0 -j ACCEPT\nCOMMIT\n\
            *mangle\nCOMMIT\n\
            *nat\n-A POSTROUTING -s 10.243.0.0/24 ! -o muster0 -m comment --comment \"muster-lab\" -j MASQUERADE\n\
            -A POSTROUTING -m comment --comment muster-lab-not -j RETURN\nCOMMIT\n";
        assert_eq!(
            removal(saved),
            "*filter\n-D FORWARD -i muster0 -m comment --comment muster-lab -j ACCEPT\nCOMMIT\n\
             *nat\n-D POSTROUTING -s 10.243.0.0/24 ! -o muster0 -m comment --comment \"muster-lab\" -j MASQUERADE\n\
             COMMIT\n"
        );
        assert_eq!(removal("*filter\n-A FORWARD -i docker0 -j ACCEPT\nCOMMIT\n"), "");
    }
}
