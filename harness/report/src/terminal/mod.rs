//! The terminal's view of a run: each step as it runs, what it waits for, and how it ended.
//!
//! Invariant: all that was printed stays; only the lines at the bottom that tell what runs now are ever replaced, and
//! only on a terminal that can do so. Without that it prints plain lines in the order of the events.

mod options;
mod status;
mod tell;
mod ticker;
mod view;

pub use options::TerminalOptions;
pub use ticker::Ticker;
pub use view::{Terminal, from_events};
