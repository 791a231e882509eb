//! How the language's keys are described: one table for the lowering, the JSON Schema and the reference.
//!
//! Invariant: a key that the lowering reads stands in a table, and a key in a table is read or refused as unsupported.

/// A map of the language: a step, an action, an expectation...
#[derive(Debug)]
pub struct Construct {
    /// What messages call it, with its article: `a step`.
    pub what: &'static str,
    /// The anchor in the reference and in the schema's `$defs`: `step`.
    pub id: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: &'static [Key],
}

/// A key of a construct.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// Whether it must, may or can't yet be written.
    pub need: Need,
    /// What it does, a sentence or two.
    pub doc: &'static str,
}

/// Whether a key must, may or can't yet be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Required,
    /// It may be there.
    Optional,
    /// It belongs to the language, but this version doesn't run it: refused, never ignored.
    Unsupported,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A text without templates.
    Text,
    /// A text that may hold `${{ }}`.
    Template,
    /// `true` or `false`.
    Boolean,
    /// Only `false`.
    False,
    /// An integer, or `${{ }}`.
    Integer,
    /// A duration such as `30s`, or `${{ }}`.
    Duration,
    /// Bare CEL.
    Cel,
    /// `kind/name` or `{kind, name | labels, apiVersion}`.
    Target,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, or `${{ }}`.
    OpenWords(&'static [&'static str]),
    /// `Type=Status`.
    Condition,
    /// A map of texts that may hold `${{ }}`.
    Texts,
    /// A map of names to bare CEL.
    Programs,
    /// Anything, with `${{ }}` in its scalars.
    Tree,
    /// A map, with `${{ }}` in its scalars.
    TreeMap,
    /// What an observed value must match: a value, a map, a list, or `$` operators.
    Pattern,
    /// A value, or `{secret, key}`.
    Credential,
    /// A map of this construct.
    Of(&'static Construct),
    /// A list of this shape.
    List(&'static Shape),
    /// A map of free names to this shape.
    Map(&'static Shape),
    /// One of several.
    Either(&'static [Shape]),
    /// An expectation: a subject, its checks, the common keys.
    Expectation,
}

impl Construct {
    /// A key of it.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key that must be there.
pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        need: Need::Required,
        doc,
    }
}

/// A key that may be there.
pub(super) const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        need: Need::Optional,
        doc,
    }
}

/// A key of the language that this version doesn't run.
pub(super) const fn unsupported(name: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Tree,
        need: Need::Unsupported,
        doc,
    }
}
