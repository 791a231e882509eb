//! What is not Kubernetes, over any byte stream: Postgres, with libpq's meaning of `sslmode`.
//!
//! Invariant: no probe knows how its bytes travel: a [`Dialer`] opens the stream, through a port-forward or directly.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod dial;
pub mod error;
pub mod postgres;
mod tls;
mod values;

pub use dial::{BoxIo, Dialer};
pub use error::{Class, Kind, Position, ProbeError};
pub use postgres::{Postgres, PostgresOptions, Rows, SslMode};
