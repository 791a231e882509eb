//! Events: facts in the past tense. The run log is made of them, and every report is made from the run log.
//!
//! Invariant: an event carries everything a report needs to show it; nothing is looked up later. One line of
//! `events.jsonl` is `{"v":1,"seq":..,"t":..,"mono_us":..,"scope":{..},"kind":"StepFinished","data":{..}}`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mismatch::Mismatch;
use crate::object::ObjectRef;
use crate::place::PlaceRef;

/// The version of the run log's format.
pub const FORMAT: u32 = 1;

/// Takes events as they happen.
pub trait Emit: Send + Sync {
    /// Records one fact about a scope.
    fn emit(&self, scope: &Scope, kind: EventKind);
}

/// What an event is about. Empty: the run itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The scenario's index in the run, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<usize>,
    /// The step's index in the scenario, from 0, counted through `steps` and then `finally`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The expectation's index in the step, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<usize>,
}

impl Scope {
    /// The run.
    pub fn run() -> Self {
        Self::default()
    }

    /// A scenario.
    pub fn scenario(index: usize) -> Self {
        Self {
            scenario: Some(index),
            ..Self::default()
        }
    }

    /// A step of this scope's scenario.
    #[must_use]
    pub fn step(&self, index: usize) -> Self {
        Self {
            scenario: self.scenario,
            step: Some(index),
            expect: None,
        }
    }

    /// An expectation of this scope's step.
    #[must_use]
    pub fn expect(&self, index: usize) -> Self {
        Self {
            expect: Some(index),
            ..self.clone()
        }
    }
}

/// One line of the run log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`FORMAT`].
    pub v: u32,
    /// From 0, without gaps.
    pub seq: u64,
    /// Wall-clock time.
    pub t: Timestamp,
    /// Microseconds since the run began, by the monotonic clock.
    pub mono_us: u64,
    /// What it is about.
    pub scope: Scope,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How a step, an expectation or a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that was expected was seen.
    Passed,
    /// Something expected wasn't seen, or an action failed.
    Failed,
    /// Not run: `when` was false, `requires` was not met, or an earlier step failed.
    Skipped,
    /// The cluster or the environment failed: nothing can be said about the scenario.
    Error,
    /// Stopped by a signal.
    Interrupted,
}

/// Part of a scenario that a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// `steps:`
    Steps,
    /// `finally:`
    Finally,
}

/// A step as it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub place: PlaceRef,
    /// Which list it is in.
    pub phase: Phase,
}

/// One state that a wait went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Milliseconds since the step's mark.
    pub at_ms: u64,
    /// What was seen, one line.
    pub seen: String,
}

/// Why something failed: all that a reader needs without the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One line: what was expected and did not come true, or what went wrong.
    pub message: String,
    /// Where it stands in the YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceRef>,
    /// The source line at that place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// What was expected, one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// The differences to the nearest candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<Mismatch>,
    /// The nearest that was seen: an object's state, a log line, a row.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nearest: String,
    /// How what was seen changed while waiting, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Transition>,
    /// What muster found out about the cause: a pod's waiting reason, a container's last words, an event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
}

/// One thing that clean-up did, or could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanupDeed {
    /// Deleted what the scenario had created.
    Deleted,
    /// Put back what existed before.
    Restored,
    /// Left as it is, since others changed it meanwhile.
    LeftChanged,
    /// Kept on request (`--keep`).
    Kept,
}

/// A request count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Requests sent to the API server.
    pub sent: u64,
    /// Of these, sent again after a transient error.
    pub retried: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
