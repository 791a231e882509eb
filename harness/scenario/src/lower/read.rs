//! Readers: from one node to one value, with the error that says what was expected.
//!
//! Invariant: a reader that gives `None` has reported why.

use std::time::Duration;

use muster_model::{Diagnostic, Diagnostics, Place};

use crate::expr::{FromScalar, Program, Reading, Templated, Tree, describe};
use crate::matching::Pattern;
use crate::node::{Entry, Node, NodeKind, Style};
use crate::suggest;

/// "expected X, found Y".
pub(crate) fn wrong_type(expected: &str, node: &Node) -> Diagnostic {
    Diagnostic::error(
        "wrong-type",
        format!("expected {expected}, found {}", describe(node)),
        &node.place,
    )
}

/// A text without templates, not empty.
pub(crate) fn text(node: &Node, out: &mut Diagnostics) -> Option<String> {
    match node.scalar() {
        Some(text) if text.contains("${{") => {
            let message = "an expression is not allowed here: this must be known before the run";
            out.push(Diagnostic::error("not-templated", message, &node.place));
            None
        }
        Some(text) if !node.is_null() && !text.trim().is_empty() => Some(text.to_owned()),
        _ => {
            out.push(wrong_type("a text", node));
            None
        }
    }
}

/// A scalar of muster's own that may hold `${{ }}`.
pub(crate) fn templated<T: FromScalar>(node: &Node, out: &mut Diagnostics) -> Option<Templated<T>> {
    if node.scalar().is_none() || node.is_null() {
        out.push(wrong_type(T::WHAT, node));
        return None;
    }
    Templated::lower(node, out)
}

/// A text that may hold `${{ }}`, not empty.
pub(crate) fn template(node: &Node, out: &mut Diagnostics) -> Option<Templated<String>> {
    if node.scalar().is_some_and(|text| text.trim().is_empty()) {
        out.push(wrong_type("a text", node));
        return None;
    }
    templated(node, out)
}

/// A duration that must be known before the run.
pub(crate) fn duration(node: &Node, out: &mut Diagnostics) -> Option<Duration> {
    if node.scalar().is_some_and(|text| text.contains("${{")) {
        return text(node, out).and(None);
    }
    templated::<Duration>(node, out)?.literal().copied()
}

/// `true` or `false`, nothing else.
pub(crate) fn boolean(node: &Node, out: &mut Diagnostics) -> Option<bool> {
    match &node.kind {
        NodeKind::Scalar {
            text,
            style: Style::Plain,
        } if text == "true" => Some(true),
        NodeKind::Scalar {
            text,
            style: Style::Plain,
        } if text == "false" => Some(false),
        kind => {
            let mut diagnostic = wrong_type("`true` or `false`", node);
            if let NodeKind::Scalar { text, style } = kind {
                let lower = text.to_lowercase();
                let meant = match lower.as_str() {
                    "true" | "yes" | "on" | "y" | "1" => Some("true"),
                    "false" | "no" | "off" | "n" | "0" => Some("false"),
                    _ => None,
                };
                if let Some(meant) = meant {
                    let quotes = if *style == Style::Plain {
                        ""
                    } else {
                        ", without quotes"
                    };
                    diagnostic = diagnostic.help(format!("write `{meant}`{quotes}"));
                }
            }
            out.push(diagnostic);
            None
        }
    }
}

/// One of several words.
pub(crate) fn word<T: Clone>(words: &[(&str, T)]) -> impl FnOnce(&Node, &mut Diagnostics) -> Option<T> {
    move |node, out| {
        let names = || words.iter().map(|(name, _)| *name);
        let found = node
            .scalar()
            .and_then(|text| words.iter().find(|(name, _)| *name == text));
        if let Some((_, value)) = found {
            return Some(value.clone());
        }
        let expected = match words {
            [(only, _)] => format!("`{only}`"),
            _ => format!("one of {}", suggest::listed(names())),
        };
        let mut diagnostic = wrong_type(&expected, node);
        if let Some(near) = node.scalar().and_then(|text| suggest::nearest(text, names())) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        out.push(diagnostic);
        None
    }
}

/// Bare CEL.
pub(crate) fn program(node: &Node, out: &mut Diagnostics) -> Option<Program> {
    Program::lower(node, out)
}

