//! Matching: expected trees with `$` operators against observed values, three-valued, nearest difference first.
//!
//! Invariant: a value that could not be judged never counts as a match, nor as a mismatch.

mod assign;
mod bind;
mod bound;
mod check;
mod difference;
mod elements;
mod keyed;
pub mod logline;
mod lower;
mod operator;
mod pattern;
mod show;

pub use bound::{Bound, Outcome};
pub use operator::OPERATORS;
pub use pattern::Pattern;

#[cfg(test)]
mod tests;
