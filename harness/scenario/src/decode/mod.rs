//! Decoders: text in the forms that Kubernetes, Postgres and their users write (JSON, YAML, base64, URLs, quantities,
//! durations), read into values.
//!
//! Invariant: a decoder never guesses; text that isn't in its form is an error that says what the form looks like.

mod duration;
mod quantity;
mod text;

pub use duration::{format_duration, parse_duration};
pub use quantity::Quantity;
pub use text::{base64, json, url, yaml};

/// Text that is not in the form that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl DecodeError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
