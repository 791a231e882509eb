//! From events to reports: the terminal's view, JUnit, HTML; and diagnostics as text.
//!
//! Invariant: a report knows nothing but events, so each can be made again from a recorded run. Nothing here opens
//! a file or knows standard output.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod diagnostic;
pub mod explain;
pub mod html;
pub mod junit;
mod style;
pub mod terminal;
mod text;

pub use style::Palette;
pub use terminal::{Terminal, TerminalOptions, Ticker};
pub use text::count;

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The JUnit file could not be serialised.
    #[error("failed to write the JUnit report: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The HTML template failed.
    #[error("failed to render the HTML report: {0:#}")]
    Html(#[from] minijinja::Error),
}
