//! Writing: apply, create, patch, delete, scale.
//!
//! Invariant: a write says whether it made the object, found it, or can't know; unknown fields are errors
//! (`fieldValidation=Strict`), never dropped.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use muster_model::Object;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::discovery::{Kind, ResolveError};
use crate::error::{ApiError, ErrorClass};
use crate::read::{decode, object_of, object_path};
use crate::repeat::Repeat;
use crate::request::{Call, GaveUp, segment, with_query};

/// The field manager of muster's writes.
pub const FIELD_MANAGER: &str = "muster";

/// How to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Who owns the fields. [`FIELD_MANAGER`] by default.
    pub field_manager: String,
    /// Whether to take fields from other managers.
    pub force: bool,
    /// Labels to add to the manifest's own.
    pub extra_labels: BTreeMap<String, String>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            field_manager: FIELD_MANAGER.to_owned(),
            force: false,
            extra_labels: BTreeMap::new(),
        }
    }
}

/// What a write did to the existence of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It made the object.
    Created,
    /// The object was there.
    Existing,
    /// The request was sent more than once, and an earlier one may have made it.
    Unknown,
}

/// An object as it is after a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The object.
    pub object: Object,
    /// Whether the write made it.
    pub outcome: Outcome,
}

/// A patch and its language.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 7396.
    Merge(Value),
    /// RFC 6902: a list of operations. Sent again only if the server has not seen it.
    Json(Value),
    /// Kubernetes' strategic merge patch: built-in kinds only.
    Strategic(Value),
}

impl Patch {
    fn content_type(&self) -> &'static str {
        match self {
            Patch::Merge(_) => "application/merge-patch+json",
            Patch::Json(_) => "application/json-patch+json",
            Patch::Strategic(_) => "application/strategic-merge-patch+json",
        }
    }

    fn body(&self) -> Bytes {
        let (Patch::Merge(value) | Patch::Json(value) | Patch::Strategic(value)) = self;
        Bytes::from(value.to_string())
    }

    fn repeat(&self) -> Repeat {
        match self {
            Patch::Json(_) => Repeat::Once,
            Patch::Merge(_) | Patch::Strategic(_) => Repeat::Idempotent,
        }
    }
}

/// What happens to an object's dependents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted after it. kubectl's default.
    #[default]
    Background,
    /// It goes only after them.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Delete only the object with this uid, not another that took its name. Without it, the request is not sent again
    /// once the server may have seen it.
    pub uid: Option<String>,
    /// Seconds that a pod may take to end; `None`: its own setting.
    pub grace_period: Option<u32>,
    /// What happens to dependents.
    pub propagation: Propagation,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// The object is gone.
    Gone,
    /// The object stays until its finalizers, its grace period or its dependents are done.
    Terminating {
        /// Its uid, to wait for.
        uid: String,
    },
    /// There was no such object, or, with a uid, another one has its name.
    NotFound,
}

/// A manifest with what a request needs to know of it.
struct Manifest {
    kind: Kind,
    namespace: Option<String>,
    name: String,
    what: String,
}

impl Cluster {
    /// Server-side apply: one request that creates the object or changes the fields that the manifest names. The
    /// manifest's own namespace goes before `namespace`.
    ///
    /// # Errors
    /// [`ApiError`]: `Invalid` for unknown fields, `Conflict` for fields of another manager, `NotServed` if the kind is
    /// not there (yet).
    pub async fn apply(
        &self,
        manifest: &Value,
        namespace: Option<&str>,
        options: &ApplyOptions,
    ) -> Result<Written, ApiError> {
        let about = self.read_manifest("apply", manifest, namespace).await?;
        let (kind, namespace) = (&about.kind, about.namespace.as_deref());
        let path = object_path("apply", &about.what, kind, namespace, &about.name)?;
        let path = with_query(
            &path,
            [
                ("fieldManager", options.field_manager.clone()),
                ("fieldValidation", "Strict".to_owned()),
                ("force", options.force.to_string()),
            ],
        );
        let body = labelled(manifest, &options.extra_labels).to_string();
        let call = Call::write(
            "apply",
            about.what.clone(),
            Method::PATCH,
            path,
            // JSON is YAML; the server takes no other name for an apply patch.
            ("application/apply-patch+yaml", Bytes::from(body)),
            Repeat::Idempotent,
        )
        .access("patch", kind, None, namespace);
        self.written(&call, kind).await
    }

