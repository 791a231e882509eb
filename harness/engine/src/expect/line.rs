//! One line of a log against what is wanted.
//!
//! Invariant: it judges; it decides nothing about which lines count.

use muster_model::Mismatch;
use muster_scenario::matching::{Bound, Outcome, logline};
use serde_json::{Value, json};

use crate::book::Line;

/// What a line must be.
pub(super) enum Wanted {
    /// It contains a text.
    Contains(String),
    /// It matches as a whole.
    Raw(Bound),
    /// Its fields match.
    Fields(Bound),
}

impl Wanted {
    /// The differences, if it is not.
    pub(super) fn judge(&self, line: &Line) -> Result<(), Vec<Mismatch>> {
        match self {
            Self::Contains(text) if line.text.contains(text.as_str()) => Ok(()),
            Self::Contains(text) => Err(vec![Mismatch::new(
                "",
                format!("a line with {text:?}"),
                line.text.clone(),
            )]),
            Self::Raw(pattern) => judge(pattern, &Value::String(line.text.clone())),
            Self::Fields(pattern) => match line.fields() {
                Some(fields) => judge(pattern, fields),
                None => Err(vec![Mismatch::new(
                    "",
                    "a line with fields (JSON, logfmt, klog)",
                    line.text.clone(),
                )]),
            },
        }
    }

    /// In a few words.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Contains(text) => format!("{text:?}"),
            Self::Raw(pattern) | Self::Fields(pattern) => pattern.summary(),
        }
    }
}

/// The differences of a value from a pattern.
pub(super) fn judge(pattern: &Bound, value: &Value) -> Result<(), Vec<Mismatch>> {
    match pattern.check(value) {
        Outcome::Holds => Ok(()),
        Outcome::Differs(mismatches) | Outcome::Invalid(mismatches) => Err(mismatches),
    }
}

/// The line that comes nearest: fewest differing fields, or else the most common words.
pub(super) fn nearest(wanted: &Wanted, lines: &[&Line]) -> (Vec<Mismatch>, String) {
    let mut best: Option<(usize, std::cmp::Reverse<usize>, Vec<Mismatch>, &Line)> = None;
    let words: Vec<String> = wanted
        .summary()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| w.len() > 2)
        .map(str::to_lowercase)
        .collect();
    for line in lines {
        let Err(mismatches) = wanted.judge(line) else {
            continue;
        };
        let lower = line.text.to_lowercase();
        let common = words.iter().filter(|word| lower.contains(word.as_str())).count();
        let rank = match wanted {
            Wanted::Fields(_) if line.fields().is_some() => mismatches.len(),
            Wanted::Fields(_) => usize::MAX,
            _ => 0,
        };
        let better = best
            .as_ref()
            .is_none_or(|(r, c, _, _)| (rank, std::cmp::Reverse(common)) < (*r, *c));
        if better {
            best = Some((rank, std::cmp::Reverse(common), mismatches, line));
        }
    }
    best.map_or((Vec::new(), String::new()), |(_, _, mismatches, line)| {
        (mismatches, line.text.clone())
    })
}

impl Line {
    /// The fields, if the line has any.
    pub(crate) fn fields(&self) -> Option<&Value> {
        self.parsed.get_or_init(|| logline::parse(&self.text)).as_ref()
    }

    /// What `save` sees as `self`.
    pub(crate) fn to_value(&self) -> Value {
        json!({
            "pod": self.pod_name,
            "container": self.container,
            "time": self.time.to_string(),
            "line": self.text,
            "fields": self.fields().cloned().unwrap_or(Value::Null),
        })
    }
}
