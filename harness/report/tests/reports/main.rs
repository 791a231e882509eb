//! Every report, shown on the same hand-made run logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod diagnostic;
mod html;
mod junit;
mod log;
mod terminal;
