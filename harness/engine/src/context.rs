//! What the parts of a running scenario share.
//!
//! Invariant: state that outlives a step (saved values, what was seen, what must be undone) lives here and nowhere
//! else; a step works on a copy of the names it can see.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use muster_cluster::Cluster;
use muster_model::event::{EventKind, Scope as EventScope};
use muster_model::{Emit, Object, ObjectRef, Place, Secrets};
use muster_record::Recorder;
use muster_scenario::Scenario;
use muster_scenario::expr::{FromScalar, Scope, Templated};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::connections::Connections;
use crate::failure::Trouble;
use crate::mark::{Effects, Mark};
use crate::options::RunOptions;
use crate::undo::UndoLog;

/// Facts about the cluster that expressions see.
#[derive(Debug, Clone)]
pub(crate) struct ClusterFacts {
    pub(crate) version: String,
    pub(crate) platform: &'static str,
    pub(crate) nodes: usize,
}

/// A scenario that runs.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) facts: ClusterFacts,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) secrets: Secrets,
    pub(crate) options: Arc<RunOptions>,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) scope: EventScope,
    pub(crate) undo: Arc<UndoLog>,
    pub(crate) book: Book,
    pub(crate) connections: Connections,
    /// Objects are taken over from other field managers: what prepares a cluster is its declared state.
    pub(crate) forces: bool,
    interrupt: Mutex<CancellationToken>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    vars: Map<String, Value>,
    saved: Map<String, Value>,
    /// alias → real name, in the written order.
    namespaces: Vec<(String, String)>,
    /// Namespaces that this scenario made.
    own: HashSet<String>,
    seen: HashSet<ObjectRef>,
}

/// What a context is made of.
pub(crate) struct Parts {
    pub(crate) cluster: Cluster,
    pub(crate) facts: ClusterFacts,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) secrets: Secrets,
    pub(crate) options: Arc<RunOptions>,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) scope: EventScope,
    pub(crate) undo: Arc<UndoLog>,
    pub(crate) interrupt: CancellationToken,
    pub(crate) forces: bool,
}

impl Context {
    /// A scenario before its first step.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            book: Book::new(
                parts.cluster.clone(),
                Arc::clone(&parts.recorder),
                parts.scope.clone(),
            ),
            connections: Connections::new(parts.cluster.clone()),
            cluster: parts.cluster,
            facts: parts.facts,
            recorder: parts.recorder,
            secrets: parts.secrets,
            options: parts.options,
            scenario: parts.scenario,
            scope: parts.scope,
            undo: parts.undo,
            forces: parts.forces,
            interrupt: Mutex::new(parts.interrupt),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Cancelled when the run is interrupted.
    pub(crate) fn interrupt(&self) -> CancellationToken {
        match self.interrupt.lock() {
            Ok(token) => token.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Resolves when the run is interrupted.
    pub(crate) async fn interrupted(&self) {
        self.interrupt().cancelled_owned().await;
    }

    /// No signal reaches the scenario from now on: `finally` runs to its end within its own budget.
    pub(crate) fn shield(&self) {
        match self.interrupt.lock() {
            Ok(mut token) => *token = CancellationToken::new(),
            Err(poisoned) => *poisoned.into_inner() = CancellationToken::new(),
        }
    }

    /// Records an event about any scope.
    pub(crate) fn recorder_emit(&self, scope: &EventScope, kind: EventKind) {
        self.recorder.emit(scope, kind);
    }

    /// Records an event about the scenario.
    pub(crate) fn emit(&self, kind: EventKind) {
        self.recorder.emit(&self.scope, kind);
    }

    /// Sets a variable.
    pub(crate) fn set_var(&self, name: &str, value: Value) {
        self.state().vars.insert(name.to_owned(), value);
    }

    /// Sets a saved value.
    pub(crate) fn save(&self, name: &str, value: Value) {
        self.state().saved.insert(name.to_owned(), value);
    }

    /// Notes the real name of a namespace.
    pub(crate) fn add_namespace(&self, alias: &str, name: &str, own: bool) {
        let mut state = self.state();
        state.namespaces.push((alias.to_owned(), name.to_owned()));
        if own {
            state.own.insert(name.to_owned());
        }
    }

    /// The real names of the namespaces, in the written order.
    pub(crate) fn namespaces(&self) -> Vec<(String, String)> {
        self.state().namespaces.clone()
    }

    /// Whether the scenario made this namespace, so that all in it is its own.
    pub(crate) fn is_own_namespace(&self, name: &str) -> bool {
        self.state().own.contains(name)
    }

    /// The real name for an alias; a name that is no alias stands for itself if a namespace of it is in use.
    pub(crate) fn namespace(&self, alias: &str) -> Option<String> {
        let state = self.state();
        state
            .namespaces
            .iter()
            .find(|(known, _)| known == alias)
            .or_else(|| state.namespaces.iter().find(|(_, name)| name == alias))
            .map(|(_, name)| name.clone())
    }

    /// The first namespace: the default.
    pub(crate) fn default_namespace(&self) -> String {
        self.state()
            .namespaces
            .first()
            .map_or_else(|| "default".to_owned(), |(_, name)| name.clone())
    }

    /// Masks what a Secret holds from now on, as far as its keys say that it is one.
    pub(crate) fn mask(&self, object: &Object) {
        use base64::Engine as _;
        if object.kind() != "Secret" {
            return;
        }
        let Some(data) = object.at(&["data"]).and_then(Value::as_object) else {
            return;
        };
        for (key, value) in data {
            let lower = key.to_lowercase();
            let sensitive = ["password", "token", "key", "dsn", "secret"]
                .iter()
                .any(|word| lower.contains(word));
            let text = value
                .as_str()
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok())
                .and_then(|bytes| String::from_utf8(bytes).ok());
            if let (true, Some(text)) = (sensitive, text) {
                // A value that is too short to be masked by its text is not one.
                let _ = self
                    .secrets
                    .register(&format!("secret/{}.{key}", object.name()), &text);
            }
        }
    }

    /// Notes that an object existed at some time during the scenario.
    pub(crate) fn saw(&self, reference: ObjectRef) {
        self.state().seen.insert(reference);
    }

    /// Whether an object was seen during the scenario.
    pub(crate) fn has_seen(&self, reference: &ObjectRef) -> bool {
        self.state().seen.contains(reference)
    }

    /// The names that expressions see, with a namespace as the current one.
    pub(crate) fn names(&self, namespace: &str) -> Scope {
        let state = self.state();
        let mut scope = Scope::default();
        scope.set("vars", Value::Object(state.vars.clone()));
        scope.set("saved", Value::Object(state.saved.clone()));
        let namespaces: Map<_, _> = state
            .namespaces
            .iter()
            .map(|(alias, name)| (alias.clone(), json!(name)))
            .collect();
        scope.set("namespaces", Value::Object(namespaces));
        scope.set("namespace", json!(namespace));
        scope.set(
            "cluster",
            json!({
                "name": self.options.cluster_name,
                "version": self.facts.version,
                "platform": self.facts.platform,
                "nodes": self.facts.nodes,
            }),
        );
        scope.set("run", json!({"id": self.options.run_id}));
        scope
    }
}

