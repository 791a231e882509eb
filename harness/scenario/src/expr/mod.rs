//! Expressions: CEL programs, `${{ }}` templates, and trees of both.
//!
//! Invariant: expansion works on the parsed tree, never on raw text, so each error has a place.
#![expect(
    clippy::result_large_err,
    reason = "a diagnostic is made once for a mistake, when a file is loaded"
)]

mod check;
mod convert;
mod culprit;
mod explain;
mod functions;
mod lex;
mod mask;
mod program;
mod reference;
mod scalar;
mod scope;
mod semver;
mod syntax;
mod template;
mod templated;
mod tree;

#[cfg(test)]
pub(crate) mod tests_support;

pub use program::{LONGEST, Program, Truth};
pub use reference::Reference;
pub use scalar::{Reading, describe};
pub use scope::{EvalError, Scope};
pub use template::{Template, has_template};
pub use templated::{FromScalar, Templated};
pub use tree::Tree;
