//! Exit codes: part of muster's contract with scripts and CI.
//!
//! Invariant: each value is documented here and nowhere else decided.

/// How muster ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All scenarios passed; or the command did what it was told.
    Passed = 0,
    /// A scenario failed.
    Failed = 1,
    /// Wrong use, or a scenario or `muster.yaml` that doesn't load.
    Usage = 2,
    /// The cluster or the environment failed: it could not be reached, or was lost.
    Environment = 3,
    /// No scenario was selected, or every selected one was skipped: nothing was proved.
    NothingSelected = 4,
    /// A signal stopped the run; clean-up was done.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
