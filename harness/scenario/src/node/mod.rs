//! The node tree: YAML with places and scalar styles, before any type is decided.
//!
//! Invariant: every node knows where it was read from; plain scalars stay unresolved text until a position decides how
//! to read them.

mod parse;
mod syntax;
#[cfg(test)]
mod tests;

pub use parse::{parse_manifest, parse_scenario};

use muster_model::Place;

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: its type depends on the position.
    Plain,
    /// In single or double quotes: always a string.
    Quoted,
    /// A block scalar (`|` or `>`): always a string.
    Block,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands: all of a scalar (with its quotes; of a block scalar its lines), of a list or map no more than
    /// its first line, so that a caret stays under one line. A missing value stands where its key stands.
    pub place: Place,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// A scalar, its text after YAML's unescaping and folding. A missing value is an empty plain scalar.
    Scalar {
        /// The text.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// `[...]` or `- ...`
    Sequence(Vec<Node>),
    /// `{...}` or `key: value`, in the written order, keys unique.
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, always a scalar.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether it is a null: nothing, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, style: Style::Plain }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar.
    pub fn scalar(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The entries of a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            NodeKind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// A map's entry.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// A map's value.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }
}
