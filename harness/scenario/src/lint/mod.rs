//! Lint: what is wrong with a well-formed scenario, found without a cluster.
//!
//! Invariant: an error is only what can't work or can't be meant; doubts are warnings.

mod doubts;
mod inputs;
mod names;
mod saves;
mod times;
mod walk;

use muster_model::Diagnostics;

use crate::ast::Scenario;

/// Checks a scenario, and the manifests that it names literally.
pub fn lint(scenario: &Scenario, out: &mut Diagnostics) {
    let found = walk::expressions(scenario);
    saves::check(scenario, &found, out);
    names::check(scenario, &found, out);
    let seen = inputs::check(scenario, out);
    times::check(scenario, out);
    doubts::check(scenario, &found, &seen, out);
}
