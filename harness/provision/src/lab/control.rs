//! The control plane: etcd, API server, controllers, scheduler and cluster DNS, in the host's namespaces.
//!
//! Invariant: each listens on the nodes' bridge, on a Unix socket, or not at all, so it can't meet another
//! service of the machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{API_PORT, HOST, POD_NET, SERVICE_NET};
use super::api::Api;
use super::command::find;
use super::config;
use super::layout::{Layout, RUN, make_dir, set_mode, write_file};
use super::pki::Pki;
use super::process::{Daemon, ProcessId, died};
use super::state::Journal;
use crate::ProvisionError;

/// The cgroup of the control plane, a leaf.
pub(crate) const CGROUP: &str = "muster/control";

/// Where etcd serves the API server, and nobody else.
pub(crate) fn etcd_socket() -> PathBuf {
    Path::new(RUN).join("etcd.sock")
}

/// The control plane on its way up.
pub(crate) struct Control<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) journal: &'a Journal,
    /// The folder of the Kubernetes binary, with a link per component.
    pub(crate) bin: &'a Path,
    pub(crate) audit: bool,
}

impl Control<'_> {
    /// Writes keys and configuration.
    pub(crate) fn write_files(&self, pki: &Pki) -> Result<(), ProvisionError> {
        let layout = self.layout;
        for dir in [
            layout.logs(),
            layout.pki(""),
            layout.etc(""),
            layout.etcd_data(),
            layout.tmp(),
        ] {
            make_dir(&dir)?;
        }
        set_mode(&layout.tmp(), 0o1777)?;
        let ca = &pki.authority.certificate;
        let kubeconfig = |user: &str, identity| config::kubeconfig("muster", user, ca, identity);
        let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let corefile = config::corefile(
            &layout.etc("coredns.kubeconfig").display().to_string(),
            config::has_resolver(&resolv_conf),
        );
        for (path, text) in [
            (layout.pki("ca.crt"), ca.clone()),
            (layout.pki("ca.key"), pki.authority.key.clone()),
            (
                layout.pki("front-proxy-ca.crt"),
                pki.front_proxy_authority.certificate.clone(),
            ),
            (layout.pki("front-proxy.crt"), pki.front_proxy.certificate.clone()),
            (layout.pki("front-proxy.key"), pki.front_proxy.key.clone()),
            (layout.pki("admin.crt"), pki.admin.certificate.clone()),
            (layout.pki("admin.key"), pki.admin.key.clone()),
            (layout.pki("apiserver.crt"), pki.api_server.certificate.clone()),
            (layout.pki("apiserver.key"), pki.api_server.key.clone()),
            (
                layout.pki("kubelet-client.crt"),
                pki.kubelet_client.certificate.clone(),
            ),
            (layout.pki("kubelet-client.key"), pki.kubelet_client.key.clone()),
            (layout.pki("service-account.key"), pki.service_account_key.clone()),
            (
                layout.pki("service-account.pub"),
                pki.service_account_public.clone(),
            ),
            (
                layout.etc("controller-manager.kubeconfig"),
                kubeconfig("controller-manager", &pki.controller_manager),
            ),
            (
                layout.etc("scheduler.kubeconfig"),
                kubeconfig("scheduler", &pki.scheduler),
            ),
            (layout.etc("coredns.kubeconfig"), kubeconfig("coredns", &pki.dns)),
            (layout.etc("audit.yaml"), config::AUDIT_POLICY.to_owned()),
            (layout.etc("Corefile"), corefile),
            (layout.kubeconfig(), kubeconfig("admin", &pki.admin)),
        ] {
            write_file(&path, &text)?;
        }
        Ok(())
    }

    /// Starts etcd and the API server, and waits until the API server is ready.
    pub(crate) async fn start_api(&self, api: &Api) -> Result<(), ProvisionError> {
        let socket = etcd_socket();
        let client = format!("unix://{}", socket.display());
        // The only member is never told of others: what it advertises is a form, and it listens for peers on
        // whatever port is free.
        let peer = "http://127.0.0.1:2380";
        let etcd = self.start(
            "etcd",
            vec![
                "--name=lab".into(),
                format!("--data-dir={}", self.layout.etcd_data().display()),
                format!("--listen-client-urls={client}"),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:0".into(),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=lab={peer}"),
                // A lab that loses its machine is made anew.
                "--unsafe-no-fsync".into(),
                "--log-level=warn".into(),
            ],
        )?;
        super::images::wait_socket(&socket, etcd, "etcd", &self.layout.log("etcd")).await?;
        let server = self.start("kube-apiserver", self.api_server_args(&client))?;
        self.wait_api(api, server).await
    }

    fn api_server_args(&self, etcd: &str) -> Vec<String> {
        let pki = |file: &str| self.layout.pki(file).display().to_string();
        let mut args = vec![
            format!("--etcd-servers={etcd}"),
            format!("--bind-address={HOST}"),
            format!("--advertise-address={HOST}"),
            format!("--secure-port={API_PORT}"),
            format!("--service-cluster-ip-range={SERVICE_NET}"),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            format!("--service-account-key-file={}", pki("service-account.pub")),
            format!(
                "--service-account-signing-key-file={}",
                pki("service-account.key")
            ),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            "--allow-privileged=true".into(),
            format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
            format!("--kubelet-client-key={}", pki("kubelet-client.key")),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
            "--requestheader-allowed-names=front-proxy-client".into(),
            "--requestheader-username-headers=X-Remote-User".into(),
            "--requestheader-group-headers=X-Remote-Group".into(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
            format!("--proxy-client-cert-file={}", pki("front-proxy.crt")),
            format!("--proxy-client-key-file={}", pki("front-proxy.key")),
            // No kube-proxy runs beside the API server: webhooks and aggregated APIs are reached by pod address.
            "--enable-aggregator-routing=true".into(),
        ];
        if self.audit {
            args.extend([
                format!("--audit-policy-file={}", self.layout.etc("audit.yaml").display()),
                format!("--audit-log-path={}", self.layout.log("audit").display()),
                "--audit-log-maxsize=1000".into(),
            ]);
        }
        args
    }

    async fn wait_api(&self, api: &Api, server: ProcessId) -> Result<(), ProvisionError> {
        let (limit, log) = (Duration::from_secs(120), self.layout.log("kube-apiserver"));
        let end = tokio::time::Instant::now() + limit;
        loop {
            let last = match api.get("/readyz").await {
                Ok(_) => return Ok(()),
                Err(e) => e.to_string(),
            };
            if !server.alive() {
                return Err(died("kube-apiserver", &log));
            }
            if tokio::time::Instant::now() >= end {
                return Err(ProvisionError::NotReady {
                    what: "kube-apiserver".into(),
                    waited: limit,
                    last,
                    log,
                });
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Starts what needs the API server. Earlier, the controllers would end because RBAC is not there yet.
    pub(crate) fn start_rest(&self) -> Result<(), ProvisionError> {
        let pki = |file: &str| self.layout.pki(file).display().to_string();
        let etc = |file: &str| self.layout.etc(file).display().to_string();
        let controllers = vec![
            format!("--kubeconfig={}", etc("controller-manager.kubeconfig")),
            "--secure-port=0".into(),
            "--leader-elect=false".into(),
            "--use-service-account-credentials=true".into(),
            format!(
                "--service-account-private-key-file={}",
                pki("service-account.key")
            ),
            format!("--root-ca-file={}", pki("ca.crt")),
            format!("--cluster-signing-cert-file={}", pki("ca.crt")),
            format!("--cluster-signing-key-file={}", pki("ca.key")),
            "--enable-hostpath-provisioner=true".into(),
            format!("--cluster-cidr={POD_NET}"),
            // At the default of 20 a second it spends the first four on its own service accounts.
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
        ];
        let tmp = self.layout.tmp().display().to_string();
        // The provisioner makes volumes in a fixed folder of /tmp: its /tmp is that of the nodes.
        let mut args: Vec<String> = ["--mount", "--propagation", "private", "--"]
            .map(String::from)
            .into();
        args.push(format!("/proc/{}/exe", std::process::id()));
        args.extend([crate::child::CHILD, crate::child::BIND, &tmp, "/tmp"].map(String::from));
        args.push(self.bin.join("kube-controller-manager").display().to_string());
        args.extend(controllers);
        let unshare = find("unshare").unwrap_or_else(|| "unshare".into());
        self.start_program("kube-controller-manager", unshare, args)?;
        self.start(
            "kube-scheduler",
            vec![
                format!("--kubeconfig={}", etc("scheduler.kubeconfig")),
                "--secure-port=0".into(),
                "--leader-elect=false".into(),
            ],
        )?;
        self.start("coredns", vec![format!("-conf={}", etc("Corefile"))])?;
        Ok(())
    }

    fn start(&self, component: &str, args: Vec<String>) -> Result<ProcessId, ProvisionError> {
        self.start_program(component, self.bin.join(component), args)
    }

    fn start_program(
        &self,
        role: &str,
        program: PathBuf,
        args: Vec<String>,
    ) -> Result<ProcessId, ProvisionError> {
        let log = self.layout.log(role);
        let process = Daemon {
            role: role.to_owned(),
            program,
            args,
            log,
            cgroup: CGROUP.into(),
        }
        .start()?;
        self.journal.started(role, None, process)?;
        Ok(process)
    }
}
