//! Text to scenario: the node tree, expressions, matching, the typed scenario, lint and schema.
//!
//! Invariant: no cluster, no clock, no I/O beyond reading the files that a scenario names; every error of a file is
//! reported in one go, each with its place.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod ast;
pub mod config;
pub mod decode;
pub mod expr;
pub mod lint;
pub mod lower;
pub mod manifest;
pub mod matching;
pub mod node;
pub mod schema;
pub mod select;
pub mod suggest;

mod load;

pub use ast::Scenario;
pub use config::Config;
pub use load::{Discovered, Loaded, discover, load_file, load_paths};
pub use select::Selector;
