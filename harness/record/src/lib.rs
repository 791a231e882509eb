//! The run folder: its writer, its reader, the model of a recorded run, and the clean-up ledger.
//!
//! Invariant: nothing reaches a run folder or a sink unredacted; only the ledger, which is no artefact, may hold
//! secret values.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod error;
pub mod evidence;
pub mod folder;
pub mod ledger;
mod limit;
pub mod reader;
pub mod recorder;
mod redaction;
pub mod run;

pub use error::RecordError;
pub use folder::{RunFolder, new_run_id};
pub use ledger::{ClusterKey, Deed, Entry, Intent, Ledger, LedgerError, Outcome};
pub use reader::read;
pub use recorder::Recorder;
pub use run::Run;
