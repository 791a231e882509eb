//! `muster lint`: what is wrong with scenarios and the run configuration, without a cluster.
//!
//! Invariant: warnings are shown and change no exit code.

use std::path::PathBuf;

use muster_report::count;
use muster_scenario::load_paths;

use crate::args::LintArgs;
use crate::exit::ExitCode;
use crate::{console, load, run};

/// Checks.
pub(crate) fn command(config: Option<PathBuf>, args: &LintArgs) -> ExitCode {
    let loaded = load_paths(&args.paths);
    load::show(&loaded.diagnostics);
    let config = run::configuration(config);
    if loaded.diagnostics.has_errors() || config.is_err() {
        return ExitCode::Usage;
    }
    if loaded.scenarios.is_empty() {
        console::error("no scenario found: a scenario file has a top-level `scenario:`");
        return ExitCode::NothingSelected;
    }
    let steps: usize = loaded.scenarios.iter().map(|scenario| scenario.steps.len()).sum();
    console::out(format!(
        "{}, {}: no errors",
        count(loaded.scenarios.len(), "scenario"),
        count(steps, "step")
    ));
    ExitCode::Passed
}
