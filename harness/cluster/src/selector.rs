//! Label selectors: equality only, as scenarios write them.
//!
//! Invariant: the text of a selector is what kubectl prints, `a=b,c=d` in the order of the keys.

use std::collections::BTreeMap;
use std::fmt;

use muster_model::Object;

/// Labels that must all be there with these values. Empty: every object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// Label key to its value.
    pub labels: BTreeMap<String, String>,
}

impl Selector {
    /// Selects every object.
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether every object is selected.
    pub fn is_all(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether an object has all the labels.
    pub fn matches(&self, object: &Object) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| object.label(key) == Some(value))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Selector {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        Self {
            labels: labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.labels.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_reads_as_kubectl_prints_it() {
        let selector: Selector = [("tier", "db"), ("app", "postgres")].into_iter().collect();
        assert_eq!(selector.to_string(), "app=postgres,tier=db");
        assert_eq!(Selector::all().to_string(), "");
    }

    #[test]
    fn an_object_matches_only_with_all_labels() {
        let selector: Selector = [("app", "postgres"), ("tier", "db")].into_iter().collect();
        let object = |labels| Object(serde_json::json!({"kind": "Pod", "metadata": {"labels": labels}}));
        assert!(selector.matches(&object(
            serde_json::json!({"app": "postgres", "tier": "db", "x": "y"})
        )));
        assert!(!selector.matches(&object(serde_json::json!({"app": "postgres"}))));
        assert!(Selector::all().matches(&object(serde_json::json!(null))));
    }
}
