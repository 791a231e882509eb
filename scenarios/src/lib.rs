//! The shipped suite: which scenario files there are, and what is demanded of each.
//!
//! Invariant: every `.yaml` file below this package that is a scenario is found; none is listed by hand.

mod shipped;

pub use shipped::{Demand, Shipped, ShippedError, shipped};
