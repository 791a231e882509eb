//! The node tree: YAML with places and scalar styles, before any type is decided.
//!
//! Invariant: every node knows the bytes it was read from; plain scalars stay unresolved text until a position
//! decides how to read them.

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
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// A scalar, its text after YAML's unescaping and folding.
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
