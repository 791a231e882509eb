//! Lint: what is wrong with a well-formed scenario, found without a cluster.
//!
//! Invariant: an error is only what can't work or can't be meant; doubts are warnings.

use muster_model::Diagnostics;

use crate::ast::Scenario;

/// Checks a scenario.
pub fn lint(_scenario: &Scenario, _out: &mut Diagnostics) {}
