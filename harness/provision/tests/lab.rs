//! The lab on this machine.
fn main() {}
