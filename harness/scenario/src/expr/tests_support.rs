//! Nodes built by hand, for tests.
//!
//! Invariant: the raw text of a scalar's place is its text, in quotes for a quoted one.

use muster_model::{Place, SourceFile};

use crate::node::{Entry, Node, NodeKind, Style};

pub(crate) fn node(text: &str, style: Style) -> Node {
    let raw = match style {
        Style::Quoted => format!("\"{text}\""),
        Style::Plain | Style::Block => text.to_owned(),
    };
    let length = raw.len();
    Node {
        place: Place::new(SourceFile::new("s.yaml", raw), 0..length),
        kind: NodeKind::Scalar {
            text: text.to_owned(),
            style,
        },
    }
}

pub(crate) fn plain(text: &str) -> Node {
    node(text, Style::Plain)
}

pub(crate) fn quoted(text: &str) -> Node {
    node(text, Style::Quoted)
}

pub(crate) fn list(items: Vec<Node>) -> Node {
    Node {
        place: Place::nowhere("list"),
        kind: NodeKind::Sequence(items),
    }
}

pub(crate) fn map(entries: Vec<(&str, Node)>) -> Node {
    Node {
        place: Place::nowhere("map"),
        kind: NodeKind::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key: key.to_owned(),
                    key_place: plain(key).place,
                    value,
                })
                .collect(),
        ),
    }
}
