//! What can go wrong while a cluster is made, looked at or taken away.
//!
//! Invariant: every message names the operation, its object, the place to look at and what to do next.

use std::path::PathBuf;
use std::time::Duration;

use crate::lab::Finding;

/// Why a cluster could not be made, looked at or taken away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The machine lacks something that the lab needs. All that is missing is listed at once.
    #[error("this machine can't run the lab yet:{}", list(findings))]
    Unfit {
        /// The failed findings only.
        findings: Vec<Finding>,
    },

    /// Only root can.
    #[error("can't {doing} a lab: this needs root; run it again with sudo")]
    NotRoot {
        /// The operation, a fragment after "can't".
        doing: &'static str,
    },

    /// Another lab holds the subnets and the bridge.
    #[error(
        "can't bring lab `{wanted}` up: lab `{running}` (in {}) runs on this machine and uses the same subnets; \
         take it down first: muster cluster down --name {running}",
        state.display()
    )]
    Occupied {
        /// The name asked for.
        wanted: String,
        /// The name of the lab that runs.
        running: String,
        /// Its state folder.
        state: PathBuf,
    },

    /// The lab runs already, in another shape than asked for.
    #[error(
        "lab `{name}` runs already with {running}, not with {wanted}; take it down first: \
         muster cluster down --name {name}"
    )]
    Differs {
        /// The lab's name.
        name: String,
        /// What runs, e.g. `1 node`.
        running: String,
        /// What was asked for, e.g. `3 nodes`.
        wanted: String,
    },

    /// Another muster process works on the lab and did not finish in time.
    #[error(
        "another muster process works on the lab (lock {}, waited {waited:?}); try again when it has finished",
        lock.display()
    )]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// How long we waited.
        waited: Duration,
    },

    /// No lab of that name runs.
    #[error(
        "no lab `{name}` runs on this machine; bring one up: muster cluster up --provider lab --name {name}"
    )]
    NoLab {
        /// The name asked for.
        name: String,
    },

    /// The lab is there in part only: some of its processes are gone.
    #[error(
        "lab `{name}` is half dead ({gone} gone); bring it up anew: muster cluster up --provider lab --name {name}"
    )]
    HalfDead {
        /// The lab's name.
        name: String,
        /// The processes that are gone, e.g. `kubelet of node1`.
        gone: String,
    },

    /// A name that can't be one of a lab.
    #[error("`{name}` can't be the name of a lab: use 1 to 32 of a-z, 0-9 and `-`, with a letter first")]
    BadName {
        /// The name asked for.
        name: String,
    },

    /// A number of nodes that can't be had.
    #[error("a lab has 1 to {most} nodes, not {asked}")]
    BadNodes {
        /// The number asked for.
        asked: u32,
        /// The greatest number.
        most: u32,
    },

    /// A folder that can't hold a lab.
    #[error("can't keep a lab in {}: {reason}; name another folder", state.display())]
    BadState {
        /// The folder.
        state: PathBuf,
        /// Why not.
        reason: &'static str,
    },

    /// A program that muster runs failed.
    #[error("can't {doing}: `{command}` failed ({status}): {stderr}")]
    Command {
        /// The operation, a fragment after "can't".
        doing: String,
        /// Program and arguments.
        command: String,
        /// Exit status or why it could not be started.
        status: String,
        /// What it said, trimmed.
        stderr: String,
    },

    /// A process of the lab ended while it was needed.
    #[error("{role} ended while the lab came up; its last words ({}):\n{tail}", log.display())]
    Died {
        /// The process, e.g. `kube-apiserver` or `kubelet of node1`.
        role: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// Something did not become ready in time.
    #[error("{what} was not ready after {waited:?}: {last}; look at {}", log.display())]
    NotReady {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// What was seen last.
        last: String,
        /// The log that may tell why.
        log: PathBuf,
    },

    /// Something of the lab could not be removed.
    #[error("lab `{name}` is not all gone: {left}; see what holds it and run `muster cluster down` again")]
    Leftover {
        /// The lab's name.
        name: String,
        /// What is left.
        left: String,
    },

    /// The Kubernetes API answered with an error.
    #[error("can't {doing}: the API server answered {status}: {message}")]
    Api {
        /// The operation, a fragment after "can't".
        doing: String,
        /// The HTTP status.
        status: u16,
        /// The body's message.
        message: String,
    },

    /// A file or folder could not be read or written.
    #[error("can't {doing} {}: {source}", path.display())]
    File {
        /// The operation, a fragment after "can't".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// A key or certificate could not be made.
    #[error("can't make the lab's certificates: {0}")]
    Pki(#[from] rcgen::Error),

    /// The lab's record can't be understood.
    #[error(
        "can't read the lab's record {}: {reason}; if no lab runs, delete the file, else run the muster \
         version that made it",
        path.display()
    )]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

fn list(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|f| format!("\n  - {}\n    {}", f.what, f.remedy))
        .collect()
}

/// Adds the operation and the file to an I/O error.
pub(crate) trait FileContext<T> {
    /// `doing` is a fragment after "can't", e.g. `write`.
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, ProvisionError>;
}

impl<T, E: Into<std::io::Error>> FileContext<T> for Result<T, E> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, ProvisionError> {
        self.map_err(|e| ProvisionError::File {
            doing,
            path: path.into(),
            source: e.into(),
        })
    }
}
