//! What a run needs to know: the engine never sees the command line.
//!
//! Invariant: every field has its final value; nothing is looked up in flags, environment or files later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Which namespaces and objects stay after a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// None.
    #[default]
    Never,
    /// Those of a scenario that failed.
    OnFailure,
    /// All.
    Always,
}

/// Times that hold where a scenario says nothing.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// `within` of an expectation.
    pub within: Duration,
    /// `timeout` of a step.
    pub step: Duration,
    /// `timeout` of a scenario.
    pub scenario: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            within: Duration::from_secs(30),
            step: Duration::from_secs(10 * 60),
            scenario: Duration::from_secs(30 * 60),
        }
    }
}

/// The budgets outside the nesting of deadlines.
pub(crate) mod budget {
    use std::time::Duration;

    /// `finally`.
    pub(crate) const FINALLY: Duration = Duration::from_secs(120);
    /// Evidence of one scenario.
    pub(crate) const EVIDENCE: Duration = Duration::from_secs(30);
    /// Clean-up of one scenario.
    pub(crate) const CLEANUP: Duration = Duration::from_secs(120);
}

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's id.
    pub run_id: String,
    /// The cluster's name as the user knows it.
    pub cluster_name: String,
    /// How many scenarios run side by side.
    pub parallel: usize,
    /// What stays.
    pub keep: Keep,
    /// `--var k=v`.
    pub vars: BTreeMap<String, String>,
    /// Times.
    pub defaults: Defaults,
    /// The folder for the scenario's child processes' kubeconfig.
    pub scratch: PathBuf,
    /// Cancelled by the first signal.
    pub interrupt: CancellationToken,
}
