//! Lowering: from nodes to the typed scenario.
//!
//! Invariant: a scenario comes out only if nothing in its document is an error; all errors of the document are reported.

mod action;
mod expectation;
pub(crate) mod fields;
pub(crate) mod read;
mod scenario;
mod setup;
mod step;
mod subject;
mod target;

pub(crate) use expectation::expectations;
pub use scenario::scenario;
