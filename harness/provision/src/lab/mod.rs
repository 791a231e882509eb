//! The lab: Kubernetes 1.34 as plain processes, gone without a trace.
//!
//! ```text
//!  host namespaces                               node1 (own mount, uts, ipc, net, pid namespaces)
//!  ┌──────────────────────────────────────┐      ┌────────────────────────────────────────────┐
//!  │ etcd  kube-apiserver  coredns        │      │ init (muster's helper, PID 1)              │
//!  │ kube-controller-manager              │      │ containerd  kubelet  kube-proxy  pods      │
//!  │ kube-scheduler                       │      │ eth0 10.243.0.2   cni0 10.244.1.1/24       │
//!  │ muster0 10.243.0.1/24 ───────────────┼─veth─┤ routes to the pods of the other nodes      │
//!  └──────────────────────────────────────┘      └────────────────────────────────────────────┘
//! ```
//!
//! - [`options`]: what a lab is asked to be; [`address`]: names and subnets; [`layout`]: its files.
//! - [`mod@check`]: what the machine must have; [`registry`]: one lab per machine; [`state`]: what was started.
//! - [`pki`], [`config`]: what the components are given.
//! - [`command`], [`process`], [`cgroup`], [`network`]: the machine's means.
//! - [`images`], [`node`], [`control`], [`api`], [`bootstrap`]: the parts of a lab.
//! - [`up`], [`down`], [`status`], [`load`]: the operations.
//!
//! Invariant: a process of the lab is in the cgroup `muster` from before its program starts, a link, route or
//! rule carries a name of the lab, a file is below its state folder. So `down` needs no memory of `up`.

mod address;
mod api;
mod bootstrap;
mod cgroup;
mod check;
mod command;
mod config;
mod control;
mod down;
mod images;
mod layout;
mod load;
mod network;
mod node;
mod options;
mod pki;
mod process;
mod registry;
mod state;
mod status;
mod up;

use std::path::PathBuf;

pub use check::{Finding, check};
pub use down::Down;
pub use options::{LabOptions, Progress};
pub use status::{LabPhase, LabStatus, NodeStatus, ProcessStatus};
pub use up::LabUp;

use crate::ProvisionError;
pub(crate) use cgroup::Hierarchies;
pub(crate) use layout::NODE_BIN;
pub(crate) use node::InitSpec;

/// The lab provider. A lab is named; all but `up` find it by that name.
pub struct Lab;

impl Lab {
    /// Brings a lab up and returns when it is ready: all nodes Ready and free of taints, cluster DNS answering
    /// through its Service from every node, default StorageClass and default ServiceAccount there.
    ///
    /// A ready lab of that name is left as it is; what is left of a half-dead one is removed first.
    /// When `up` fails, all that it started is stopped again; the logs stay until the next `up` or `down`.
    ///
    /// # Errors
    /// [`ProvisionError::Unfit`] with all that the machine lacks, [`ProvisionError::Occupied`] if another lab
    /// runs, [`ProvisionError::Differs`] if the lab runs with other options, else what failed.
    pub async fn up(
        options: &LabOptions,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<LabUp, ProvisionError> {
        up::up(options, progress).await
    }

    /// The name of the lab of this machine, if there is one: only one can be.
    ///
    /// # Errors
    /// Only when the registration can't be read.
    pub fn current() -> Result<Option<String>, ProvisionError> {
        Ok(registry::Registration::current()?.map(|lab| lab.name))
    }

    /// Says what there is of a lab. Changes nothing and needs no lock.
    ///
    /// # Errors
    /// [`ProvisionError::NotRoot`], or when the lab's record can't be read.
    pub async fn status(name: &str) -> Result<LabStatus, ProvisionError> {
        status::status(name).await
    }

    /// Imports image archives (docker or OCI layout, as `docker save` writes them) into every node of a running
    /// lab, and returns the names of the images.
    ///
    /// # Errors
    /// [`ProvisionError::NoLab`] or [`ProvisionError::HalfDead`], a missing file, or what the import said.
    pub async fn load(name: &str, archives: &[PathBuf]) -> Result<Vec<String>, ProvisionError> {
        load::load(name, archives).await
    }

    /// Takes a lab away: processes, namespaces, mounts, links, routes, rules, cgroups, files. Works on what an
    /// interrupted `up` left as well.
    ///
    /// # Errors
    /// [`ProvisionError::Leftover`] when something of it could not be removed.
    pub async fn down(name: &str) -> Result<Down, ProvisionError> {
        down::down(name).await
    }
}