    /// Creates an object: one POST. If its answer is lost, the object is read; one that carries all labels of the
    /// manifest is returned with [`Outcome::Unknown`].
    ///
    /// # Errors
    /// [`ApiError`]: `AlreadyExists`, `Invalid`, `NotServed` and so on.
    pub async fn create(&self, manifest: &Value, namespace: Option<&str>) -> Result<Written, ApiError> {
        let about = self.read_manifest("create", manifest, namespace).await?;
        let (kind, namespace) = (&about.kind, about.namespace.as_deref());
        if kind.namespaced && namespace.is_none() {
            // The same complaint as for any other verb.
            object_path("create", &about.what, kind, namespace, "x")?;
        }
        let path = with_query(
            &kind.path(namespace),
            [
                ("fieldManager", FIELD_MANAGER.to_owned()),
                ("fieldValidation", "Strict".to_owned()),
            ],
        );
        let call = Call::write(
            "create",
            about.what.clone(),
            Method::POST,
            path,
            ("application/json", Bytes::from(manifest.to_string())),
            Repeat::Create,
        )
        .access("create", kind, None, namespace);
        let GaveUp { error, uncertain } = match self.send_or_give_up(&call).await {
            Ok(answer) => {
                return Ok(Written {
                    object: object_of(decode(&call, &answer.body)?, Some(kind)),
                    outcome: Outcome::Created,
                });
            }
            Err(gave_up) => gave_up,
        };
        let lost = error.is_transient() || error.class == ErrorClass::AlreadyExists;
        if !uncertain || !lost || about.name.is_empty() {
            return Err(error);
        }
        let labels = manifest.pointer("/metadata/labels").and_then(Value::as_object);
        match self.get(kind, namespace, &about.name).await {
            Ok(Some(object))
                if labels.is_some_and(|labels| {
                    !labels.is_empty()
                        && labels
                            .iter()
                            .all(|(key, value)| object.label(key) == value.as_str())
                }) =>
            {
                Ok(Written {
                    object,
                    outcome: Outcome::Unknown,
                })
            }
            _ => Err(error),
        }
    }

    /// Patches an object, or one of its subresources (`status`).
    ///
    /// # Errors
    /// [`ApiError`]: `NotFound`, `Invalid`, and so on.
    #[allow(clippy::too_many_arguments, reason = "each names another part of the request")]
    pub async fn patch(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
        subresource: Option<&str>,
        field_manager: &str,
    ) -> Result<Written, ApiError> {
        let what = kind.reference(namespace, name).with_namespace();
        let mut path = object_path("patch", &what, kind, namespace, name)?;
        if let Some(subresource) = subresource {
            path = format!("{path}/{}", segment("patch", &what, subresource)?);
        }
        let path = with_query(
            &path,
            [
                ("fieldManager", field_manager.to_owned()),
                ("fieldValidation", "Strict".to_owned()),
            ],
        );
        let content = (patch.content_type(), patch.body());
        let call = Call::write("patch", what, Method::PATCH, path, content, patch.repeat()).access(
            "patch",
            kind,
            subresource,
            namespace,
        );
        self.written(&call, kind).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// [`ApiError`]; an object that is not there is no error.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deletion, ApiError> {
        let what = kind.reference(namespace, name).with_namespace();
        let path = object_path("delete", &what, kind, namespace, name)?;
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": match options.propagation {
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
                Propagation::Orphan => "Orphan",
            },
        });
        if let Some(seconds) = options.grace_period {
            body["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &options.uid {
            body["preconditions"] = json!({"uid": uid});
        }
        let repeat = match options.uid {
            Some(_) => Repeat::Idempotent,
            None => Repeat::Once,
        };
        let content = ("application/json", Bytes::from(body.to_string()));
        let call = Call::write("delete", what, Method::DELETE, path, content, repeat)
            .access("delete", kind, None, namespace);
        match self.send_or_give_up(&call).await {
            Ok(answer) => Ok(deletion(&decode(&call, &answer.body)?)),
            Err(GaveUp { error, uncertain }) => match error.class {
                ErrorClass::NotFound if uncertain => Ok(Deletion::Gone),
                ErrorClass::NotFound => Ok(Deletion::NotFound),
                // The name is another object's by now.
                ErrorClass::Conflict if options.uid.is_some() && is_other_uid(&error.message) => {
                    Ok(Deletion::NotFound)
                }
                _ => Err(error),
            },
        }
    }

    /// Sets the number of replicas through the `scale` subresource and reads the object after it. Two requests.
    ///
    /// # Errors
    /// [`ApiError`]: `Invalid` if the kind can't be scaled.
    pub async fn scale(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        replicas: u32,
    ) -> Result<Written, ApiError> {
        let what = kind.reference(namespace, name).with_namespace();
        if !kind.has_subresource("scale") {
            return Err(ApiError::new(
                "scale",
                what,
                ErrorClass::Invalid,
                format!("{} have no scale subresource", kind.resource()),
            )
            .help("patch the field that holds the count"));
        }
        let path = object_path("scale", &what, kind, namespace, name)?;
        let path = with_query(
            &format!("{path}/scale"),
            [("fieldManager", FIELD_MANAGER.to_owned())],
        );
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let content = (patch.content_type(), patch.body());
        let call = Call::write(
            "scale",
            what.clone(),
            Method::PATCH,
            path,
            content,
            Repeat::Idempotent,
        )
        .access("patch", kind, Some("scale"), namespace);
        self.send(&call).await?;
        match self.get(kind, namespace, name).await? {
            Some(object) => Ok(Written {
                object,
                outcome: Outcome::Existing,
            }),
            None => Err(ApiError::new(
                "scale",
                what,
                ErrorClass::NotFound,
                "it was deleted just after it was scaled",
            )),
        }
    }

    async fn written(&self, call: &Call, kind: &Kind) -> Result<Written, ApiError> {
        let answer = self.send(call).await?;
        Ok(Written {
            object: object_of(decode(call, &answer.body)?, Some(kind)),
            outcome: match answer.status {
                201 => Outcome::Created,
                _ if answer.uncertain => Outcome::Unknown,
                _ => Outcome::Existing,
            },
        })
    }

    async fn read_manifest(
        &self,
        verb: &'static str,
        manifest: &Value,
        namespace: Option<&str>,
    ) -> Result<Manifest, ApiError> {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").unwrap_or_default().to_owned();
        let invalid = |what: &str, message: &str| ApiError::new(verb, what, ErrorClass::Invalid, message);
        let (Some(api_version), Some(word)) = (text("/apiVersion"), text("/kind")) else {
            return Err(invalid("a manifest", "it has no apiVersion or no kind"));
        };
        let what = format!("{}/{name}", word.to_lowercase());
        let generated = verb == "create" && text("/metadata/generateName").is_some();
        if name.is_empty() && !generated {
            return Err(invalid(&what, "the manifest has no metadata.name"));
        }
        let kind = match self.resolve(word, Some(api_version)).await {
            Ok(kind) => kind,
            Err(ResolveError::Api(error)) => return Err(error),
            Err(error) => {
                return Err(ApiError::new(
                    verb,
                    what,
                    ErrorClass::NotServed,
                    error.to_string(),
                ));
            }
        };
        let namespace = text("/metadata/namespace")
            .or(namespace)
            .filter(|_| kind.namespaced)
            .map(str::to_owned);
        if let Some(namespace) = &namespace {
            segment(verb, &what, namespace)?;
        }
        Ok(Manifest {
            what: kind.reference(namespace.as_deref(), &name).with_namespace(),
            kind,
            namespace,
            name,
        })
    }
}

