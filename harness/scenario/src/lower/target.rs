//! Targets: `kind/name`, or a map with a name or labels.
//!
//! Invariant: a kind is always literal, so that what a scenario touches is known before the run.

use muster_model::{Diagnostic, Diagnostics, Place};

use super::fields::Fields;
use super::read;
use crate::ast::{Select, Target};
use crate::expr::describe;
use crate::node::{Node, NodeKind};
use crate::schema;

/// What a target is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// An action: labels must not be empty.
    Act,
    /// An expectation on any kind.
    Observe,
    /// An expectation or action about pods: the kind is `pod` by default.
    Pods,
}

/// Reads a target.
pub(super) fn target(usage: Use) -> impl FnOnce(&Node, &mut Diagnostics) -> Option<Target> {
    move |node, out| match &node.kind {
        NodeKind::Scalar { text, .. } if !node.is_null() => short(text, node, out),
        NodeKind::Mapping(_) => long(node, usage, out),
        _ => {
            out.push(
                read::wrong_type("an object", node).help(
                    "write kind/name, such as deployment/web, or {kind: deployment, labels: {app: web}}",
                ),
            );
            None
        }
    }
}

fn short(text: &str, node: &Node, out: &mut Diagnostics) -> Option<Target> {
    let wrong = |message: String| {
        Diagnostic::error("bad-target", message, &node.place)
            .help("write kind/name, such as deployment/web, or {kind: deployment, labels: {app: web}}")
    };
    let Some((kind, name)) = text.split_once('/') else {
        out.push(wrong(format!("expected kind/name, found {}", describe(node))));
        return None;
    };
    if kind.contains("${{") {
        out.push(wrong(
            "the kind can't be an expression: what is touched must be known before the run".into(),
        ));
        return None;
    }
    if !is_kind(kind) {
        out.push(wrong(format!("`{kind}` is no kind")));
        return None;
    }
    if name.is_empty() {
        out.push(wrong("there is no name behind the `/`".into()));
        return None;
    }
    if name.contains(|c: char| c == '/' || c.is_whitespace()) && !name.contains("${{") {
        out.push(wrong(format!("`{name}` is no name of an object")));
        return None;
    }
    let name = read::template(&rest(node, kind.len() + 1, name), out)?;
    Some(Target {
        place: node.place.clone(),
        kind: kind.to_owned(),
        api_version: None,
        select: Select::Name(name),
    })
}

/// The part of a scalar behind its first bytes, with its own place.
fn rest(node: &Node, skip: usize, text: &str) -> Node {
    let style = match &node.kind {
        NodeKind::Scalar { style, .. } => *style,
        _ => crate::node::Style::Plain,
    };
    let span = &node.place.span;
    let source = node.place.text();
    // Escapes and folding move bytes: then the place of the whole scalar is the best there is.
    let place = source
        .find(text)
        .filter(|at| *at >= skip)
        .map_or(node.place.clone(), |at| {
            Place::new(
                node.place.file.clone(),
                span.start + at..span.start + at + text.len(),
            )
        });
    Node {
        place,
        kind: NodeKind::Scalar {
            text: text.to_owned(),
            style,
        },
    }
}

fn long(node: &Node, usage: Use, out: &mut Diagnostics) -> Option<Target> {
    let fields = Fields::open(node, &node.place, &[&schema::TARGET], out)?;
    let kind = if usage == Use::Pods && !fields.has("kind") {
        Some("pod".to_owned())
    } else {
        fields.require("kind", out, |node, out| {
            let kind = read::text(node, out)?;
            if !is_kind(&kind) {
                let message = format!("`{kind}` is no kind");
                out.push(
                    Diagnostic::error("bad-target", message, &node.place)
                        .help("such as deployment or deployments.apps"),
                );
                return None;
            }
            Some(kind)
        })
    };
    let api_version = fields.read("apiVersion", out, read::text);
    let select = fields.exactly_one(&["name", "labels"], out).and_then(|entry| {
        if entry.key == "name" {
            return read::template(&entry.value, out).map(Select::Name);
        }
        let labels = read::texts(&entry.value, out)?;
        if labels.is_empty() && usage == Use::Act {
            let message = "empty labels would select every object of the kind";
            out.push(
                Diagnostic::error("empty-selector", message, &entry.value.place)
                    .help("an action must say which: name at least one label"),
            );
            return None;
        }
        Some(Select::Labels(labels))
    });
    Some(Target {
        place: node.place.clone(),
        kind: kind?,
        api_version,
        select: select?,
    })
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty()
        && kind
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
        && kind.starts_with(|c: char| c.is_ascii_alphabetic())
}
