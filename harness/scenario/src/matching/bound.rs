//! Bound patterns: what is expected, with all values known.
//!
//! Invariant: checking one has no side effect and needs no names but those that it carries.

use std::sync::Arc;

use muster_model::Mismatch;
use regex::Regex;
use serde_json::Value;

use super::operator::{Comparison, Decoder, Measure};
use super::pattern::Extent;
use super::{check, show};
use crate::expr::{Program, Scope};

/// A pattern whose templates are filled in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bound {
    expect: Arc<Expect>,
}

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

/// What is expected of a value.
#[derive(Debug, Clone)]
pub(super) enum Expect {
    /// A scalar.
    Literal(Value),
    /// Each of these keys.
    Map(Vec<(String, Expect)>),
    /// These elements.
    List(Vec<Expect>, Extent),
    /// All of these.
    All(Vec<Check>),
}

/// What an operator asks.
#[derive(Debug, Clone)]
pub(super) enum Check {
    Matches(Regex),
    Contains(Vec<Expect>),
    Not(Box<Expect>),
    /// A comparison with a number or a text; with the number that the text is, if it comes from a template.
    Compare(Comparison, Value, Option<Value>),
    OneOf(Vec<Expect>),
    Length(Box<Expect>),
    Each(Box<Expect>),
    Some(Box<Expect>),
    None(Box<Expect>),
    Exactly(Box<Expect>),
    Exists(bool),
    /// Comparisons with amounts in 10⁻⁹ parts, each with its text.
    Amount(Measure, Vec<(Comparison, i128, String)>),
    Cel(Program, Scope),
    Decode(Decoder, Box<Expect>),
}

impl Bound {
    pub(super) fn new(expect: Expect) -> Self {
        Self {
            expect: Arc::new(expect),
        }
    }

    /// Compares an observed value.
    pub fn check(&self, actual: &Value) -> Outcome {
        check::outcome(&self.expect, actual)
    }

    /// Whether it can only be trusted on observations that were made: it holds `$ne`, `$none`, `$exists: false`, a
    /// length of 0, a whole result without rows, or null.
    pub fn is_negative(&self) -> bool {
        self.expect.is_negative()
    }

    /// One line that says what is expected: `status.conditions[type=Ready].status "False"`.
    pub fn summary(&self) -> String {
        show::summary(&self.expect)
    }
}

impl Expect {
    fn is_negative(&self) -> bool {
        match self {
            Self::Literal(value) => value.is_null(),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.is_negative()),
            Self::List(items, Extent::Whole | Extent::Exact) if items.is_empty() => true,
            Self::List(items, _) => items.iter().any(Self::is_negative),
            Self::All(checks) => checks.iter().any(Check::is_negative),
        }
    }
}

impl Check {
    fn is_negative(&self) -> bool {
        match self {
            Self::Not(_) | Self::None(_) | Self::Exists(false) => true,
            Self::Length(length) => {
                matches!(&**length, Expect::Literal(n) if n.as_u64() == Some(0)) || length.is_negative()
            }
            Self::Each(inner) | Self::Some(inner) | Self::Exactly(inner) | Self::Decode(_, inner) => {
                inner.is_negative()
            }
            Self::Amount(_, amounts) => amounts.iter().any(|(c, ..)| *c == Comparison::NotEqual),
            Self::Contains(wanted) | Self::OneOf(wanted) => wanted.iter().any(Expect::is_negative),
            Self::Matches(_) | Self::Compare(..) | Self::Exists(true) | Self::Cel(..) => false,
        }
    }
}
