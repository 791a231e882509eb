//! Reading: get, list, raw paths, and what the role allows.
//!
//! Invariant: objects come without `metadata.managedFields` and always with `apiVersion` and `kind`.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use muster_model::Object;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::discovery::Kind;
use crate::error::{ApiError, ErrorClass};
use crate::repeat::Repeat;
use crate::request::{Call, segment, with_query};
use crate::selector::Selector;

/// What a LIST returned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The objects, in the server's order.
    pub objects: Vec<Arc<Object>>,
    /// The version of the list: a watch from here misses nothing.
    pub resource_version: String,
}

/// Which objects of a collection are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one of this name.
    Name(String),
    /// Those with these labels.
    Labels(Selector),
    /// All.
    All,
}

impl Target {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        match self {
            Target::Name(name) => vec![("fieldSelector", format!("metadata.name={name}"))],
            Target::Labels(selector) if !selector.is_all() => {
                vec![("labelSelector", selector.to_string())]
            }
            Target::Labels(_) | Target::All => Vec::new(),
        }
    }

    /// `pods in namespace db`, `pod/a in namespace db`, `pods with app=x`.
    pub(crate) fn describe(&self, kind: &Kind, namespace: Option<&str>) -> String {
        match self {
            Target::Name(name) => kind.reference(namespace, name).with_namespace(),
            target => {
                let with = match target {
                    Target::Labels(selector) if !selector.is_all() => format!(" with {selector}"),
                    _ => String::new(),
                };
                match namespace.filter(|_| kind.namespaced) {
                    Some(namespace) => format!("{}{with} in namespace {namespace}", kind.resource()),
                    None => format!("{}{with}", kind.resource()),
                }
            }
        }
    }
}

/// Makes an object of what the server sent: without managedFields, with the kind that lists leave out of their items.
pub(crate) fn object_of(mut value: Value, kind: Option<&Kind>) -> Object {
    if let Some(fields) = value.as_object_mut() {
        if let Some(kind) = kind {
            fields
                .entry("apiVersion")
                .or_insert_with(|| kind.api_version.clone().into());
            fields.entry("kind").or_insert_with(|| kind.kind.clone().into());
        }
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    Object(value)
}

pub(crate) fn decode(call: &Call, body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(
            call.verb,
            call.what.clone(),
            ErrorClass::Decode,
            format!("the answer can't be read: {error}"),
        )
    })
}

/// The path of one object.
pub(crate) fn object_path(
    verb: &'static str,
    what: &str,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<String, ApiError> {
    if kind.namespaced {
        match namespace {
            Some(namespace) => segment(verb, what, namespace)?,
            None => {
                return Err(ApiError::new(
                    verb,
                    what,
                    ErrorClass::Invalid,
                    format!("{} live in namespaces and none is given", kind.plural),
                ));
            }
        };
    }
    Ok(format!("{}/{}", kind.path(namespace), segment(verb, what, name)?))
}

impl Cluster {
    /// One object, `None` if there is none of that name. One GET.
    ///
    /// # Errors
    /// [`ApiError`]; a kind that is not served is an error, not `None`.
    pub async fn get(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Object>, ApiError> {
        let object = self.get_whole(kind, namespace, name).await?;
        Ok(object.map(|object| object_of(object, Some(kind))))
    }

    /// Who has written to an object: its field managers, each once, in the server's order. `None` if there is none of
    /// that name. One GET.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn field_managers(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Some(object) = self.get_whole(kind, namespace, name).await? else {
            return Ok(None);
        };
        let mut managers: Vec<String> = Vec::new();
        let entries = object
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        for entry in entries.map_or(&[][..], Vec::as_slice) {
            let manager = entry.get("manager").and_then(Value::as_str).unwrap_or_default();
            if !managers.iter().any(|known| known == manager) {
                managers.push(manager.to_owned());
            }
        }
        Ok(Some(managers))
    }

    async fn get_whole(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        let what = kind.reference(namespace, name).with_namespace();
        let path = object_path("get", &what, kind, namespace, name)?;
        let call = Call::read("get", what, path, Repeat::Read).access("get", kind, None, namespace);
        match self.send(&call).await {
            Ok(answer) => decode(&call, &answer.body).map(Some),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a kind with these labels, in one namespace or in all. One LIST, of the present state.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Listing, ApiError> {
        self.list_target(kind, namespace, &Target::Labels(selector.clone()))
            .await
    }

    pub(crate) async fn list_target(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        target: &Target,
    ) -> Result<Listing, ApiError> {
        let what = target.describe(kind, namespace);
        if let Some(namespace) = namespace {
            segment("list", &what, namespace)?;
        }
        let path = with_query(&kind.path(namespace), target.query());
        let call = Call::read("list", what, path, Repeat::Read).access("list", kind, None, namespace);
        let answer = self.send(&call).await?;
        let mut list = decode(&call, &answer.body)?;
        let resource_version = list
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let objects = match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| Arc::new(object_of(item, Some(kind))))
                .collect(),
            _ => Vec::new(),
        };
        Ok(Listing {
            objects,
            resource_version,
        })
    }

    /// Whether the present credentials may do this (a SelfSubjectAccessReview). The verb is the API's: `get`, `list`,
    /// `watch`, `create`, `patch`, `delete`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn allowed(&self, verb: &str, kind: &Kind, namespace: Option<&str>) -> Result<bool, ApiError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb,
                "group": kind.group,
                "version": kind.version,
                "resource": kind.plural,
                "namespace": namespace.filter(|_| kind.namespaced),
            }},
        });
        let call = Call::write(
            "check",
            format!("whether {verb} of {} is allowed", kind.resource()),
            Method::POST,
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
            ("application/json", Bytes::from(review.to_string())),
            // It stores nothing.
            Repeat::Read,
        );
        let answer = self.send(&call).await?;
        let review = decode(&call, &answer.body)?;
        Ok(review
            .pointer("/status/allowed")
            .and_then(Value::as_bool)
            .unwrap_or(false))
    }

    /// The text at any path of the API server, such as `/readyz`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn raw_get(&self, path: &str) -> Result<String, ApiError> {
        let call = Call::read("get", path, path.to_owned(), Repeat::Read);
        let answer = self.send(&call).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Kind {
        Kind {
            group: String::new(),
            version: "v1".into(),
            api_version: "v1".into(),
            kind: "Pod".into(),
            plural: "pods".into(),
            singular: "pod".into(),
            short_names: vec![],
            namespaced: true,
            verbs: vec![],
            subresources: vec![],
        }
    }

    #[test]
    fn an_item_of_a_list_gets_its_kind_and_loses_its_managed_fields() {
        let item = json!({"metadata": {"name": "a", "managedFields": [{"manager": "x"}]}});
        assert_eq!(
            object_of(item, Some(&pods())).0,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})
        );
    }

    #[test]
    fn what_is_read_is_described_as_a_reader_would() {
        let labels = Target::Labels([("app", "x")].into_iter().collect());
        assert_eq!(
            labels.describe(&pods(), Some("db")),
            "pods with app=x in namespace db"
        );
        assert_eq!(Target::All.describe(&pods(), None), "pods");
        assert_eq!(
            Target::Name("a".into()).describe(&pods(), Some("db")),
            "pod/a in namespace db"
        );
    }

    #[test]
    fn a_namespaced_object_needs_a_namespace() {
        let error = object_path("get", "pod/a", &pods(), None, "a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "get pod/a: pods live in namespaces and none is given"
        );
        assert_eq!(
            object_path("get", "pod/a", &pods(), Some("db"), "a").unwrap(),
            "/api/v1/namespaces/db/pods/a"
        );
    }
}
