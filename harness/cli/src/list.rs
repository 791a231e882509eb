//! `muster list`: scenarios, without a cluster.
//!
//! Invariant: one line per scenario, tab-separated: place, title, labels.

use crate::args::ListArgs;
use crate::exit::ExitCode;
use crate::{console, load};

/// Lists.
pub(crate) fn command(args: &ListArgs) -> ExitCode {
    let scenarios = match load::load(&args.paths, &args.selectors) {
        Ok(scenarios) => scenarios,
        Err(code) => return code,
    };
    for scenario in &scenarios {
        let (line, _) = scenario.place.line_column();
        let labels: Vec<_> = scenario
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        console::out(format!(
            "{}:{line}\t{}\t{}",
            scenario.place.file.path(),
            scenario.title,
            labels.join(",")
        ));
    }
    ExitCode::Passed
}
