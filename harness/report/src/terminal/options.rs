//! How the terminal's view is to look.
//!
//! Invariant: the default is right for a file: plain lines, nothing replaced.

/// How to show a run.
#[derive(Debug, Clone)]
pub struct TerminalOptions {
    /// Whether to use colour.
    pub colour: bool,
    /// Whether lines may be replaced: standard output is a terminal, and neither CI nor NO_COLOR is set.
    pub live: bool,
    /// Whether to tell, where lines can't be replaced, when a wait begins. Of no use for a run that is over.
    pub waits: bool,
    /// Whether to show the API requests of each step.
    pub stats: bool,
    /// The terminal's width in columns.
    pub width: usize,
    /// The run folder, as the user would type it; empty if it is not known.
    pub folder: String,
}

impl Default for TerminalOptions {
    /// Plain lines, 100 columns.
    fn default() -> Self {
        Self {
            colour: false,
            live: false,
            waits: false,
            stats: false,
            width: 100,
            folder: String::new(),
        }
    }
}
