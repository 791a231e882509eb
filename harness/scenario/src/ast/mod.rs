//! The typed scenario: what a file says once it is known to be well formed.
//!
//! Invariant: every part that can be wrong at run time carries the place it was written at.

mod action;
mod expectation;

pub use action::*;
pub use expectation::*;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use muster_model::{Diagnostics, Place};

use crate::expr::{Program, Templated, Tree};
use crate::manifest;

/// One scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The title (`scenario:`).
    pub title: String,
    /// Where the title stands.
    pub place: Place,
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `requires`.
    pub requires: Requires,
    /// `timeout` of the whole scenario, clean-up not included.
    pub timeout: Option<Duration>,
    /// Where `timeout` is written.
    pub timeout_place: Option<Place>,
    /// `namespaces` in the written order; the first is the default. Empty: one lease named `test`.
    pub namespaces: Vec<Namespace>,
    /// `vars` in the written order; a var may read those before it.
    pub vars: Vec<Var>,
    /// `connections`.
    pub connections: Vec<Connection>,
    /// `locks`.
    pub locks: Vec<String>,
    /// `steps`.
    pub steps: Vec<Step>,
    /// `finally`.
    pub finally: Vec<Step>,
}

impl Scenario {
    /// The files that the scenario is made of: its own, and the manifests that it names literally.
    pub fn source_files(&self) -> Vec<PathBuf> {
        let mut files = vec![PathBuf::from(self.place.file.path())];
        for step in self.steps.iter().chain(&self.finally) {
            let Some(ActionKind::Apply(apply)) = step.action.as_ref().map(|action| &action.kind) else {
                continue;
            };
            for file in &apply.files {
                let resolved = file.literal().and_then(|pattern| {
                    manifest::resolve(pattern, file.place(), &self.folder, &mut Diagnostics::new())
                });
                files.extend(resolved.unwrap_or_default());
            }
        }
        let mut seen = HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
        files
    }
}

/// What a cluster must have for a scenario to run there.
#[derive(Debug, Clone, Default)]
pub struct Requires {
    /// Names of CRDs (`spireservers.operator.openshift.io`), each with its place.
    pub crds: Vec<(String, Place)>,
}

/// A namespace that a scenario uses.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The name in the scenario.
    pub alias: String,
    /// Where it is written.
    pub place: Place,
    /// Where it comes from.
    pub source: NamespaceSource,
}

/// Where a namespace comes from.
#[derive(Debug, Clone)]
pub enum NamespaceSource {
    /// Must exist; never deleted.
    Existing(Templated<String>),
    /// Must not exist; deleted at the end.
    Create {
        /// Its name.
        name: Templated<String>,
        /// Its labels.
        labels: Vec<(String, Templated<String>)>,
    },
    /// A fresh name; deleted at the end.
    Lease {
        /// Its labels.
        labels: Vec<(String, Templated<String>)>,
    },
}

/// A variable.
#[derive(Debug, Clone)]
pub struct Var {
    /// The name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Whether its value is masked everywhere.
    pub secret: bool,
    /// Where its value comes from.
    pub source: VarSource,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone)]
pub enum VarSource {
    /// A value, perhaps with templates; `--var` replaces it, with the same type.
    Value(Tree),
    /// So many characters of `[A-Za-z0-9]`, new for each attempt.
    Random(usize),
    /// An environment variable.
    Env(String),
}

/// A connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// `postgres:`.
    pub postgres: PostgresConnection,
}

/// A Postgres connection through a Service.
#[derive(Debug, Clone)]
pub struct PostgresConnection {
    /// `through: service/x`: a port-forward to a ready pod behind it.
    pub through: Target,
    /// The port of the Service, by default 5432.
    pub port: Option<Templated<i64>>,
    /// The namespace of the Service and of the secrets: an alias.
    pub namespace: Option<Templated<String>>,
    /// `database`.
    pub database: Credential,
    /// `user`.
    pub user: Credential,
    /// `password`.
    pub password: Option<Credential>,
    /// `sslmode`, mandatory: libpq's words.
    pub sslmode: Templated<String>,
    /// `sslrootcert`: PEM.
    pub sslrootcert: Option<Credential>,
}

/// A value given directly or by a Secret's key, read at each connect.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Written in the scenario.
    Value(Templated<String>),
    /// A key of a Secret in the connection's namespace.
    Secret {
        /// The Secret's name.
        name: Templated<String>,
        /// The key in its data.
        key: Templated<String>,
        /// Where it is written.
        place: Place,
    },
}

/// One step: at most one action, then expectations.
#[derive(Debug, Clone)]
pub struct Step {
    /// `name`, or the action's summary.
    pub name: String,
    /// Where the step begins.
    pub place: Place,
    /// The action.
    pub action: Option<Action>,
    /// `expect`.
    pub expect: Vec<Expectation>,
    /// `fails`: the action must fail like this.
    pub fails: Option<Fails>,
    /// `save`: names with bare CEL over the action's result.
    pub save: Vec<Save>,
    /// `when`.
    pub when: Option<Program>,
    /// `timeout` of the step.
    pub timeout: Option<Templated<Duration>>,
    /// `namespace`: an alias.
    pub namespace: Option<Templated<String>>,
}

/// One saved name.
#[derive(Debug, Clone)]
pub struct Save {
    /// The name under `saved`.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// The value.
    pub program: Program,
}

/// Names one object or, by labels, several.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it is written.
    pub place: Place,
    /// The kind as kubectl takes it: `deployment`, `deploy`, `deployments.apps`.
    pub kind: String,
    /// `apiVersion`, if several groups serve the kind.
    pub api_version: Option<String>,
    /// Which objects.
    pub select: Select,
}

/// Which objects of a kind.
#[derive(Debug, Clone)]
pub enum Select {
    /// The one of this name.
    Name(Templated<String>),
    /// Those with all of these labels.
    Labels(Vec<(String, Templated<String>)>),
}
