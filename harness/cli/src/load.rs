//! Loads scenarios and shows what is wrong with them.
//!
//! Invariant: all errors of all files are shown in one go.

use std::collections::BTreeSet;
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

/// Those of the scenarios that all selectors choose; that there is none is told here.
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
    let (chosen, others): (Vec<_>, Vec<_>) = scenarios
        .into_iter()
        .partition(|scenario| parsed.iter().all(|selector| selector.matches(&scenario.labels)));
    if chosen.is_empty() {
        console::error(nothing(&others, selectors));
        return Err(ExitCode::NothingSelected);
    }
    Ok(chosen)
}

/// Why no scenario was selected.
fn nothing(scenarios: &[Scenario], selectors: &[String]) -> String {
    if scenarios.is_empty() {
        return "no scenario was selected: there is none; a scenario file has a top-level `scenario:`"
            .to_owned();
    }
    let labels: BTreeSet<_> = scenarios
        .iter()
        .flat_map(|scenario| &scenario.labels)
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let labels: Vec<_> = labels.into_iter().collect();
    format!(
        "no scenario was selected: none of {} has {}; their labels: {}",
        scenarios.len(),
        selectors.join(","),
        if labels.is_empty() {
            "none".to_owned()
        } else {
            labels.join(", ")
        }
    )
}
