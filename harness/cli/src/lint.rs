//! `muster lint`: what is wrong with scenarios, without a cluster.
//!
//! Invariant: warnings are shown and change no exit code.

use muster_scenario::load_paths;

use crate::args::LintArgs;
use crate::exit::ExitCode;
use crate::{console, load};

/// Checks.
pub(crate) fn command(args: &LintArgs) -> ExitCode {
    let loaded = load_paths(&args.paths);
    load::show(&loaded.diagnostics);
    if loaded.diagnostics.has_errors() {
        return ExitCode::Usage;
    }
    if loaded.scenarios.is_empty() {
        console::error("no scenario found: a scenario file has a top-level `scenario:`");
        return ExitCode::NothingSelected;
    }
    let steps: usize = loaded.scenarios.iter().map(|scenario| scenario.steps.len()).sum();
    console::out(format!(
        "{} scenarios, {steps} steps: no errors",
        loaded.scenarios.len()
    ));
    ExitCode::Passed
}
