//! The language as data: its keys with their shapes and docs, for the lowering, the JSON Schema and the reference.
//!
//! Invariant: there is no second list of keys anywhere.

mod actions;
mod config_keys;
mod expectations;
mod index;
mod json;
mod reference;
mod scenario_keys;
mod table;

pub use actions::{ACTIONS, APPLY, DELETE, EXEC, FAILS, PATCH, PAUSE, RESTART, SCALE, SCRIPT};
pub use config_keys::{CLUSTER, CONFIG, PREPARE, TIMEOUTS};
pub use expectations::{COMMON, CRASH, LOG, OBJECT, READY, SQL, SQL_ASK, SUBJECTS, UNSUPPORTED_SUBJECTS};
pub use index::constructs;
pub(crate) use index::homes;
pub use json::{config_schema, json_schema};
pub use reference::reference_markdown;
pub use scenario_keys::{
    CONNECTION, LEASE, NAMESPACE, POSTGRES, REQUIRES, SCENARIO, SECRET_KEY, SSLMODES, STEP, TARGET, VAR,
};
pub use table::{Construct, Key, Need, Shape};
