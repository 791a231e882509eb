//! Patterns: what is expected of an observed value, as it was written, templates not filled in yet.
//!
//! Invariant: what can be known to be wrong when the file is loaded was reported then.

use muster_model::Place;
use regex::Regex;

use super::operator::{Comparison, Decoder, Measure};
use crate::expr::{Program, Reference, Template, Tree};

/// An expected value with operators and templates.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// The forms of a pattern.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A scalar, literal or template.
    Value(Tree),
    /// A map: each of these keys must match.
    Map(Vec<(Key, Pattern)>),
    /// A list.
    List(Vec<Pattern>, Extent),
    /// Operators: all must hold.
    All(Vec<Operator>),
}

/// How much of an observed list a list speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Each expected element matches a different observed one; there may be more.
    Part,
    /// As `Part`, and there are no more.
    Whole,
    /// Element by element.
    Exact,
}

/// A key, literal or template.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Literal(String),
    Template(Template),
}

/// One `$` operator with its operand.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// `$matches` with a literal pattern.
    Matches(Regex),
    /// `$matches` with a template.
    MatchesTemplate(Template),
    /// `$contains`: text, or elements of a list.
    Contains(Vec<Pattern>),
    /// `$ne`.
    Not(Pattern),
    /// `$gt`, `$gte`, `$lt`, `$lte`.
    Compare(Comparison, Tree),
    /// `$in`.
    OneOf(Vec<Pattern>),
    /// `$len`.
    Length(Pattern),
    /// `$each`.
    Each(Pattern),
    /// `$some`.
    Some(Pattern),
    /// `$none`.
    None(Pattern),
    /// `$exactly`.
    Exactly(Pattern),
    /// `$exists`.
    Exists(bool),
    /// `$quantity`, `$duration`: amounts to compare with, all must hold.
    Amount(Measure, Vec<(Comparison, Tree)>),
    /// `$cel`.
    Cel(Program),
    /// `$json`, `$yaml`, `$base64`, `$url`.
    Decode(Decoder, Pattern),
}

impl Pattern {
    /// The place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The names it reads, `self` of `$cel` included.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        self.collect(&mut |part| match part {
            Part::Template(template) => found.extend(template.references()),
            Part::Program(program) => found.extend(program.references()),
        });
        found
    }

    /// The programs of its templates and of `$cel`, to be checked.
    pub fn programs(&self) -> Vec<Program> {
        let mut found = Vec::new();
        self.collect(&mut |part| match part {
            Part::Template(template) => found.extend(template.programs().cloned()),
            Part::Program(program) => found.push(program.clone()),
        });
        found
    }

    fn collect(&self, visit: &mut dyn FnMut(Part<'_>)) {
        match &self.kind {
            Kind::Value(tree) => visit_tree(tree, visit),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if let Key::Template(template) = key {
                        visit(Part::Template(template));
                    }
                    value.collect(visit);
                }
            }
            Kind::List(items, _) => items.iter().for_each(|item| item.collect(visit)),
            Kind::All(operators) => operators.iter().for_each(|operator| operator.collect(visit)),
        }
    }
}

impl Operator {
    fn collect(&self, visit: &mut dyn FnMut(Part<'_>)) {
        match self {
            Self::Matches(_) | Self::Exists(_) => {}
            Self::MatchesTemplate(template) => visit(Part::Template(template)),
            Self::Contains(patterns) | Self::OneOf(patterns) => {
                patterns.iter().for_each(|pattern| pattern.collect(visit));
            }
            Self::Not(pattern)
            | Self::Length(pattern)
            | Self::Each(pattern)
            | Self::Some(pattern)
            | Self::None(pattern)
            | Self::Exactly(pattern)
            | Self::Decode(_, pattern) => pattern.collect(visit),
            Self::Compare(_, tree) => visit_tree(tree, visit),
            Self::Amount(_, amounts) => amounts.iter().for_each(|(_, tree)| visit_tree(tree, visit)),
            Self::Cel(program) => visit(Part::Program(program)),
        }
    }
}

/// A part of a pattern that reads names.
enum Part<'p> {
    Template(&'p Template),
    Program(&'p Program),
}

fn visit_tree(tree: &Tree, visit: &mut dyn FnMut(Part<'_>)) {
    for template in tree.templates() {
        visit(Part::Template(template));
    }
}
