//! What can go wrong with one request to the API server.
//!
//! Invariant: an error says the operation, the object, what the server said (once) and, where there is one, the next
//! step.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;

use serde_json::Value;

use crate::transport::{broken_text, tls_text};

/// The kind of failure: what a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The object is not there (404 with its name).
    NotFound,
    /// The role does not allow it (403).
    Forbidden,
    /// The credentials are not accepted (401).
    Unauthorized,
    /// The server, or muster before sending, refuses the content (400, 413, 415, 422).
    Invalid,
    /// Another field manager owns a field, or the object changed meanwhile (409).
    Conflict,
    /// An object of that name exists (409 on create).
    AlreadyExists,
    /// The server does not serve this kind, or not yet (404 on the path).
    NotServed,
    /// The history asked for is no longer kept (410).
    Expired,
    /// The server is overloaded (429).
    TooManyRequests,
    /// The server failed (5xx).
    Server,
    /// No answer in time.
    Timeout,
    /// No connection, or it was lost.
    Connection,
    /// The server's certificate is not accepted.
    Tls,
    /// The answer can't be read.
    Decode,
}

/// One field that the server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Such as `spec.replicas`; may be empty.
    pub field: String,
    /// The server's text.
    pub message: String,
}

/// All that is known about a failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorDetails {
    /// `get`, `list`, `watch`, `apply`, `create`, `patch`, `delete`, `scale`, `exec`, `logs`, `forward`, `check`.
    pub verb: String,
    /// `deployment/web in namespace db`, `pods in namespace db`, `/readyz`.
    pub what: String,
    /// What to decide by.
    pub class: ErrorClass,
    /// The HTTP status, if the server answered.
    pub status: Option<u16>,
    /// The server's machine-readable reason, such as `NotFound`; empty without one.
    pub reason: String,
    /// What the server said, or what happened to the connection.
    pub message: String,
    /// The fields that the server refuses.
    pub causes: Vec<Cause>,
    /// What to do next.
    pub help: Option<String>,
    /// How many times the request was sent; 0 if it was refused before sending.
    pub attempts: u32,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError(Box<ErrorDetails>);

impl Deref for ApiError {
    type Target = ErrorDetails;

    fn deref(&self) -> &ErrorDetails {
        &self.0
    }
}

impl StdError for ApiError {}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.verb, self.what, self.message)?;
        for cause in &self.causes {
            if !self.message.contains(&cause.message) {
                match cause.field.as_str() {
                    "" => write!(f, "; {}", cause.message)?,
                    field => write!(f, "; {field}: {}", cause.message)?,
                }
            }
        }
        if self.attempts > 1 {
            write!(f, " (sent {} times)", self.attempts)?;
        }
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// What a request asks of the role, for the next step after a 403.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With the subresource: `pods/exec`.
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
}

impl Access {
    fn help(&self) -> String {
        let group = match self.group.as_str() {
            "" => "\"\"",
            group => group,
        };
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, format!(" --subresource={sub}")),
            None => (self.resource.as_str(), String::new()),
        };
        let dotted = match self.group.as_str() {
            "" => resource.to_owned(),
            group => format!("{resource}.{group}"),
        };
        let (role, place) = match &self.namespace {
            Some(namespace) => ("Role", format!(" -n {namespace}")),
            None => ("ClusterRole", " -A".to_owned()),
        };
        format!(
            "grant a {role} with apiGroups [{group}], resources [{}], verbs [{}]; to check: kubectl auth can-i {} {dotted}{subresource}{place}",
            self.resource, self.verb, self.verb
        )
    }
}

impl ApiError {
    /// An error that says: operation, object, class, and what happened.
    pub fn new(
        verb: impl Into<String>,
        what: impl Into<String>,
        class: ErrorClass,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(ErrorDetails {
            verb: verb.into(),
            what: what.into(),
            class,
            status: None,
            reason: String::new(),
            message: message.into(),
            causes: Vec::new(),
            help: None,
            attempts: 0,
        }))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    pub(crate) fn attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Whether the same request may succeed a moment later: server errors, overload, timeouts, lost connections, and a
    /// pod in a namespace that is so new that it has no `default` service account yet.
    pub fn is_transient(&self) -> bool {
        if self.class == ErrorClass::Forbidden {
            return self.message.contains("error looking up service account")
                && self.message.contains("serviceaccount \"default\" not found");
        }
        matches!(
            self.class,
            ErrorClass::TooManyRequests | ErrorClass::Server | ErrorClass::Timeout | ErrorClass::Connection
        )
    }

