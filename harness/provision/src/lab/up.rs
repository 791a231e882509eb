//! Brings a lab up.
//!
//! ```text
//! lock ─ check ─ record ─ keys ─ bridge ─┬─ etcd ─ API server ────────────────────┬─ controllers, scheduler, DNS ─┐
//!                                        └─ images ─ per node: init ─ containerd ─┴─ kubelet, kube-proxy, objects ┴─ ready
//! ```
//!
//! Invariant: whatever happens here, what was made is found by `down`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::address::NodeAddress;
use super::api::Api;
use super::cgroup::{Hierarchies, TOP};
use super::check::check;
use super::control::{CGROUP, Control};
use super::down::teardown;
use super::layout::{Layout, make_dir};
use super::node::{Node, Powered};
use super::options::{LabOptions, Progress};
use super::pki::Pki;
use super::process::ProcessId;
use super::registry::{Lock, Registration, state_of};
use super::state::{Journal, Phase, Record};
use super::status::{LabPhase, LabStatus, status};
use super::{bootstrap, images, network};
use crate::ProvisionError;
use crate::error::FileContext;

/// A lab that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabUp {
    /// An administrator's kubeconfig with everything embedded.
    pub kubeconfig: PathBuf,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// Whether it was there already.
    pub existed: bool,
    /// How long `up` took.
    pub elapsed: Duration,
}

/// Kernel settings that components of the lab change for the whole machine, with what they set them to: the
/// kubelet (`pkg/kubelet/cm/container_manager_linux.go`, `setupKernelTunables`), and IP forwarding for the
/// nodes' way out.
pub(crate) const SYSCTLS: [(&str, &str); 7] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
    (FORWARDING, "1"),
];
pub(crate) const FORWARDING: &str = "net/ipv4/ip_forward";

/// How long others may hold the lock.
pub(crate) const LOCK_LIMIT: Duration = Duration::from_secs(180);
/// How long a lab whose processes all live may take to become ready (again).
const READY_LIMIT: Duration = Duration::from_secs(90);
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

struct Teller<'a> {
    begun: Instant,
    tell: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Teller<'_> {
    fn say(&self, step: &'static str, detail: impl Into<String>) {
        (self.tell)(Progress {
            step,
            detail: detail.into(),
            elapsed: self.begun.elapsed(),
        });
    }
}

