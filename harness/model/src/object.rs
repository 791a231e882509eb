//! Kubernetes objects as muster sees them: JSON with names, without a client.
//!
//! Invariant: an `Object` is a JSON object with `kind` and `metadata`; nothing else is assumed.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names one object: kind, name, and where it lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `apps/v1`, `v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `None` for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    /// `deployment/postgresql` as kubectl prints it, without the namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.to_lowercase(), self.name)
    }
}

impl ObjectRef {
    /// `deployment/postgresql in namespace db`, or without the last part for cluster-scoped kinds.
    pub fn with_namespace(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{self} in namespace {namespace}"),
            None => self.to_string(),
        }
    }
}

/// An object as the API server returned it, without `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Value);

impl Object {
    /// The value at a chain of keys, `None` if any is missing.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, key| value.get(key))
    }

    /// The string at a chain of keys, empty if missing or no string.
    pub fn text(&self, path: &[&str]) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// The integer at a chain of keys.
    pub fn integer(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Value::as_i64)
    }

    /// The list at a chain of keys, empty if missing.
    pub fn list(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// `metadata.namespace`, `None` for cluster-scoped objects.
    pub fn namespace(&self) -> Option<&str> {
        self.at(&["metadata", "namespace"]).and_then(Value::as_str)
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.text(&["metadata", "uid"])
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `metadata.resourceVersion`: opaque, only compared for equality.
    pub fn resource_version(&self) -> &str {
        self.text(&["metadata", "resourceVersion"])
    }

    /// `metadata.generation`, 0 where the kind has none.
    pub fn generation(&self) -> i64 {
        self.integer(&["metadata", "generation"]).unwrap_or(0)
    }

    /// Whether `metadata.deletionTimestamp` is set.
    pub fn is_terminating(&self) -> bool {
        self.at(&["metadata", "deletionTimestamp"])
            .is_some_and(|t| !t.is_null())
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.at(&["metadata", "labels"])
            .and_then(|l| l.get(key))
            .and_then(Value::as_str)
    }

    /// The reference to this object.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// Whether an owner reference names this uid.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.list(&["metadata", "ownerReferences"])
            .iter()
            .any(|owner| owner.get("uid").and_then(Value::as_str) == Some(uid))
    }
}
