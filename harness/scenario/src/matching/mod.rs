//! Matching: expected trees with `$` operators against observed values, three-valued, nearest difference first.
//!
//! Invariant: a value that could not be judged never counts as a match, nor as a mismatch.

use muster_model::{Diagnostics, Mismatch, Place};
use serde_json::Value;

use crate::expr::{EvalError, Reference, Scope};
use crate::node::Node;

/// An expected value with operators and templates.
#[derive(Debug, Clone)]
pub struct Pattern {}

/// A pattern whose templates are filled in.
#[derive(Debug, Clone)]
pub struct Bound {}

/// The outcome of a match.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It matches.
    Holds,
    /// It doesn't (yet); nearest candidate's differences first.
    Differs(Vec<Mismatch>),
    /// It can never match by waiting: a type mismatch at an existing path, a decoder's wrong use.
    Invalid(Vec<Mismatch>),
}

impl Pattern {
    /// Lowers a node.
    pub fn lower(_node: &Node, _diagnostics: &mut Diagnostics) -> Self {
        unimplemented!()
    }
    /// The place.
    pub fn place(&self) -> &Place {
        unimplemented!()
    }
    /// Fills in the templates.
    pub fn bind(&self, _scope: &Scope) -> Result<Bound, EvalError> {
        unimplemented!()
    }
    /// The names it reads.
    pub fn references(&self) -> Vec<Reference> {
        unimplemented!()
    }
}

impl Bound {
    /// Compares an observed value.
    pub fn check(&self, _actual: &Value) -> Outcome {
        unimplemented!()
    }
    /// Whether it can only be trusted on observations that were made: it holds `$ne`, `$none`, `$exists: false` or null.
    pub fn is_negative(&self) -> bool {
        unimplemented!()
    }
    /// One line that says what is expected.
    pub fn summary(&self) -> String {
        unimplemented!()
    }
}
