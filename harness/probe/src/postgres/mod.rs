//! Postgres: connecting as libpq would, and asking.
//!
//! Invariant: a statement whose answer nobody waits for any more is cancelled in the server.

mod cancel;
mod client;
mod connect;
mod options;

pub use client::{MOST_ROWS, Postgres, Rows};
pub use options::{PostgresOptions, SslMode};
