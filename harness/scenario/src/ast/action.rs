//! Actions: what a step does.
//!
//! Invariant: one variant for each action of the language; what it needs at run time is in it.

use std::time::Duration;

use muster_model::Place;

use crate::ast::Target;
use crate::expr::{Templated, Tree};
use crate::matching::Pattern;

/// What a step does.
#[derive(Debug, Clone)]
pub struct Action {
    /// Where the action's key stands.
    pub place: Place,
    /// Which action.
    pub kind: ActionKind,
}

/// The actions.
#[derive(Debug, Clone)]
pub enum ActionKind {
    /// `apply`.
    Apply(Apply),
    /// `patch`.
    Patch(Patch),
    /// `delete`.
    Delete(Delete),
    /// `scale`.
    Scale(Scale),
    /// `restart`.
    Restart(Restart),
    /// `exec`.
    Exec(Exec),
    /// `script`.
    Script(Script),
    /// `pause`.
    Pause(Pause),
    /// `revert: all`: puts back now what would be put back at the end.
    RevertAll,
}

/// Whether what existed before is put back at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Revert {
    /// It is.
    #[default]
    Yes,
    /// `revert: false` with its reason.
    No {
        /// `because:`
        because: String,
    },
}

/// `apply`: server-side apply of manifests.
#[derive(Debug, Clone)]
pub struct Apply {
    /// `files`: paths, globs, folders, relative to the scenario's folder.
    pub files: Vec<Templated<String>>,
    /// `objects`: inline manifests.
    pub objects: Vec<Tree>,
    /// `with`: the manifests' `inputs`; without it manifests are not expanded.
    pub with: Option<Tree>,
    /// The names in `with`, each with its place.
    pub inputs: Vec<(String, Place)>,
    /// `revert`.
    pub revert: Revert,
}

/// `patch`.
#[derive(Debug, Clone)]
pub struct Patch {
    /// What.
    pub target: Target,
    /// How.
    pub body: PatchBody,
    /// `subresource`, such as `status`.
    pub subresource: Option<String>,
    /// `revert`.
    pub revert: Revert,
}

/// The three kinds of patch.
#[derive(Debug, Clone)]
pub enum PatchBody {
    /// `merge`: RFC 7386.
    Merge(Tree),
    /// `json`: RFC 6902.
    Json(Tree),
    /// `strategic`: Kubernetes' own.
    Strategic(Tree),
}

/// `delete`: waits until the uid is gone.
#[derive(Debug, Clone)]
pub struct Delete {
    /// What.
    pub target: Target,
    /// `gracePeriod`.
    pub grace_period: Option<Templated<Duration>>,
    /// `revert`.
    pub revert: Revert,
}

/// `scale`.
#[derive(Debug, Clone)]
pub struct Scale {
    /// What.
    pub target: Target,
    /// `replicas`.
    pub replicas: Templated<i64>,
    /// `revert`.
    pub revert: Revert,
}

/// `restart`.
#[derive(Debug, Clone)]
pub struct Restart {
    /// What.
    pub target: Target,
    /// `by`.
    pub by: RestartBy,
}

/// How to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartBy {
    /// Sets the annotation that `kubectl rollout restart` sets.
    Rollout,
    /// Deletes the pods.
    Delete,
}

/// `exec`: a command in a container.
#[derive(Debug, Clone)]
pub struct Exec {
    /// `in`: a pod, or an owner or selector of pods (a ready one is taken).
    pub target: Target,
    /// `container`.
    pub container: Option<Templated<String>>,
    /// `command`.
    pub command: Vec<Templated<String>>,
}

/// `script`: a local command.
#[derive(Debug, Clone)]
pub struct Script {
    /// `run`, given to `sh -eu -c`.
    pub run: Templated<String>,
    /// `env`.
    pub env: Vec<(String, Templated<String>)>,
}

/// `pause`: a fixed wait.
#[derive(Debug, Clone)]
pub struct Pause {
    /// `for`.
    pub duration: Templated<Duration>,
    /// `because`.
    pub because: String,
}

/// `fails`: how an action must fail.
#[derive(Debug, Clone)]
pub struct Fails {
    /// Where it is written.
    pub place: Place,
    /// API: `reason`, such as `Forbidden`, `Invalid`, `AlreadyExists`.
    pub reason: Option<Pattern>,
    /// API: `status`, an HTTP status code.
    pub status: Option<Pattern>,
    /// API, SQL: `message`.
    pub message: Option<Pattern>,
    /// exec, script: `code`.
    pub code: Option<Pattern>,
    /// exec, script: `stdout`.
    pub stdout: Option<Pattern>,
    /// exec, script: `stderr`.
    pub stderr: Option<Pattern>,
    /// SQL: `sqlstate`.
    pub sqlstate: Option<Pattern>,
    /// Connection: `kind`.
    pub kind: Option<Pattern>,
}
