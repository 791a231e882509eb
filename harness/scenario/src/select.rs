//! Selecting scenarios by their labels.
//!
//! Invariant: the grammar and its meaning are those of `kubectl -l` (equality-based).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What labels must be: `area=datastore,severity!=minor,smoke,!slow`. All parts must hold; none always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Equals(String, String),
    /// Holds too where the label is missing, as with kubectl.
    Differs(String, String),
    Exists(String),
    Missing(String),
}

/// A selector that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "can't read the label selector `{selector}`: `{part}` is no condition; write key=value, key!=value, key or !key"
)]
pub struct SelectorError {
    /// The whole selector.
    pub selector: String,
    /// The part that is wrong.
    pub part: String,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// A part that is none of `key=value`, `key==value`, `key!=value`, `key`, `!key`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let parts = text.split(',').map(|part| {
            Part::parse(part.trim()).ok_or_else(|| SelectorError {
                selector: text.to_owned(),
                part: part.trim().to_owned(),
            })
        });
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
        })
    }

    /// Adds the conditions of another.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Whether labels satisfy it.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Equals(key, value) => labels.get(key) == Some(value),
            Part::Differs(key, value) => labels.get(key) != Some(value),
            Part::Exists(key) => labels.contains_key(key),
            Part::Missing(key) => !labels.contains_key(key),
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match part {
                Part::Equals(key, value) => write!(f, "{key}={value}")?,
                Part::Differs(key, value) => write!(f, "{key}!={value}")?,
                Part::Exists(key) => f.write_str(key)?,
                Part::Missing(key) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

impl Part {
    fn parse(part: &str) -> Option<Self> {
        let pair = |key: &str, value: &str| {
            let (key, value) = (key.trim(), value.trim());
            (!key.is_empty() && !value.contains(['=', '!'])).then(|| (key.to_owned(), value.to_owned()))
        };
        if let Some((key, value)) = part.split_once("!=") {
            return pair(key, value).map(|(key, value)| Self::Differs(key, value));
        }
        if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            return pair(key, value).map(|(key, value)| Self::Equals(key, value));
        }
        let (missing, key) = part
            .strip_prefix('!')
            .map_or((false, part), |key| (true, key.trim()));
        let good = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || c == '!');
        good.then(|| {
            if missing {
                Self::Missing(key.to_owned())
            } else {
                Self::Exists(key.to_owned())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn all_parts_must_hold() {
        let labels = [("area", "datastore"), ("smoke", "")];
        assert!(selects("area=datastore,smoke", &labels));
        assert!(selects("area == datastore", &labels));
        assert!(!selects("area=datastore,!smoke", &labels));
        assert!(!selects("area=agents", &labels));
    }

    #[test]
    fn a_missing_label_differs_from_every_value() {
        assert!(selects("severity!=minor", &[]));
        assert!(!selects("severity!=minor", &[("severity", "minor")]));
    }

    #[test]
    fn what_is_no_condition_is_an_error_that_names_it() {
        for (text, part) in [
            ("", ""),
            ("a=b,", ""),
            ("a=b=c", "a=b=c"),
            ("=b", "=b"),
            ("a b", "a b"),
            ("a=b,!!c", "!!c"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err().part, part, "{text}");
        }
    }

    #[test]
    fn a_selector_prints_as_it_is_read() {
        let text = "a=b,c!=d,e,!f";
        assert_eq!(Selector::parse(text).unwrap().to_string(), text);
    }
}
