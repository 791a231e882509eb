//! Runs a plan: time, order, observation, clean-up, evidence.
//!
//! Invariant: the engine is the only part that knows time; what it finds out leaves it as events, and nothing it made
//! in a cluster outlives a scenario unless the user asked for it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod book;
mod causes;
pub mod child;
mod connections;
mod context;
mod evidence;
mod expect;
mod failure;
mod history;
mod locks;
mod mark;
mod namespaces;
mod options;
mod pods;
mod prepare;
mod run;
mod scenario;
mod step;
mod steps;
mod target;
mod undo;
mod values;
mod wait;

pub use options::{Defaults, Keep, RunOptions};
pub use run::{Plan, RunOutcome, run};
pub use undo::clean;
pub use values::wrong_var;
