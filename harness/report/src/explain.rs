//! A failure in lines: what a reader needs to understand it without the cluster.
//!
//! Invariant: terminal and JUnit say the same in the same order: what, where, expected, seen, how it got there, why,
//! what to do.

use muster_model::event::{Failure, Transition};

use crate::style::{Palette, paint};
use crate::text::{duration, excerpt, more, visible};

/// How many lines of what was seen are shown; the rest is in the HTML report and the evidence.
const NEAREST: usize = 6;
/// How many states of the history are shown from its head and its tail.
const HISTORY: (usize, usize) = (4, 8);
/// The widest line.
const WIDTH: usize = 240;

/// The lines of a failure, without indentation.
pub fn failure(failure: &Failure, palette: &Palette) -> Vec<String> {
    let mut lines: Vec<String> = failure
        .message
        .lines()
        .map(|line| paint(palette.bad, &visible(line)))
        .collect();
    if let Some(place) = &failure.place {
        lines.push(format!("{} {place}", paint(palette.dim, "-->")));
        if !failure.source.is_empty() {
            let number = place.line.to_string();
            let (source, caret) = source_and_caret(&failure.source, place.column);
            lines.push(format!("{} {source}", paint(palette.dim, &format!("{number} |"))));
            let margin = format!("{} |", " ".repeat(number.len()));
            lines.push(format!(
                "{} {}",
                paint(palette.dim, &margin),
                paint(palette.bad, &caret)
            ));
        }
    }
    let mut field = |key: &str, values: Vec<String>| {
        for (index, value) in values.into_iter().enumerate() {
            let key = if index == 0 { key } else { "" };
            lines.push(format!("{} {value}", paint(palette.key, &format!("{key:<9}"))));
        }
    };
    field("expected", excerpt(&failure.expected, NEAREST, WIDTH));
    field("nearest", excerpt(&failure.nearest, NEAREST, WIDTH));
    field(
        "differs",
        failure
            .mismatches
            .iter()
            // The nearest line as a whole was shown just now.
            .filter(|m| !(m.path.is_empty() && m.found == failure.nearest))
            .map(|m| visible(&m.to_string()))
            .collect(),
    );
    field("history", history(&failure.history));
    field(
        "cause",
        failure
            .causes
            .iter()
            .flat_map(|cause| excerpt(cause, NEAREST, WIDTH))
            .collect(),
    );
    field(
        "help",
        failure
            .help
            .iter()
            .flat_map(|help| excerpt(help, NEAREST, WIDTH))
            .collect(),
    );
    lines
}

/// The source line without its tabs, and a caret under a column (from 1, in characters).
pub(crate) fn source_and_caret(source: &str, column: usize) -> (String, String) {
    use unicode_width::UnicodeWidthStr as _;
    let source = source.trim_end();
    let before: String = source.chars().take(column.saturating_sub(1)).collect();
    let caret = format!("{}^", " ".repeat(visible(&before).width()));
    (visible(source), caret)
}

fn history(history: &[Transition]) -> Vec<String> {
    let line = |state: &Transition| {
        let seen = excerpt(&state.seen, 1, WIDTH).join(" ");
        format!("+{:<7} {seen}", duration(state.at_ms))
    };
    let (head, tail) = HISTORY;
    if history.len() <= head + tail + 1 {
        return history.iter().map(line).collect();
    }
    let left_out = history.len() - head - tail;
    let mut lines: Vec<String> = history[..head].iter().map(line).collect();
    lines.push(more(left_out, "state"));
    lines.extend(history[history.len() - tail..].iter().map(line));
    lines
}
