//! The language reference, as Markdown.
//!
//! Invariant: it is made from the tables, so it can't say what the lowering doesn't do.

use std::fmt::Write as _;

use super::config_keys::{CLUSTER, CONFIG, PREPARE, TIMEOUTS};
use super::expectations::{SUBJECTS, UNSUPPORTED_SUBJECTS};
use super::index::constructs;
use super::table::{Construct, Need, Shape};
use crate::matching::OPERATORS;

/// The reference of scenarios, of `$` operators and of `muster.yaml`.
pub fn reference_markdown() -> String {
    let mut out = String::from(
        "# Language reference\n\nMade from the tables by which muster itself reads scenarios; not written by hand.\n\n\
         What stands in `${{ }}` is CEL; keys whose value is \"CEL\" hold it bare, without `${{ }}`. Durations are written \
         as `500ms`, `30s`, `2m`, `1h30m`.\n",
    );
    constructs().into_iter().for_each(|part| section(&mut out, part));
    section(&mut out, &UNSUPPORTED_SUBJECTS);
    out.push_str("\n## Operators\n\nA map whose keys begin with `$` says how a value must match; all of its operators must hold. \
                  `$$key` is a literal key.\n\n| operator | holds if |\n|---|---|\n");
    for (name, doc) in OPERATORS {
        writeln!(out, "| `{name}` | {} |", cell(doc)).unwrap_or_default();
    }
    [&CONFIG, &CLUSTER, &PREPARE, &TIMEOUTS]
        .into_iter()
        .for_each(|part| section(&mut out, part));
    out
}

fn section(out: &mut String, part: &Construct) {
    let level = if SUBJECTS.iter().any(|subject| subject.id == part.id) {
        "###"
    } else {
        "##"
    };
    write!(out, "\n{level} {}\n\n{}\n", heading(part), part.doc).unwrap_or_default();
    let (keys, later): (Vec<_>, Vec<_>) = part.keys.iter().partition(|key| key.need != Need::Unsupported);
    if !keys.is_empty() {
        out.push_str("\n| key | value | meaning |\n|---|---|---|\n");
    }
    for key in keys {
        let must = if key.need == Need::Required {
            " (must be there)"
        } else {
            ""
        };
        writeln!(
            out,
            "| `{}`{must} | {} | {} |",
            key.name,
            cell(&value(&key.shape)),
            cell(key.doc)
        )
        .unwrap_or_default();
    }
    if !later.is_empty() {
        let names: Vec<String> = later.iter().map(|key| format!("`{}`", key.name)).collect();
        write!(out, "\nRefused by this version: {}.\n", names.join(", ")).unwrap_or_default();
    }
}

/// `A step`, `Action: apply`...
fn heading(part: &Construct) -> String {
    if part.id == "action" {
        return "Actions".to_owned();
    }
    if part.id == "unsupported-subject" {
        return "Subjects to come".to_owned();
    }
    let mut letters = part.what.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Template => "text, `${{ }}`".into(),
        Shape::Boolean => "`true`, `false`".into(),
        Shape::False => "`false`".into(),
        Shape::Integer => "number".into(),
        Shape::Duration => "duration".into(),
        Shape::Cel => "CEL".into(),
        Shape::Target => "`kind/name` or a target".into(),
        Shape::Words(words) | Shape::OpenWords(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::Condition => "`Type=Status`".into(),
        Shape::Texts => "map of texts, `${{ }}`".into(),
        Shape::Programs => "map of names to CEL".into(),
        Shape::Tree => "anything, `${{ }}`".into(),
        Shape::TreeMap => "map, `${{ }}`".into(),
        Shape::Pattern => "value or operators".into(),
        Shape::Credential => "text or `{secret, key}`".into(),
        Shape::Of(part) => part.what.into(),
        Shape::List(of) => format!("list of: {}", value(of)),
        Shape::Map(of) => format!("map of names to: {}", value(of)),
        Shape::Either(shapes) => shapes.iter().map(value).collect::<Vec<_>>().join(" or "),
        Shape::Expectation => "an expectation".into(),
    }
}