pub(crate) async fn up(
    options: &LabOptions,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<LabUp, ProvisionError> {
    let teller = Teller {
        begun: Instant::now(),
        tell: progress,
    };
    options.validate()?;
    let nodes = NodeAddress::first(options.nodes);
    let result = |layout: &Layout, existed| LabUp {
        kubeconfig: layout.kubeconfig(),
        nodes: nodes.iter().map(|n| n.name()).collect(),
        existed,
        elapsed: teller.begun.elapsed(),
    };
    if !rustix::process::geteuid().is_root() {
        return Err(unfit(check(options).await));
    }
    let _lock = Lock::take(LOCK_LIMIT).await?;
    if settle(options, &teller).await? {
        return Ok(result(&Layout::new(&state_of(&options.name)?), true));
    }

    let findings = check(options).await;
    if findings.iter().any(|f| !f.ok) {
        return Err(unfit(findings));
    }
    let layout = Layout::new(&options.state);
    let holds_something = std::fs::read_dir(layout.root()).is_ok_and(|mut entries| entries.next().is_some());
    if holds_something && Record::read(&layout)?.is_none() {
        return Err(ProvisionError::BadState {
            state: options.state.clone(),
            reason: "it is not empty and holds no lab, and `down` would remove it",
        });
    }
    make_dir(&layout.logs())?;
    Registration {
        name: options.name.clone(),
        state: options.state.clone(),
    }
    .write()?;
    let journal = Journal::begin(&layout, Record::new(options))?;
    match build(options, &layout, &journal, &nodes, &teller).await {
        Ok(()) => {
            journal.change(|r| r.phase = Phase::Ready)?;
            let up = result(&layout, false);
            teller.say(
                "ready",
                format!(
                    "{} ready, kubeconfig {}",
                    count(options.nodes),
                    up.kubeconfig.display()
                ),
            );
            Ok(up)
        }
        Err(error) => {
            teller.say("undo", "taking down what was started; the logs stay");
            teardown(&options.name, &layout, Some(&journal.snapshot()), true).await?;
            journal.change(|r| {
                r.phase = Phase::Failed;
                r.processes.clear();
                r.sysctls.clear();
            })?;
            Err(error)
        }
    }
}

fn unfit(findings: Vec<super::Finding>) -> ProvisionError {
    ProvisionError::Unfit {
        findings: findings.into_iter().filter(|f| !f.ok).collect(),
    }
}

fn count(nodes: u32) -> String {
    if nodes == 1 {
        "1 node".into()
    } else {
        format!("{nodes} nodes")
    }
}

/// Deals with what is there already: true when it is the lab that was asked for, ready. Else nothing is left of it.
async fn settle(options: &LabOptions, teller: &Teller<'_>) -> Result<bool, ProvisionError> {
    if let Some(other) = Registration::current()?.filter(|r| r.name != options.name) {
        let layout = Layout::new(&other.state);
        let record = Record::read(&layout)?;
        let lives = record
            .as_ref()
            .is_some_and(|r| r.processes.iter().any(|p| p.process.alive()))
            || !Hierarchies::discover()?.processes(TOP).is_empty();
        if lives {
            return Err(ProvisionError::Occupied {
                wanted: options.name.clone(),
                running: other.name,
                state: other.state,
            });
        }
        teller.say("clean", format!("removing what is left of lab `{}`", other.name));
        teardown(&other.name, &layout, record.as_ref(), false).await?;
        Registration::remove()?;
    }
    let state = state_of(&options.name)?;
    let layout = Layout::new(&state);
    let end = Instant::now() + SETTLE_LIMIT;
    let mut told = false;
    let why = loop {
        let LabStatus { phase, .. } = status(&options.name).await?;
        match phase {
            LabPhase::Ready => {
                if let Some(record) = Record::read(&layout)?
                    && (record.nodes, record.audit) != (options.nodes, options.audit)
                {
                    let words = |nodes, audit| {
                        format!("{}{}", count(nodes), if audit { " and an audit log" } else { "" })
                    };
                    return Err(ProvisionError::Differs {
                        name: options.name.clone(),
                        running: words(record.nodes, record.audit),
                        wanted: words(options.nodes, options.audit),
                    });
                }
                teller.say("ready", "runs already");
                return Ok(true);
            }
            LabPhase::NotReady(what) if Instant::now() < end => {
                if !std::mem::replace(&mut told, true) {
                    teller.say("wait", format!("runs already, but {what}"));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            LabPhase::NotReady(why) => break format!("it does not become ready ({why})"),
            LabPhase::HalfDead(gone) => break format!("it is half dead ({} gone)", gone.join(", ")),
            LabPhase::Failed => break "its last start failed".to_owned(),
            // The lock is ours, so whoever started it is gone.
            LabPhase::Starting | LabPhase::Interrupted => break "its start was interrupted".to_owned(),
            LabPhase::Absent if !state.exists() => return Ok(false),
            LabPhase::Absent => break "its folder has no record".to_owned(),
        }
    };
    teller.say("clean", format!("building lab `{}` anew: {why}", options.name));
    teardown(&options.name, &layout, Record::read(&layout)?.as_ref(), false).await?;
    Registration::remove()?;
    Ok(false)
}

async fn build(
    options: &LabOptions,
    layout: &Layout,
    journal: &Journal,
    addresses: &[NodeAddress],
    teller: &Teller<'_>,
) -> Result<(), ProvisionError> {
    let bin = options.bin();
    let binary = bin.join("kubelet");
    let binary = binary.canonicalize().at("find", &binary)?;
    let bin = bin.canonicalize().at("find", &bin)?;
    let pki = Pki::generate()?;
    let api = Api::new(&pki.authority.certificate, &pki.admin)?;
    let control = Control {
        layout,
        journal,
        bin: &bin,
        audit: options.audit,
    };
    control.write_files(&pki)?;
    Hierarchies::discover()?.create(CGROUP, true)?;
    prepare_host(journal)?;
    network::host_up().await?;
    teller.say("prepared", "keys, configuration, bridge");

    let nodes: Vec<Node<'_>> = addresses
        .iter()
        .map(|address| Node {
            address: *address,
            all: addresses,
            layout,
            journal,
            binary: &binary,
        })
        .collect();
    let power_on = async {
        let template = images::template(options, layout, |archives| {
            teller.say("images", format!("importing {archives} archives, once"));
        })
        .await?;
        let powered = try_join_all(nodes.iter().map(|node| node.power_on(&pki, &template))).await?;
        teller.say(
            "nodes",
            format!("{} powered on, containerd runs", count(options.nodes)),
        );
        Ok::<_, ProvisionError>(powered)
    };
    let serve = async {
        control.start_api(&api).await?;
        teller.say("api", "etcd and the API server are ready");
        control.start_rest()?;
        bootstrap::create_objects(&api).await
    };
    let (powered, ()) = tokio::try_join!(power_on, serve)?;
    try_join_all(
        nodes
            .iter()
            .zip(&powered)
            .map(|(node, powered)| node.join(powered)),
    )
    .await?;
    teller.say("started", "controllers, scheduler, DNS, kubelets, proxies");
    wait_ready(&api, journal, layout, addresses, &powered).await
}

async fn wait_ready(
    api: &Api,
    journal: &Journal,
    layout: &Layout,
    addresses: &[NodeAddress],
    powered: &[Powered],
) -> Result<(), ProvisionError> {
    let nodes: Vec<(NodeAddress, ProcessId)> = addresses
        .iter()
        .zip(powered)
        .map(|(address, powered)| (*address, powered.init))
        .collect();
    let end = Instant::now() + READY_LIMIT;
    while let Some(last) = bootstrap::missing(api, &nodes).await {
        journal.all_alive()?;
        if Instant::now() >= end {
            return Err(ProvisionError::NotReady {
                what: "the lab".into(),
                waited: READY_LIMIT,
                last,
                log: layout.logs(),
            });
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    Ok(())
}

/// Notes the kernel settings, turns forwarding on.
fn prepare_host(journal: &Journal) -> Result<(), ProvisionError> {
    let before = SYSCTLS
        .iter()
        .filter_map(|(name, _)| {
            let value = std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
            Some(((*name).to_owned(), value.trim().to_owned()))
        })
        .collect();
    journal.change(|r| r.sysctls = before)?;
    let forwarding = format!("/proc/sys/{FORWARDING}");
    std::fs::write(&forwarding, "1").at("turn on", forwarding)
}
