//! Keys and certificates of a lab (ECDSA P-256), made anew for each.
//!
//! Two authorities, as kubeadm has them: one for the cluster, one for the front proxy of aggregated APIs.
//!
//! Invariant: a lab's authority keys never leave its state folder, and no two labs share one.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::address::{self, NodeAddress};
use crate::ProvisionError;

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) certificate: String,
    pub(crate) key: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Who a certificate is for.
struct Subject<'a> {
    name: String,
    group: Option<&'a str>,
    dns: Vec<String>,
    ips: Vec<Ipv4Addr>,
}

impl<'a> Subject<'a> {
    fn user(name: impl Into<String>, group: Option<&'a str>) -> Self {
        Subject {
            name: name.into(),
            group,
            dns: Vec::new(),
            ips: Vec::new(),
        }
    }
}

/// All that a lab's components need.
pub(crate) struct Pki {
    pub(crate) authority: Authority,
    pub(crate) front_proxy_authority: Authority,
    pub(crate) front_proxy: Identity,
    pub(crate) api_server: Identity,
    pub(crate) kubelet_client: Identity,
    pub(crate) admin: Identity,
    pub(crate) controller_manager: Identity,
    pub(crate) scheduler: Identity,
    pub(crate) proxy: Identity,
    pub(crate) dns: Identity,
    /// Signs service account tokens; its public half is in `service_account_public`.
    pub(crate) service_account_key: String,
    pub(crate) service_account_public: String,
}

impl Pki {
    /// Makes everything but the nodes' identities.
    pub(crate) fn generate() -> Result<Self, ProvisionError> {
        let authority = Authority::new("muster-lab-ca")?;
        let front_proxy_authority = Authority::new("muster-lab-front-proxy-ca")?;
        let user = |name: &str, group| authority.issue(Subject::user(name, group));
        let service_account = KeyPair::generate()?;
        Ok(Pki {
            front_proxy: front_proxy_authority.issue(Subject::user("front-proxy-client", None))?,
            api_server: authority.issue(Subject {
                name: "kube-apiserver".into(),
                group: None,
                dns: [
                    "kubernetes",
                    "kubernetes.default",
                    "kubernetes.default.svc",
                    "localhost",
                ]
                .into_iter()
                .map(String::from)
                .chain([format!("kubernetes.default.svc.{}", address::DOMAIN)])
                .collect(),
                ips: vec![address::HOST, address::API_SERVICE, Ipv4Addr::LOCALHOST],
            })?,
            kubelet_client: user("kube-apiserver-kubelet-client", Some("system:masters"))?,
            admin: user("kubernetes-admin", Some("system:masters"))?,
            controller_manager: user("system:kube-controller-manager", None)?,
            scheduler: user("system:kube-scheduler", None)?,
            proxy: user("system:kube-proxy", None)?,
            dns: user("system:coredns", None)?,
            service_account_key: service_account.serialize_pem(),
            service_account_public: service_account.public_key_pem(),
            authority,
            front_proxy_authority,
        })
    }

    /// The identity of a node's kubelet, as a client and as a server.
    pub(crate) fn node(&self, node: NodeAddress) -> Result<Identity, ProvisionError> {
        self.authority.issue(Subject {
            name: format!("system:node:{}", node.name()),
            group: Some("system:nodes"),
            dns: vec![node.name()],
            ips: vec![node.ip()],
        })
    }
}

impl Authority {
    fn new(name: &str) -> Result<Self, ProvisionError> {
        let key = KeyPair::generate()?;
        let mut params = params(name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::CrlSign,
        ];
        Ok(Authority {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
            issuer: Issuer::new(params, key),
        })
    }

    fn issue(&self, subject: Subject<'_>) -> Result<Identity, ProvisionError> {
        let key = KeyPair::generate()?;
        let mut params = params(&subject.name)?;
        if let Some(group) = subject.group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        for dns in subject.dns {
            params.subject_alt_names.push(SanType::DnsName(dns.try_into()?));
        }
        params.subject_alt_names.extend(
            subject
                .ips
                .into_iter()
                .map(|ip| SanType::IpAddress(IpAddr::V4(ip))),
        );
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        Ok(Identity {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Valid from yesterday (clocks differ) for ten years.
fn params(common_name: &str) -> Result<CertificateParams, ProvisionError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let today = jiff::Zoned::now().date();
    let from = today.yesterday().unwrap_or(today);
    let day = |year: i16| {
        rcgen::date_time_ymd(
            year.into(),
            from.month().unsigned_abs(),
            from.day().clamp(1, 28).unsigned_abs(),
        )
    };
    params.not_before = day(from.year());
    params.not_after = day(from.year() + 10);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::command::{find, run};

    /// What openssl, which did not make it, says of a certificate.
    async fn openssl(pki: &Pki, identity: &Identity) -> String {
        let dir = tempfile::tempdir().unwrap();
        let (ca, leaf) = (dir.path().join("ca.crt"), dir.path().join("leaf.crt"));
        std::fs::write(&ca, &pki.authority.certificate).unwrap();
        std::fs::write(&leaf, &identity.certificate).unwrap();
        assert!(
            find("openssl").is_some(),
            "openssl is needed for this test: apt-get install openssl"
        );
        let verify = run("verify", "openssl")
            .arg("verify")
            .arg("-CAfile")
            .arg(&ca)
            .arg(&leaf)
            .output()
            .await;
        assert!(verify.unwrap().trim().ends_with("OK"));
        run("show", "openssl")
            .args(["x509", "-noout", "-text", "-in"])
            .arg(&leaf)
            .output()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_api_server_is_known_by_every_name_and_address_that_clients_use() {
        let pki = Pki::generate().unwrap();
        let text = openssl(&pki, &pki.api_server).await;
        for name in [
            "DNS:kubernetes.default.svc,",
            "DNS:kubernetes.default.svc.cluster.local",
            "DNS:localhost",
            "IP Address:127.0.0.1",
            "IP Address:10.96.0.1",
            "IP Address:10.243.0.1",
        ] {
            assert!(text.contains(name), "{name} is missing in {text}");
        }
    }

    #[tokio::test]
    async fn a_kubelet_is_a_node_by_group_and_name() {
        let pki = Pki::generate().unwrap();
        let text = openssl(&pki, &pki.node(NodeAddress::first(2)[1]).unwrap()).await;
        assert!(
            text.contains("CN = system:node:node2, O = system:nodes"),
            "{text}"
        );
        assert!(text.contains("DNS:node2, IP Address:10.243.0.3"), "{text}");
    }

    #[test]
    fn two_labs_share_no_key() {
        let (one, two) = (Pki::generate().unwrap(), Pki::generate().unwrap());
        assert_ne!(one.authority.key, two.authority.key);
        assert_ne!(one.service_account_key, two.service_account_key);
    }
}