    /// Whether `logs` were refused since the container does not run yet: the pod has no node, the kubelet does not know
    /// the container, or it is waiting (the texts are those of the API server's log strategy and of the kubelet's
    /// `validateContainerLogStatus`).
    pub fn is_waiting_to_start(&self) -> bool {
        self.class == ErrorClass::Invalid
            && [
                "is waiting to start",
                "is not available",
                "does not have a host assigned",
            ]
            .iter()
            .any(|text| self.message.contains(text))
    }

    /// Reads the server's answer to a request that failed. The body is a `Status`, or any text from a proxy.
    pub(crate) fn from_answer(
        verb: &str,
        what: &str,
        status: u16,
        body: &[u8],
        access: Option<&Access>,
    ) -> Self {
        let parsed: Option<Value> = serde_json::from_slice(body)
            .ok()
            .filter(|v: &Value| v.get("kind").and_then(Value::as_str) == Some("Status"));
        match parsed {
            Some(answer) => Self::from_status(verb, what, Some(status), &answer, access),
            None => {
                let text = String::from_utf8_lossy(body);
                let message = match text.trim() {
                    "" => format!("HTTP status {status} without a text"),
                    text => format!("HTTP status {status}: {}", first_line(text)),
                };
                let mut error = Self::new(verb, what, ErrorClass::of(status, "", false), message);
                error.0.status = Some(status);
                error.explain(access)
            }
        }
    }

    /// Reads a `Status` object, from an answer or from inside a watch.
    pub(crate) fn from_status(
        verb: &str,
        what: &str,
        http: Option<u16>,
        answer: &Value,
        access: Option<&Access>,
    ) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let status = http
            .or_else(|| {
                let code = answer.get("code").and_then(Value::as_u64)?;
                u16::try_from(code).ok()
            })
            .unwrap_or(500);
        let reason = text(answer.get("reason"));
        let details = answer.get("details");
        let named = details
            .and_then(|d| d.get("name"))
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty());
        let causes = details
            .and_then(|d| d.get("causes"))
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .map(|cause| Cause {
                field: text(cause.get("field")),
                message: text(cause.get("message")),
            })
            // The server adds its own parse errors without a field; the message says them already.
            .filter(|cause| !cause.message.is_empty())
            .collect();
        let message = match text(answer.get("message")) {
            message if !message.is_empty() => message,
            _ if !reason.is_empty() => reason.clone(),
            _ => format!("HTTP status {status}"),
        };
        let class = match ErrorClass::of(status, &reason, named) {
            // The API server reports an unknown field of an apply as its own failure (500 without a reason).
            ErrorClass::Server if message.starts_with("failed to create typed patch object") => {
                ErrorClass::Invalid
            }
            class => class,
        };
        let error = Self(Box::new(ErrorDetails {
            verb: verb.to_owned(),
            what: what.to_owned(),
            class,
            status: Some(status),
            reason,
            message,
            causes,
            help: None,
            attempts: 0,
        }));
        error.explain(access)
    }

    fn explain(mut self, access: Option<&Access>) -> Self {
        self.0.help = match self.class {
            // Admission also refuses with 403: a quota, a namespace that goes, pod security.
            ErrorClass::Forbidden if self.message.contains(" cannot ") => access.map(Access::help),
            ErrorClass::Unauthorized => {
                Some("the credentials of the kubeconfig are not accepted: log in again, or check whether they expired".to_owned())
            }
            ErrorClass::NotServed => {
                Some("is the CustomResourceDefinition installed? kubectl api-resources lists what is served".to_owned())
            }
            ErrorClass::Conflict if self.message.contains("conflict with") => {
                Some("another field manager owns the field: leave it out of the manifest, or use `patch`, which takes it over".to_owned())
            }
            _ => None,
        };
        self
    }

    /// What happened to a connection: refused, lost, timed out, a certificate that isn't accepted.
    pub(crate) fn from_transport(verb: &str, what: &str, error: &(dyn StdError + 'static)) -> Self {
        let tls = tls_text(error);
        match tls {
            Some(message) => Self::new(verb, what, ErrorClass::Tls, message).help(
                "check certificate-authority and server in the kubeconfig: the server's certificate must be signed by that CA and name that host",
            ),
            None => Self::new(verb, what, ErrorClass::Connection, broken_text(error)),
        }
    }
}

