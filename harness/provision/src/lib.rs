//! Clusters to run on. So far one: the [`Lab`], a real Kubernetes made of plain processes on this machine.
//!
//! Invariant: whatever a provider makes on the machine is written down before it is made, so that taking it
//! away needs nothing but what is on disk, in `/proc` and in the cgroup tree.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod child;
mod error;
mod lab;

pub use child::enter_if_child;
pub use error::ProvisionError;
pub use lab::{
    Down, Finding, Lab, LabOptions, LabPhase, LabStatus, LabUp, NodeStatus, ProcessStatus, Progress, check,
};
