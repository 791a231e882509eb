//! Colours, or none.
//!
//! Invariant: without colour nothing is written but the text.

use anstyle::{AnsiColor, Style};
use muster_model::event::Verdict;

/// The styles of text reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    pub(crate) good: Style,
    pub(crate) bad: Style,
    pub(crate) warn: Style,
    pub(crate) dim: Style,
    pub(crate) bold: Style,
    pub(crate) key: Style,
}

impl Palette {
    /// No colour.
    pub fn plain() -> Self {
        Self::default()
    }

    /// The usual colours, from the terminal's own sixteen.
    pub fn coloured() -> Self {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            good: colour(AnsiColor::Green),
            bad: colour(AnsiColor::Red).bold(),
            warn: colour(AnsiColor::Yellow),
            dim: Style::new().dimmed(),
            bold: Style::new().bold(),
            key: colour(AnsiColor::Cyan),
        }
    }

    /// Coloured or plain.
    pub fn new(coloured: bool) -> Self {
        if coloured { Self::coloured() } else { Self::plain() }
    }

    /// The style of a verdict.
    pub(crate) fn verdict(&self, verdict: Option<Verdict>) -> Style {
        match verdict {
            Some(Verdict::Passed) => self.good,
            Some(Verdict::Failed | Verdict::Error) => self.bad,
            Some(Verdict::Interrupted) => self.warn,
            Some(Verdict::Skipped) | None => self.dim,
        }
    }
}

/// Text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("{style}{text}{style:#}")
}
