//! `muster report`: reports from the folder of a run.
//!
//! Invariant: it needs nothing but the run's `events.jsonl`.

use std::path::Path;

use muster_model::Event;
use muster_report::{TerminalOptions, html, junit, terminal};

use crate::args::ReportArgs;
use crate::console;
use crate::exit::ExitCode;

/// Shows a run, and writes the files that are asked for.
pub(crate) fn command(args: &ReportArgs) -> ExitCode {
    let events = match muster_record::read(&args.run) {
        Ok(events) => events,
        Err(error) => {
            console::error(error.to_string());
            return ExitCode::Usage;
        }
    };
    let options = TerminalOptions {
        colour: console::out_is_live(),
        stats: args.stats,
        width: console::width(),
        folder: args.run.display().to_string(),
        ..TerminalOptions::default()
    };
    console::out(terminal::from_events(&events, options).trim_end());
    let files = [
        (args.junit.as_deref(), Format::Junit),
        (args.html.as_deref(), Format::Html),
    ];
    for (path, format) in files {
        if let Some(path) = path
            && let Err(message) = write(&events, path, format)
        {
            console::error(message);
            return ExitCode::Environment;
        }
    }
    ExitCode::Passed
}

/// A file's format.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    /// JUnit XML.
    Junit,
    /// One self-contained page.
    Html,
}

/// Writes a report of some events.
pub(crate) fn write(events: &[Event], path: &Path, format: Format) -> Result<(), String> {
    let text = match format {
        Format::Junit => junit::from_events(events),
        Format::Html => html::from_events(events),
    };
    let text = text.map_err(|error| error.to_string())?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("the folder {} could not be made: {error}", folder.display()))?;
    }
    std::fs::write(path, text).map_err(|error| format!("{} could not be written: {error}", path.display()))
}