/// The manifest with more labels.
fn labelled(manifest: &Value, extra: &BTreeMap<String, String>) -> Value {
    let mut manifest = manifest.clone();
    if !extra.is_empty()
        && let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
    {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if !labels.is_object() {
            *labels = json!({});
        }
        for (key, value) in extra {
            labels[key] = value.clone().into();
        }
    }
    manifest
}

/// The API server says it in two ways, by where it notices: "Precondition failed: UID in precondition: .., UID in object
/// meta: .." and "the UID in the precondition (..) does not match the UID in record (..)".
fn is_other_uid(message: &str) -> bool {
    message.contains("UID in precondition") || message.contains("UID in the precondition")
}

/// A DELETE answered by a Status means gone; by the object, that it goes later.
fn deletion(answer: &Value) -> Deletion {
    let object = Object(answer.clone());
    match object.kind() {
        "Status" => Deletion::Gone,
        _ if object.is_terminating() => Deletion::Terminating {
            uid: object.uid().to_owned(),
        },
        _ => Deletion::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_patch_language_has_its_content_type() {
        assert_eq!(
            Patch::Merge(json!({})).content_type(),
            "application/merge-patch+json"
        );
        assert_eq!(
            Patch::Json(json!([])).content_type(),
            "application/json-patch+json"
        );
        assert_eq!(
            Patch::Strategic(json!({})).content_type(),
            "application/strategic-merge-patch+json"
        );
    }

    #[test]
    fn only_a_json_patch_is_unsafe_to_repeat() {
        assert_eq!(Patch::Json(json!([])).repeat(), Repeat::Once);
        assert_eq!(Patch::Merge(json!({})).repeat(), Repeat::Idempotent);
        assert_eq!(Patch::Strategic(json!({})).repeat(), Repeat::Idempotent);
    }

    #[test]
    fn extra_labels_join_those_of_the_manifest() {
        let extra = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
        assert_eq!(
            labelled(&json!({"metadata": {"name": "x", "labels": {"a": "1"}}}), &extra),
            json!({"metadata": {"name": "x", "labels": {"a": "1", "b": "2"}}})
        );
        assert_eq!(
            labelled(&json!({"metadata": {"name": "x", "labels": null}}), &extra),
            json!({"metadata": {"name": "x", "labels": {"b": "2"}}})
        );
        let untouched = json!({"metadata": {"name": "x"}});
        assert_eq!(labelled(&untouched, &BTreeMap::new()), untouched);
    }

    #[test]
    fn the_answer_to_a_delete_tells_gone_from_going() {
        let status = json!({"kind": "Status", "status": "Success", "details": {"uid": "1"}});
        assert_eq!(deletion(&status), Deletion::Gone);
        let going =
            json!({"kind": "Pod", "metadata": {"uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(deletion(&going), Deletion::Terminating { uid: "1".into() });
        let gone = json!({"kind": "Pod", "metadata": {"uid": "1"}});
        assert_eq!(deletion(&gone), Deletion::Gone);
    }
}
