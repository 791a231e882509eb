//! Mismatches: the difference between what was expected and what was seen, at one path.
//!
//! Invariant: a mismatch is readable alone: path, expected and found are always given.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Where in the observed value: `status.conditions[type=Ready].status`, `rows[2].name`, empty for the value itself.
    pub path: String,
    /// What was expected, short: `"False"`, `a match of /sslmode=disable$/`.
    pub expected: String,
    /// What was found, short and cut: `"True"`, `nothing`.
    pub found: String,
    /// What to do, if the mismatch looks like a slip of the pen ("quote it").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Mismatch {
    /// A mismatch without a hint.
    pub fn new(path: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            expected: expected.into(),
            found: found.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
