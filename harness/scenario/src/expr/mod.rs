//! Expressions: CEL programs, `${{ }}` templates, and trees of both.
//!
//! Invariant: expansion works on the parsed tree, never on raw text, so each error has a place.

use std::collections::BTreeMap;

use muster_model::{Diagnostic, Diagnostics, Place};
use serde_json::Value;

use crate::node::Node;

/// The names that an expression can see, as JSON: `vars`, `saved`, `self`, `namespaces`, `namespace`, `cluster`, `run`,
/// `inputs`, `each`, `matrix`.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    roots: BTreeMap<String, Value>,
}

impl Scope {
    /// Sets a root name.
    pub fn set(&mut self, name: &str, value: Value) {
        self.roots.insert(name.to_owned(), value);
    }

    /// A scope with `self` set too.
    #[must_use]
    pub fn with_self(&self, value: Value) -> Self {
        let mut scope = self.clone();
        scope.set("self", value);
        scope
    }

    /// A root's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.roots.get(name)
    }
}

/// Why an expression gave no value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {message}")]
pub struct EvalError {
    /// What went wrong.
    pub message: String,
    /// The expression's place.
    pub place: Place,
    /// Whether it may come true by waiting: a key or an element that doesn't exist (yet).
    pub not_yet: bool,
}

/// A parsed CEL expression.
#[derive(Debug, Clone)]
pub struct Program {}

/// A boolean with the values that explain it.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The boolean.
    pub value: bool,
    /// Each relevant sub-expression's source with its value, outermost first, for a false boolean.
    pub because: Vec<(String, Value)>,
}

/// A name that an expression reads: a root and its literal members.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Such as `["vars", "dsn"]`.
    pub path: Vec<String>,
    /// Where the chain stands.
    pub place: Place,
}

impl Program {
    /// Parses bare CEL at a place.
    pub fn parse(_source: &str, _place: &Place) -> Result<Self, Diagnostic> {
        unimplemented!()
    }
    /// The source.
    pub fn source(&self) -> &str {
        unimplemented!()
    }
    /// The place.
    pub fn place(&self) -> &Place {
        unimplemented!()
    }
    /// The value in a scope.
    pub fn eval(&self, _scope: &Scope) -> Result<Value, EvalError> {
        unimplemented!()
    }
    /// The boolean in a scope; any other type is an error.
    pub fn eval_bool(&self, _scope: &Scope) -> Result<Truth, EvalError> {
        unimplemented!()
    }
    /// The names it reads.
    pub fn references(&self) -> Vec<Reference> {
        unimplemented!()
    }
}

/// A type that a templated field of muster's own can have.
pub trait FromScalar: Sized + Clone {
    /// What to call it in messages: `a duration such as 30s`.
    const WHAT: &'static str;
    /// Reads it from a value: a string, or what an expression gave.
    fn from_value(value: &Value) -> Option<Self>;
}

/// A scalar field that is a literal or an expression.
#[derive(Debug, Clone)]
pub enum Templated<T> {
    /// A literal.
    Lit(T, Place),
    /// Text with `${{ }}`.
    Expr(Template),
}

impl<T: FromScalar> Templated<T> {
    /// The value in a scope.
    pub fn eval(&self, _scope: &Scope) -> Result<T, EvalError> {
        unimplemented!()
    }
    /// The place.
    pub fn place(&self) -> &Place {
        unimplemented!()
    }
    /// The literal, if it is one.
    pub fn literal(&self) -> Option<&T> {
        unimplemented!()
    }
}

/// A scalar's text with `${{ }}` parts.
#[derive(Debug, Clone)]
pub struct Template {}

/// A free tree (manifest, patch, `with`) with templates in its scalars.
#[derive(Debug, Clone)]
pub struct Tree {}

/// How plain scalars of a free tree are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// YAML 1.2 core with strict booleans: scenarios.
    Scenario,
    /// As kubectl reads manifests (YAML 1.1: `yes`, `0644`).
    Manifest,
}

impl Tree {
    /// Lowers a node.
    pub fn lower(_node: &Node, _reading: Reading, _diagnostics: &mut Diagnostics) -> Self {
        unimplemented!()
    }
    /// The place.
    pub fn place(&self) -> &Place {
        unimplemented!()
    }
    /// The value in a scope.
    pub fn eval(&self, _scope: &Scope) -> Result<Value, EvalError> {
        unimplemented!()
    }
    /// The names it reads.
    pub fn references(&self) -> Vec<Reference> {
        unimplemented!()
    }
    /// The value, if no template stands in it.
    pub fn literal(&self) -> Option<Value> {
        unimplemented!()
    }
}
