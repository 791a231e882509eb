//! Kubernetes for muster: the only crate that names kube.
//!
//! [`Cluster::connect`] gives a [`Cluster`]; everything is a method of it: `resolve`, `get`, `list`, `apply`, `create`,
//! `patch`, `delete`, `scale`, `watch`, `exec`, `logs`, `forward`, `allowed`.
//!
//! Invariant: no type of kube or k8s-openapi stands in a public signature, and every request goes through one place
//! that counts it, times it and decides whether it may be sent again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cluster;
mod connect;
mod discovery;
mod error;
mod exec;
mod forward;
mod kubeconfig;
mod lines;
mod logs;
mod notice;
mod read;
mod repeat;
mod request;
mod selector;
mod transport;
mod watch;
mod write;

pub use cluster::Cluster;
pub use connect::{ConnectError, ConnectOptions};
pub use discovery::{Kind, ResolveError};
pub use error::{ApiError, Cause, ErrorClass, ErrorDetails};
pub use exec::{ExecError, ExecOutput};
pub use forward::{Forward, ForwardError};
pub use logs::{LogLine, LogQuery, LogStream};
pub use notice::{Notice, NoticeSink};
pub use read::{Listing, Target};
pub use selector::Selector;
pub use watch::{Change, Query, Watch};
pub use write::{ApplyOptions, DeleteOptions, Deletion, FIELD_MANAGER, Outcome, Patch, Propagation, Written};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_out_can_be_used_by_any_thread() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Cluster>();
        shared::<Watch>();
        shared::<LogStream>();
        shared::<Forward>();
        shared::<ApiError>();
    }
}
