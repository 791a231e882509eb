//! Diagnostics: what is wrong with something that the user wrote, where, and what to do.
//!
//! Invariant: a diagnostic always says what is wrong; rendering it is the report's business.

use std::fmt;

use crate::place::Place;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scenario runs, but probably doesn't say what was meant.
    Warning,
    /// The scenario doesn't load.
    Error,
}

/// One thing that is wrong at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable short code such as `unknown-key`, for tests, docs and filters.
    pub code: &'static str,
    /// What is wrong, one lowercase sentence without a full stop.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What stands under the caret, a few words; empty for none.
    pub label: String,
    /// Other places that matter, each with its label ("first defined here").
    pub related: Vec<(Place, String)>,
    /// What to do next, such as "did you mean `within`?".
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, message: impl Into<String>, place: &Place) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place: place.clone(),
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, message: impl Into<String>, place: &Place) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message, place)
        }
    }

    /// Adds the words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.related.push((place.clone(), label.into()));
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        for help in &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// All diagnostics of a load, in the order found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnostics {
    /// The diagnostics.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Diagnostics) {
        self.list.extend(other.list);
    }

    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many errors.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Sorts by file and place, so that a reader goes through a file from top to bottom.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            (a.place.file.path(), a.place.span.start).cmp(&(b.place.file.path(), b.place.span.start))
        });
    }
}