impl ErrorClass {
    /// `named`: the status names the object that it is about.
    fn of(status: u16, reason: &str, named: bool) -> Self {
        match (status, reason) {
            (404, _) if named => Self::NotFound,
            (404, _) => Self::NotServed,
            (403, _) => Self::Forbidden,
            (401, _) => Self::Unauthorized,
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            (410, _) => Self::Expired,
            (429, _) => Self::TooManyRequests,
            (504, _) | (_, "Timeout" | "ServerTimeout") => Self::Timeout,
            (500..=599, _) => Self::Server,
            _ => Self::Invalid,
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(code: u16, reason: &str, message: &str, details: Value) -> Vec<u8> {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
               "message": message, "details": details})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_forbidden_error_names_what_to_grant() {
        let body = status(
            403,
            "Forbidden",
            "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"db\"",
            json!({"kind": "pods"}),
        );
        let access = Access {
            verb: "list".into(),
            group: String::new(),
            resource: "pods".into(),
            namespace: Some("db".into()),
        };
        let error = ApiError::from_answer("list", "pods in namespace db", 403, &body, Some(&access));
        assert_eq!(error.class, ErrorClass::Forbidden);
        assert!(!error.is_transient());
        assert_eq!(
            error.to_string(),
            "list pods in namespace db: pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" \
             in the namespace \"db\" (grant a Role with apiGroups [\"\"], resources [pods], verbs [list]; to check: \
             kubectl auth can-i list pods -n db)"
        );
    }

    #[test]
    fn a_subresource_and_a_group_are_named_in_the_check() {
        let access = Access {
            verb: "patch".into(),
            group: "apps".into(),
            resource: "deployments/scale".into(),
            namespace: None,
        };
        assert_eq!(
            access.help(),
            "grant a ClusterRole with apiGroups [apps], resources [deployments/scale], verbs [patch]; to check: \
             kubectl auth can-i patch deployments.apps --subresource=scale -A"
        );
    }

    #[test]
    fn a_missing_object_differs_from_a_kind_that_is_not_served() {
        let missing = status(
            404,
            "NotFound",
            "pods \"a\" not found",
            json!({"name": "a", "kind": "pods"}),
        );
        assert_eq!(
            ApiError::from_answer("get", "pod/a", 404, &missing, None).class,
            ErrorClass::NotFound
        );
        let path = status(
            404,
            "NotFound",
            "the server could not find the requested resource",
            json!({}),
        );
        assert_eq!(
            ApiError::from_answer("list", "widgets", 404, &path, None).class,
            ErrorClass::NotServed
        );
        let plain = ApiError::from_answer("list", "widgets", 404, b"404 page not found\n", None);
        assert_eq!(plain.class, ErrorClass::NotServed);
        assert!(
            plain
                .to_string()
                .starts_with("list widgets: HTTP status 404: 404 page not found ("),
            "{plain}"
        );
    }

    #[test]
    fn a_conflict_differs_from_an_existing_object() {
        let exists = status(
            409,
            "AlreadyExists",
            "pods \"a\" already exists",
            json!({"name": "a"}),
        );
        assert_eq!(
            ApiError::from_answer("create", "pod/a", 409, &exists, None).class,
            ErrorClass::AlreadyExists
        );
        let conflict = status(
            409,
            "Conflict",
            "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas",
            json!({"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".spec.replicas"}]}),
        );
        let error = ApiError::from_answer("apply", "deployment/web", 409, &conflict, None);
        assert_eq!(error.class, ErrorClass::Conflict);
        assert_eq!(error.causes[0].field, ".spec.replicas");
        let text = error.to_string();
        assert_eq!(text.matches("conflict with").count(), 1, "{text}");
        assert!(text.contains("which takes it over"), "{text}");
    }

    #[test]
    fn server_errors_overload_and_timeouts_are_transient_and_the_rest_is_not() {
        let class = |code, reason| {
            let error = ApiError::from_answer("get", "x", code, &status(code, reason, "m", json!({})), None);
            (error.class, error.is_transient())
        };
        assert_eq!(class(500, "InternalError"), (ErrorClass::Server, true));
        assert_eq!(class(503, "ServiceUnavailable"), (ErrorClass::Server, true));
        assert_eq!(class(500, "ServerTimeout"), (ErrorClass::Timeout, true));
        assert_eq!(class(504, "Timeout"), (ErrorClass::Timeout, true));
        assert_eq!(class(429, "TooManyRequests"), (ErrorClass::TooManyRequests, true));
        assert_eq!(class(422, "Invalid"), (ErrorClass::Invalid, false));
        assert_eq!(class(400, "BadRequest"), (ErrorClass::Invalid, false));
        assert_eq!(class(415, "UnsupportedMediaType"), (ErrorClass::Invalid, false));
        assert_eq!(class(401, "Unauthorized"), (ErrorClass::Unauthorized, false));
        assert_eq!(class(410, "Expired"), (ErrorClass::Expired, false));
    }

    #[test]
    fn causes_that_the_message_lacks_are_added_once() {
        let body = status(
            422,
            "Invalid",
            "Deployment.apps \"web\" is invalid",
            json!({"name": "web", "causes": [{"field": "spec.replicas", "message": "must be 0 or more"}]}),
        );
        let error = ApiError::from_answer("apply", "deployment/web", 422, &body, None);
        assert_eq!(
            error.to_string(),
            "apply deployment/web: Deployment.apps \"web\" is invalid; spec.replicas: must be 0 or more"
        );
    }

    #[test]
    fn an_unknown_field_of_an_apply_is_invalid_though_the_server_calls_it_its_own_failure() {
        let body = status(
            500,
            "",
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema",
            json!(null),
        );
        let error = ApiError::from_answer("apply", "deployment/web", 500, &body, None);
        assert_eq!((error.class, error.is_transient()), (ErrorClass::Invalid, false));
    }

    #[test]
    fn a_log_that_can_not_be_there_yet_differs_from_one_that_never_will() {
        let refused = |message: &str| {
            let body = status(400, "BadRequest", message, json!(null));
            ApiError::from_answer("logs", "pod/a", 400, &body, None).is_waiting_to_start()
        };
        assert!(refused("pod a does not have a host assigned"));
        assert!(refused("container \"main\" in pod \"a\" is not available"));
        assert!(refused(
            "container \"main\" in pod \"a\" is waiting to start: ContainerCreating"
        ));
        assert!(!refused("container side is not valid for pod a"));
        assert!(!refused(
            "previous terminated container \"main\" in pod \"a\" not found"
        ));
    }

    #[test]
    fn admission_that_refuses_is_no_question_of_rights() {
        let access = Access {
            verb: "create".into(),
            group: String::new(),
            resource: "pods".into(),
            namespace: Some("db".into()),
        };
        let refused = |message: &str| {
            let body = status(403, "Forbidden", message, json!({"name": "a", "kind": "pods"}));
            ApiError::from_answer("create", "pod/a", 403, &body, Some(&access))
        };
        let going = refused(
            "pods \"a\" is forbidden: unable to create new content in namespace db because it is being terminated",
        );
        assert_eq!((going.help.as_deref(), going.is_transient()), (None, false));
        let young = refused(
            "pods \"a\" is forbidden: error looking up service account db/default: serviceaccount \"default\" not found",
        );
        assert!(young.is_transient());
        let missing = refused(
            "pods \"a\" is forbidden: error looking up service account db/agent: serviceaccount \"agent\" not found",
        );
        assert!(!missing.is_transient());
    }
}
