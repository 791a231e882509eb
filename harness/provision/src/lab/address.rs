//! Names and subnets of the lab, fixed for now.
//!
//! Invariant: everything that the lab makes in a network namespace is named or addressed by this module, and by
//! nothing else.

use std::net::Ipv4Addr;

/// The bridge of the nodes, in the host's namespace.
pub(crate) const BRIDGE: &str = "muster0";
/// Marks iptables rules in the host's namespace.
pub(crate) const RULE_COMMENT: &str = "muster-lab";
/// The host's address on the bridge: API server, cluster DNS.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 243, 0, 1);
/// Where the API server listens.
pub(crate) const API_PORT: u16 = 6443;
/// Node addresses.
pub(crate) const NODE_NET: Net = Net::new([10, 243, 0, 0], 24);
/// Pod addresses of all nodes.
pub(crate) const POD_NET: Net = Net::new([10, 244, 0, 0], 16);
/// Service addresses.
pub(crate) const SERVICE_NET: Net = Net::new([10, 96, 0, 0], 16);
/// The Service `kubernetes`.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The Service `kube-dns`.
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The cluster's DNS domain.
pub(crate) const DOMAIN: &str = "cluster.local";
/// Node k has the address 10.243.0.(k+1) and the pods 10.244.k.0/24; more than this were never tried.
pub(crate) const MOST_NODES: u32 = 20;

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    address: [u8; 4],
    prefix: u8,
}

impl Net {
    pub(crate) const fn new(address: [u8; 4], prefix: u8) -> Self {
        Net { address, prefix }
    }

    /// Reads `10.0.0.0/8` or a lone address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix = prefix.parse().ok().filter(|p| *p <= 32)?;
        Some(Net {
            address: address.octets(),
            prefix,
        })
    }

    /// Whether the two share an address.
    pub(crate) fn overlaps(self, other: Net) -> bool {
        let bits = self.prefix.min(other.prefix);
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        u32::from_be_bytes(self.address) & mask == u32::from_be_bytes(other.address) & mask
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.prefix)
    }
}

/// A node by its number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeAddress(u8);

impl NodeAddress {
    /// The first `count` nodes.
    pub(crate) fn first(count: u32) -> Vec<NodeAddress> {
        (1..=count.min(MOST_NODES))
            .filter_map(|k| u8::try_from(k).ok())
            .map(NodeAddress)
            .collect()
    }

    pub(crate) fn name(self) -> String {
        format!("node{}", self.0)
    }

    pub(crate) fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 243, 0, self.0 + 1)
    }

    pub(crate) fn pod_net(self) -> Net {
        Net::new([10, 244, self.0, 0], 24)
    }

    /// The node's address on its pod bridge.
    pub(crate) fn pod_gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.0, 1)
    }

    /// The host's end of the node's cable.
    pub(crate) fn link(self) -> String {
        format!("muster-node{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_addresses_and_pods_of_their_own() {
        let nodes = NodeAddress::first(3);
        assert_eq!(
            nodes.iter().map(|n| n.ip().to_string()).collect::<Vec<_>>(),
            ["10.243.0.2", "10.243.0.3", "10.243.0.4"]
        );
        assert_eq!(nodes[2].pod_net().to_string(), "10.244.3.0/24");
        assert!(NODE_NET.overlaps(Net::parse("10.243.0.4").unwrap()));
        assert!(!nodes[0].pod_net().overlaps(nodes[1].pod_net()));
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let net = |t| Net::parse(t).unwrap();
        assert!(net("10.0.0.0/8").overlaps(POD_NET));
        assert!(POD_NET.overlaps(net("10.244.7.9")));
        assert!(net("0.0.0.0/0").overlaps(POD_NET));
        assert!(!net("10.245.0.0/16").overlaps(POD_NET));
        assert!(Net::parse("10.0.0.0/33").is_none());
        assert!(Net::parse("default").is_none());
    }

    #[test]
    fn link_names_fit_the_kernels_15_bytes() {
        for node in NodeAddress::first(MOST_NODES) {
            assert!(node.link().len() <= 15, "{}", node.link());
        }
    }
}