#[non_exhaustive]
pub enum EventKind {
    /// The run began.
    RunStarted {
        /// The run's id, also the name of its folder.
        run: String,
        /// muster's version.
        version: String,
        /// How many scenarios were selected.
        scenarios: usize,
    },
    /// The cluster answered.
    ClusterConnected {
        /// The name the user gave it, or the context's.
        name: String,
        /// The API server's address.
        server: String,
        /// Such as `v1.34.4`.
        version: String,
        /// How many nodes.
        nodes: usize,
    },
    /// A manifest of `prepare:` was applied, or was there already.
    Prepared {
        /// What.
        what: String,
        /// Milliseconds it took.
        elapsed_ms: u64,
    },
    /// A scenario began.
    ScenarioStarted {
        /// Its title.
        title: String,
        /// Where it is written.
        place: PlaceRef,
        /// Its labels.
        labels: std::collections::BTreeMap<String, String>,
        /// Its steps in order.
        steps: Vec<PlannedStep>,
    },
    /// A namespace was created or found.
    NamespaceReady {
        /// The alias in the scenario.
        alias: String,
        /// The real name.
        name: String,
        /// Whether the scenario made it.
        created: bool,
    },
    /// A step began: its mark was taken.
    StepStarted {
        /// Its name.
        name: String,
        /// Where it is written.
        place: PlaceRef,
        /// Which list it is in.
        phase: Phase,
    },
    /// The step's action was sent.
    ActionStarted {
        /// Such as `patch spireserver/cluster`.
        summary: String,
    },
    /// The step's action returned.
    ActionFinished {
        /// Such as `patched spireserver/cluster`.
        summary: String,
        /// Milliseconds it took.
        elapsed_ms: u64,
    },
    /// An expectation's turn came and it does not hold yet.
    WaitStarted {
        /// Such as `ready statefulset/spire-server`.
        subject: String,
        /// Where it is written.
        place: PlaceRef,
        /// Milliseconds it may take.
        within_ms: u64,
    },
    /// What a waiting expectation sees changed.
    Observed {
        /// One line.
        seen: String,
    },
    /// An expectation passed, failed or was skipped.
    ExpectationFinished {
        /// Such as `ready statefulset/spire-server`.
        subject: String,
        /// How it ended.
        verdict: Verdict,
        /// Whether it held already before the action was sent.
        held_before: bool,
        /// Milliseconds from its turn to its end.
        elapsed_ms: u64,
        /// What satisfied it, one line; empty if it failed.
        seen: String,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
    },
    /// Something a reader should know, though it fails nothing.
    Noted {
        /// One line.
        message: String,
        /// Where it comes from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<PlaceRef>,
    },
    /// A step ended.
    StepFinished {
        /// How.
        verdict: Verdict,
        /// Milliseconds.
        elapsed_ms: u64,
        /// API requests since the step began.
        requests: Requests,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
        /// Why it was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A file of evidence was written.
    EvidenceTaken {
        /// The path in the run folder.
        path: String,
        /// What it holds.
        what: String,
    },
    /// Clean-up dealt with one object.
    CleanedUp {
        /// Which.
        object: ObjectRef,
        /// What was done.
        deed: CleanupDeed,
        /// Fields that others changed since, or empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Clean-up could not deal with one object.
    CleanupFailed {
        /// Which.
        object: ObjectRef,
        /// Why.
        message: String,
    },
    /// A scenario ended, clean-up included.
    ScenarioFinished {
        /// Its title.
        title: String,
        /// How.
        verdict: Verdict,
        /// Milliseconds.
        elapsed_ms: u64,
        /// API requests of the scenario.
        requests: Requests,
        /// A failure that belongs to no step: namespaces, connections, `requires`, clean-up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
        /// Why it was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The run ended.
    RunFinished {
        /// muster's exit code.
        exit_code: u8,
        /// Scenarios passed.
        passed: usize,
        /// Scenarios failed.
        failed: usize,
        /// Scenarios skipped.
        skipped: usize,
        /// Scenarios that ended by an error of the environment or a signal.
        errors: usize,
        /// Milliseconds.
        elapsed_ms: u64,
        /// A failure of the run as a whole, such as a cluster that can't be reached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
    },
    /// A kind of event that this version does not know; kept as it is.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_json_object_and_reads_back() {
        let event = Event {
            v: FORMAT,
            seq: 3,
            t: "2026-01-02T03:04:05Z".parse().unwrap(),
            mono_us: 7,
            scope: Scope::scenario(0).step(1),
            kind: EventKind::ActionStarted {
                summary: "patch spireserver/cluster".into(),
            },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(
            line,
            r#"{"v":1,"seq":3,"t":"2026-01-02T03:04:05Z","mono_us":7,"scope":{"scenario":0,"step":1},"kind":"ActionStarted","data":{"summary":"patch spireserver/cluster"}}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn a_kind_of_a_later_version_is_kept() {
        let line = r#"{"v":1,"seq":0,"t":"2026-01-02T03:04:05Z","mono_us":7,"scope":{},"kind":"Later","data":{"x":1}}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert!(matches!(event.kind, EventKind::Unknown(_)));
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        );
    }
}
