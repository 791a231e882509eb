//! Scopes: the names that an expression can see.
//!
//! Invariant: cloning a scope copies no value, so that one scope per observation is cheap.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::Place;
use serde_json::Value;

/// The names that an expression can see, as JSON: `vars`, `saved`, `self`, `namespaces`, `namespace`, `cluster`, `run`,
/// `inputs`, `each`, `matrix`. `now` is the time of the evaluation unless it is set (to an RFC 3339 text).
#[derive(Debug, Clone, Default)]
pub struct Scope {
    roots: BTreeMap<String, Arc<Value>>,
}

impl Scope {
    /// Sets a root name.
    pub fn set(&mut self, name: &str, value: Value) {
        self.set_shared(name, Arc::new(value));
    }

    /// Sets a root name to a value that others hold too.
    pub fn set_shared(&mut self, name: &str, value: Arc<Value>) {
        self.roots.insert(name.to_owned(), value);
    }

    /// A scope with `self` set too.
    #[must_use]
    pub fn with_self(&self, value: Value) -> Self {
        let mut scope = self.clone();
        scope.set("self", value);
        scope
    }

    /// A root's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.roots.get(name).map(Arc::as_ref)
    }

    /// The root names that are set, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roots.keys().map(String::as_str)
    }
}

/// Why an expression gave no value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {message}")]
pub struct EvalError {
    /// What went wrong.
    pub message: String,
    /// The expression's place, as narrow as it is known.
    pub place: Place,
    /// Whether it may come true by waiting: a key or an element that doesn't exist (yet).
    pub not_yet: bool,
}

impl EvalError {
    /// An error that no waiting mends.
    pub(crate) fn fatal(message: impl Into<String>, place: &Place) -> Self {
        Self {
            message: message.into(),
            place: place.clone(),
            not_yet: false,
        }
    }
}
