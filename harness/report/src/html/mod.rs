//! The HTML report: one file, no scripts, links to the evidence beside it.
//!
//! Invariant: all text is escaped by the template engine; the file works from disk and needs nothing from a network.

mod view;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use muster_model::Event;
use muster_record::Run;

use crate::ReportError;
use view::RunView;

const TEMPLATE: &str = include_str!("report.html");

/// The report of a recorded run, to be put in its run folder.
///
/// # Errors
/// [`ReportError::Html`].
pub fn from_events(events: &[Event]) -> Result<String, ReportError> {
    render(&Run::from_events(events))
}

/// The report of a run that is closed.
///
/// # Errors
/// [`ReportError::Html`].
pub fn render(run: &Run) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    // By its name the template is HTML: everything is escaped.
    environment.add_template("report.html", TEMPLATE)?;
    Ok(environment
        .get_template("report.html")?
        .render(Serde(RunView::new(run)))?)
}
