//! Words and numbers as all reports write them.
//!
//! Invariant: what came from outside is shown without its control characters.

use muster_model::event::{CleanupDeed, Requests, Verdict};
use muster_record::run::{Cleaned, Expectation, Step};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// `0.3s`, `12.3s`, `1m30s`, `2h05m`.
pub(crate) fn duration(ms: u64) -> String {
    // Rounded first: 59.97 s is 1m00s, not 60.0s.
    let tenths = (ms + 50) / 100;
    let seconds = (ms + 500) / 1000;
    if tenths < 600 {
        format!("{}.{}s", tenths / 10, tenths % 10)
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// `30s`, `2m`, `1m30s`: a limit as a user would write it.
pub(crate) fn limit(ms: u64) -> String {
    match (ms / 60_000, ms % 60_000 / 1000, ms % 1000) {
        (0, 0, ms) => format!("{ms}ms"),
        (0, _, part) if part > 0 => duration(ms),
        (0, seconds, _) => format!("{seconds}s"),
        (minutes, 0, _) => format!("{minutes}m"),
        (minutes, seconds, _) => format!("{minutes}m{seconds}s"),
    }
}

/// `1 scenario`, `2 scenarios`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// `… 3 more files`: what was left out.
pub(crate) fn more(n: usize, one: &str) -> String {
    format!("… {n} more {one}{}", if n == 1 { "" } else { "s" })
}

/// Control characters and line breaks made visible: a terminal must not obey what a log line says.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// The first `lines` lines of a text, each at most `width` columns wide, with a mark where something was left out.
pub(crate) fn excerpt(text: &str, lines: usize, width: usize) -> Vec<String> {
    let all: Vec<&str> = text.lines().collect();
    let mut out: Vec<String> = all
        .iter()
        .take(lines)
        .map(|line| fit(&visible(line), width))
        .collect();
    if all.len() > lines {
        out.push(more(all.len() - lines, "line"));
    }
    out
}

/// The text, cut to a width with `…` at its end.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        used += w;
        out.push(c);
    }
    out.push('…');
    out
}

/// `12 requests, 1 sent again`.
pub(crate) fn requests(requests: Requests) -> String {
    let sent = count(usize::try_from(requests.sent).unwrap_or(usize::MAX), "request");
    match requests.retried {
        0 => sent,
        n => format!("{sent}, {n} sent again"),
    }
}

/// The sign of a verdict; `…` for none.
pub(crate) fn sign(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Passed) => "✓",
        Some(Verdict::Failed) => "✗",
        Some(Verdict::Skipped) => "-",
        Some(Verdict::Error) => "!",
        Some(Verdict::Interrupted) => "■",
        None => "…",
    }
}

/// The word of a verdict.
pub(crate) fn word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Passed) => "passed",
        Some(Verdict::Failed) => "failed",
        Some(Verdict::Skipped) => "skipped",
        Some(Verdict::Error) => "error",
        Some(Verdict::Interrupted) => "interrupted",
        None => "running",
    }
}

/// What an expectation came to, one line: `expected ready pod/x: 1 of 1 ready (held before the action)`.
pub(crate) fn expectation(expectation: &Expectation) -> String {
    let mut line = format!("expected {}", visible(&expectation.subject));
    match expectation.verdict {
        Some(Verdict::Passed) if !expectation.seen.is_empty() => {
            line.push_str(": ");
            line.push_str(&visible(&expectation.seen));
        }
        Some(Verdict::Passed) | None => {}
        verdict => {
            line.push_str(": ");
            line.push_str(word(verdict));
        }
    }
    if expectation.held_before {
        line.push_str(" (held before the action)");
    }
    line
}

/// What a step did, in lines: its action, its expectations, its notes.
pub(crate) fn story(step: &Step) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(action) = &step.action {
        lines.push(visible(&action.summary));
    }
    lines.extend(step.expectations.values().map(expectation));
    let notes = step
        .expectations
        .values()
        .flat_map(|e| &e.notes)
        .chain(&step.notes);
    lines.extend(notes.map(|note| format!("note: {}", visible(&note.message))));
    lines
}

/// `clean-up: 3 deleted, 1 put back`; none if there was nothing to do.
pub(crate) fn cleanup(cleaned: &[Cleaned]) -> Option<String> {
    let number = |deed: CleanupDeed| {
        cleaned
            .iter()
            .filter(|c| c.result.as_ref().is_ok_and(|d| *d == deed))
            .count()
    };
    let failed = cleaned.iter().filter(|c| c.result.is_err()).count();
    let parts: Vec<String> = [
        (number(CleanupDeed::Deleted), "deleted"),
        (number(CleanupDeed::Restored), "put back"),
        (number(CleanupDeed::LeftChanged), "left as others changed it"),
        (number(CleanupDeed::Kept), "kept"),
        (failed, "failed"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    (!parts.is_empty()).then(|| format!("clean-up: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_before_they_change_units() {
        let all: Vec<String> = [0, 49, 50, 12_340, 59_940, 59_970, 90_000, 3_599_600, 7_500_000]
            .into_iter()
            .map(duration)
            .collect();
        assert_eq!(
            all,
            [
                "0.0s", "0.0s", "0.1s", "12.3s", "59.9s", "1m00s", "1m30s", "1h00m", "2h05m"
            ]
        );
    }

    #[test]
    fn limits_read_as_written() {
        let all: Vec<String> = [500, 30_000, 1_500, 120_000, 90_000]
            .into_iter()
            .map(limit)
            .collect();
        assert_eq!(all, ["500ms", "30s", "1.5s", "2m", "1m30s"]);
    }

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        assert_eq!(visible("a\x1b[31mb\r\n\tc"), "a\\u{1b}[31mb\\r\\n    c");
    }

    #[test]
    fn wide_characters_count_double() {
        assert_eq!(fit("日本語の行", 7), "日本語…");
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
    }

    #[test]
    fn a_long_text_is_cut_and_says_how_much() {
        assert_eq!(excerpt("a\nb\nc\nd", 2, 10), ["a", "b", "… 2 more lines"]);
    }
}
