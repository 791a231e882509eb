//! Loads scenarios and shows what is wrong with them.
//!
//! Invariant: all errors of all files are shown in one go.

use std::path::PathBuf;

use muster_model::Diagnostics;
use muster_scenario::{Loaded, Scenario, Selector, load_paths};

use crate::console;
use crate::exit::ExitCode;

/// Shows diagnostics on standard error.
pub(crate) fn show(diagnostics: &Diagnostics) {
    if !diagnostics.list.is_empty() {
        let text = muster_report::diagnostic::render(diagnostics, console::err_is_coloured());
        console::err(text.trim_end());
    }
}

/// The scenarios of some paths that all selectors choose.
pub(crate) fn load(paths: &[PathBuf], selectors: &[String]) -> Result<Vec<Scenario>, ExitCode> {
    let Loaded {
        scenarios,
        diagnostics,
    } = load_paths(paths);
    show(&diagnostics);
    if diagnostics.has_errors() {
        return Err(ExitCode::Usage);
    }
    select(scenarios, selectors)
}

/// Those of the scenarios that all selectors choose.
pub(crate) fn select(scenarios: Vec<Scenario>, selectors: &[String]) -> Result<Vec<Scenario>, ExitCode> {
    let mut parsed = Vec::new();
    for text in selectors {
        match Selector::parse(text) {
            Ok(selector) => parsed.push(selector),
            Err(error) => {
                console::error(error.to_string());
                return Err(ExitCode::Usage);
            }
        }
    }
    Ok(scenarios
        .into_iter()
        .filter(|scenario| parsed.iter().all(|selector| selector.matches(&scenario.labels)))
        .collect())
}
