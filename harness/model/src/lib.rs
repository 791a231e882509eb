//! The vocabulary of muster: places in files, diagnostics, references to objects, mismatches, events, secrets.
//!
//! Invariant: no I/O, and no knowledge of Kubernetes, Postgres or time beyond what a value carries.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod diagnostic;
pub mod event;
pub mod mismatch;
pub mod object;
pub mod place;
pub mod secrets;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use event::{Emit, Event, EventKind, Scope};
pub use mismatch::Mismatch;
pub use object::{Object, ObjectRef};
pub use place::{Place, PlaceRef, SourceFile};
pub use secrets::Secrets;