/// A step that runs.
#[derive(Clone)]
pub(crate) struct StepContext {
    pub(crate) ctx: Arc<Context>,
    /// Counts this step's requests.
    pub(crate) cluster: Cluster,
    pub(crate) scope: EventScope,
    /// The real name of the step's namespace.
    pub(crate) namespace: String,
    /// No wait of the step ends later.
    pub(crate) deadline: Instant,
    pub(crate) mark: Mark,
}

impl StepContext {
    /// Records an event about the step.
    pub(crate) fn emit(&self, kind: EventKind) {
        self.ctx.recorder.emit(&self.scope, kind);
    }

    /// The names that the step's expressions see.
    pub(crate) fn names(&self) -> Scope {
        self.ctx.names(&self.namespace)
    }

    /// The value of a templated field.
    pub(crate) fn value<T: FromScalar>(&self, field: &Templated<T>) -> Result<T, Trouble> {
        field
            .eval(&self.names())
            .map_err(|error| Trouble::from_eval(&error))
    }

    /// The value of a field that may be missing.
    pub(crate) fn optional<T: FromScalar>(&self, field: Option<&Templated<T>>) -> Result<Option<T>, Trouble> {
        field.map(|field| self.value(field)).transpose()
    }

    /// The values of a map of templated fields.
    pub(crate) fn map(
        &self,
        fields: &[(String, Templated<String>)],
    ) -> Result<BTreeMap<String, String>, Trouble> {
        fields
            .iter()
            .map(|(key, field)| Ok((key.clone(), self.value(field)?)))
            .collect()
    }

    /// The real namespace that a `namespace:` key means, or the step's.
    pub(crate) fn namespace_of(&self, key: Option<&Templated<String>>) -> Result<String, Trouble> {
        let Some(field) = key else {
            return Ok(self.namespace.clone());
        };
        let alias = self.value(field)?;
        self.ctx
            .namespace(&alias)
            .ok_or_else(|| unknown_namespace(&alias, &self.ctx, field.place()))
    }

    /// Time left before the step's deadline.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Notes an object that an action wrote.
    pub(crate) fn wrote(&self, effects: &mut Effects, object: &Object) {
        effects.wrote(object);
        self.ctx.saw(object.reference());
    }
}

/// The error for a namespace that the scenario does not name.
pub(crate) fn unknown_namespace(alias: &str, ctx: &Context, place: &Place) -> Trouble {
    let known: Vec<_> = ctx.namespaces().into_iter().map(|(alias, _)| alias).collect();
    Trouble::failed(format!("the scenario has no namespace {alias}"), place).help(format!(
        "name one of {}, or add it under `namespaces`",
        known.join(", ")
    ))
}