/// What an observed value must match.
pub(crate) fn pattern(node: &Node, out: &mut Diagnostics) -> Option<Pattern> {
    if node.entries().is_some_and(<[_]>::is_empty) {
        out.push(
            Diagnostic::error(
                "matches-everything",
                "an empty map matches everything",
                &node.place,
            )
            .help("write what must be there"),
        );
        return None;
    }
    Some(Pattern::lower(node, out))
}

/// Anything, read by the scenario's rules.
#[expect(clippy::unnecessary_wraps, reason = "it is used where readers are")]
pub(crate) fn tree(node: &Node, out: &mut Diagnostics) -> Option<Tree> {
    Some(Tree::lower(node, Reading::Scenario, out))
}

/// A map, read by the scenario's or the manifests' rules.
pub(crate) fn tree_map(reading: Reading) -> impl Fn(&Node, &mut Diagnostics) -> Option<Tree> {
    move |node, out| {
        if node.entries().is_none() {
            out.push(wrong_type("a map", node));
            return None;
        }
        Some(Tree::lower(node, reading, out))
    }
}

/// A list that isn't empty; elements that can't be read are reported and make the whole `None`.
pub(crate) fn list<'n, T>(
    what: &str,
    read: impl Fn(&'n Node, &mut Diagnostics) -> Option<T>,
) -> impl FnOnce(&'n Node, &mut Diagnostics) -> Option<Vec<T>> {
    move |node, out| {
        let Some(items) = node.items() else {
            let mut diagnostic = wrong_type(&format!("a list of {what}"), node);
            diagnostic = match &node.kind {
                NodeKind::Scalar {
                    text,
                    style: Style::Plain,
                } if !node.is_null() && !text.contains("${{") => {
                    diagnostic.help(format!("write it as a list of one: [{text}]"))
                }
                NodeKind::Mapping(_) => diagnostic.help("begin it with `- ` to make it a list of one"),
                _ => diagnostic,
            };
            out.push(diagnostic);
            return None;
        };
        if items.is_empty() {
            let message = format!("expected at least one of the {what}, found an empty list");
            out.push(Diagnostic::error("empty-list", message, &node.place));
            return None;
        }
        all(items.iter().map(|item| read(item, out)), items.len())
    }
}

/// A map of free names; entries that can't be read are reported and make the whole `None`.
pub(crate) fn map<'n, T>(
    what: &str,
    read: impl Fn(&'n Entry, &mut Diagnostics) -> Option<T>,
) -> impl FnOnce(&'n Node, &mut Diagnostics) -> Option<Vec<T>> {
    move |node, out| {
        let Some(entries) = node.entries() else {
            out.push(wrong_type(&format!("a map of {what}"), node));
            return None;
        };
        all(entries.iter().map(|entry| read(entry, out)), entries.len())
    }
}

/// All values, or `None` if one is missing; reads to the end in any case, so that each is reported.
fn all<T>(read: impl Iterator<Item = Option<T>>, length: usize) -> Option<Vec<T>> {
    let mut values = Some(Vec::with_capacity(length));
    for value in read {
        match (&mut values, value) {
            (Some(values), Some(value)) => values.push(value),
            _ => values = None,
        }
    }
    values
}

/// A map of texts that may hold `${{ }}`.
pub(crate) fn texts(node: &Node, out: &mut Diagnostics) -> Option<Vec<(String, Templated<String>)>> {
    map("texts", |entry, out| {
        Some((entry.key.clone(), templated(&entry.value, out)?))
    })(node, out)
}

/// A name that expressions read: letters, digits and `_`, not a digit first.
pub(crate) fn identifier(name: &str, place: &Place, what: &str, out: &mut Diagnostics) -> Option<String> {
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good {
        return Some(name.to_owned());
    }
    let message = format!("`{name}` is no name for {what}: expressions could not read it");
    let mut diagnostic =
        Diagnostic::error("bad-name", message, place).help("use letters, digits and `_`, a letter first");
    let fixed: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if fixed.starts_with(|c: char| c.is_ascii_alphabetic()) {
        diagnostic = diagnostic.help(format!("such as `{fixed}`"));
    }
    out.push(diagnostic);
    None
}
