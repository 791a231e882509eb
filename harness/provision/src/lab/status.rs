//! Says what there is of a lab.
//!
//! Invariant: looking changes nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::address::NodeAddress;
use super::api::Api;
use super::layout::Layout;
use super::node::runtime_socket;
use super::options::{require_root, validate_name};
use super::pki::Identity;
use super::process::ProcessId;
use super::registry::{Lock, Registration, state_of};
use super::state::{Phase, Record};
use super::{bootstrap, images};
use crate::ProvisionError;

/// How a lab is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabPhase {
    /// There is none.
    Absent,
    /// `up` works on it.
    Starting,
    /// `up` was interrupted; `up` or `down` takes the remains away.
    Interrupted,
    /// The last `up` failed; only its logs are left.
    Failed,
    /// Everything lives and is ready.
    Ready,
    /// Everything lives, but not all is ready: what is missing.
    NotReady(String),
    /// Some processes have ended: which. `up` builds the lab anew, `down` takes it away.
    HalfDead(Vec<String>),
}

/// A node of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name in Kubernetes.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Its first process, if it lives: `nsenter --target PID --all` enters the node.
    pub init: Option<u32>,
}

/// A process of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    /// E.g. `kubelet of node1`.
    pub title: String,
    /// Its number on the host.
    pub pid: u32,
    /// Whether it lives.
    pub alive: bool,
}

/// What there is of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabStatus {
    /// The lab's name.
    pub name: String,
    /// How it is.
    pub phase: LabPhase,
    /// Its folder; logs are in `logs`.
    pub state: PathBuf,
    /// An administrator's kubeconfig, if there is one.
    pub kubeconfig: Option<PathBuf>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
    /// Its processes.
    pub processes: Vec<ProcessStatus>,
    /// The images that its nodes have.
    pub images: Vec<String>,
}

/// How long a look at the API server may take.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

pub(crate) async fn status(name: &str) -> Result<LabStatus, ProvisionError> {
    validate_name(name)?;
    require_root("look at")?;
    let state = state_of(name)?;
    let layout = Layout::new(&state);
    let mut status = LabStatus {
        name: name.to_owned(),
        phase: LabPhase::Absent,
        kubeconfig: Some(layout.kubeconfig()).filter(|k| k.exists()),
        state,
        nodes: Vec::new(),
        processes: Vec::new(),
        images: Vec::new(),
    };
    let Some(record) = Record::read(&layout)? else {
        if Registration::current()?.is_some_and(|r| r.name == name) {
            status.phase = LabPhase::Interrupted;
        }
        return Ok(status);
    };
    let process = |p: &super::state::ProcessRecord| ProcessStatus {
        title: p.title(),
        pid: p.process.pid,
        alive: p.process.alive(),
    };
    status.processes = record.processes.iter().map(process).collect();
    let addresses = NodeAddress::first(record.nodes);
    let init = |node: &NodeAddress| {
        record
            .process("init", Some(&node.name()))
            .filter(ProcessId::alive)
    };
    status.nodes = addresses
        .iter()
        .map(|n| NodeStatus {
            name: n.name(),
            ip: n.ip().to_string(),
            init: init(n).map(|p| p.pid),
        })
        .collect();
    if let Some(first) = addresses.first().and_then(init) {
        // A runtime that does not answer is a matter of the phase below.
        let names = tokio::time::timeout(Duration::from_secs(5), images::list(&runtime_socket(first))).await;
        status.images = names.ok().and_then(Result::ok).unwrap_or_default();
    }
    status.phase = phase(&layout, &record, &addresses).await;
    Ok(status)
}

async fn phase(layout: &Layout, record: &Record, addresses: &[NodeAddress]) -> LabPhase {
    match record.phase {
        Phase::Failed => return LabPhase::Failed,
        Phase::Starting if Lock::held() => return LabPhase::Starting,
        Phase::Starting => return LabPhase::Interrupted,
        Phase::Ready => {}
    }
    let gone = record.gone();
    if !gone.is_empty() {
        return LabPhase::HalfDead(gone);
    }
    let inits: Vec<_> = addresses
        .iter()
        .filter_map(|n| Some((*n, record.process("init", Some(&n.name()))?)))
        .collect();
    let api = match api(layout) {
        Ok(api) => api,
        Err(e) => return LabPhase::NotReady(e.to_string()),
    };
    let look = tokio::time::timeout(LOOK_LIMIT, bootstrap::missing(&api, &inits)).await;
    match look.unwrap_or_else(|_| Some(format!("the API server does not answer within {LOOK_LIMIT:?}"))) {
        None => LabPhase::Ready,
        // What is missing may be missing because a process has ended meanwhile.
        Some(what) => match record.gone() {
            gone if gone.is_empty() => LabPhase::NotReady(what),
            gone => LabPhase::HalfDead(gone),
        },
    }
}

fn api(layout: &Layout) -> Result<Api, ProvisionError> {
    use crate::error::FileContext;
    let read = |file| std::fs::read_to_string(layout.pki(file)).at("read", layout.pki(file));
    Api::new(
        &read("ca.crt")?,
        &Identity {
            certificate: read("admin.crt")?,
            key: read("admin.key")?,
        },
    )
}
