//! The model of a run: scenarios, their steps and expectations, as far as the events tell.
//!
//! Invariant: made of events alone, one at a time, so that a live view and a report made years later see the same.
//! After [`Run::close`] everything has a verdict.

use std::collections::BTreeMap;

use jiff::Timestamp;
use muster_model::event::{CleanupDeed, Failure, Phase, Requests, Verdict};
use muster_model::{Event, EventKind, ObjectRef, PlaceRef};

/// A run, so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// muster's version.
    pub version: String,
    /// How many scenarios were selected.
    pub selected: usize,
    /// When it began.
    pub began: Option<Timestamp>,
    /// The clusters that answered.
    pub clusters: Vec<Cluster>,
    /// What `prepare:` made sure of, each with the milliseconds it took.
    pub prepared: Vec<(String, u64)>,
    /// The scenarios by their index; one that never began is missing.
    pub scenarios: BTreeMap<usize, Scenario>,
    /// Notes that belong to no scenario.
    pub notes: Vec<Note>,
    /// Evidence that belongs to no scenario.
    pub evidence: Vec<Evidence>,
    /// How it ended; none if its log breaks off.
    pub end: Option<End>,
    /// Milliseconds from the first event to the last one seen.
    pub elapsed_ms: u64,
}

/// A cluster that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The API server's address.
    pub server: String,
    /// Its version.
    pub version: String,
    /// Its number of nodes.
    pub nodes: usize,
}

/// A run's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// muster's exit code.
    pub exit_code: u8,
    /// Milliseconds.
    pub elapsed_ms: u64,
    /// A failure of the run as a whole.
    pub failure: Option<Box<Failure>>,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// One line.
    pub message: String,
    /// Where it comes from.
    pub place: Option<PlaceRef>,
}

/// A file of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Its path in the run folder.
    pub path: String,
    /// What it holds.
    pub what: String,
}

/// A scenario, so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scenario {
    /// Its title.
    pub title: String,
    /// Where it is written; none if it never began.
    pub place: Option<PlaceRef>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its namespaces: alias, real name, whether the scenario made it.
    pub namespaces: Vec<(String, String, bool)>,
    /// Its steps in order, planned ones too.
    pub steps: Vec<Step>,
    /// How it ended; none while it runs.
    pub verdict: Option<Verdict>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// Microseconds from the run's beginning to its own.
    pub began_us: u64,
    /// Milliseconds from its beginning to its end, clean-up included.
    pub elapsed_ms: u64,
    /// API requests.
    pub requests: Requests,
    /// A failure that belongs to no step.
    pub failure: Option<Box<Failure>>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// What clean-up did.
    pub cleaned: Vec<Cleaned>,
    /// Its evidence that belongs to no step.
    pub evidence: Vec<Evidence>,
    /// Its notes that belong to no step.
    pub notes: Vec<Note>,
}

/// What clean-up did with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// The object.
    pub object: ObjectRef,
    /// What was done, or why nothing could be done.
    pub result: Result<CleanupDeed, String>,
    /// More about it, or empty.
    pub note: String,
}

/// A step, so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub place: Option<PlaceRef>,
    /// Which list it is in.
    pub phase: Option<Phase>,
    /// Microseconds from the run's beginning to its mark; none if it never began.
    pub began_us: Option<u64>,
    /// How it ended; none while it runs or before.
    pub verdict: Option<Verdict>,
    /// Milliseconds.
    pub elapsed_ms: u64,
    /// API requests.
    pub requests: Requests,
    /// Its action, if it had one and came to it.
    pub action: Option<Action>,
    /// Its expectations by their index, as far as they got their turn.
    pub expectations: BTreeMap<usize, Expectation>,
    /// Why it failed, unless an expectation says so.
    pub failure: Option<Box<Failure>>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// Its evidence.
    pub evidence: Vec<Evidence>,
    /// Its notes.
    pub notes: Vec<Note>,
}

/// A step's action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What it does, then what it did.
    pub summary: String,
    /// Milliseconds, once it returned.
    pub elapsed_ms: Option<u64>,
}

/// An expectation, so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// Such as `ready statefulset/spire-server`.
    pub subject: String,
    /// Where it is written.
    pub place: Option<PlaceRef>,
    /// How it ended; none while it waits.
    pub verdict: Option<Verdict>,
    /// Whether it held before the action was sent.
    pub held_before: bool,
    /// Milliseconds it may take; none if it held at its first look.
    pub within_ms: Option<u64>,
    /// Microseconds from the run's beginning to its turn.
    pub began_us: Option<u64>,
    /// Milliseconds from its turn to its end.
    pub elapsed_ms: u64,
    /// What satisfied it, or, while it waits, what it saw last.
    pub seen: String,
    /// Why it failed.
    pub failure: Option<Box<Failure>>,
    /// Evidence about it.
    pub evidence: Vec<Evidence>,
    /// Notes about it.
    pub notes: Vec<Note>,
}

impl Run {
    /// The run that these events tell of, closed.
    pub fn from_events(events: &[Event]) -> Self {
        let mut run = Self::default();
        for event in events {
            run.apply(event);
        }
        run.close();
        run
    }

    /// Adds what one event tells.
    pub fn apply(&mut self, event: &Event) {
        self.elapsed_ms = self.elapsed_ms.max(event.mono_us / 1000);
        self.began.get_or_insert(event.t);
        match event.scope.scenario {
            None => self.apply_to_run(event),
            Some(index) => self.scenarios.entry(index).or_default().apply(event),
        }
    }

    fn apply_to_run(&mut self, event: &Event) {
        match &event.kind {
            EventKind::RunStarted {
                run,
                version,
                scenarios,
            } => {
                self.id.clone_from(run);
                self.version.clone_from(version);
                self.selected = *scenarios;
                self.began = Some(event.t);
            }
            EventKind::ClusterConnected {
                name,
                server,
                version,
                nodes,
            } => self.clusters.push(Cluster {
                name: name.clone(),
                server: server.clone(),
                version: version.clone(),
                nodes: *nodes,
            }),
            EventKind::Prepared { what, elapsed_ms } => self.prepared.push((what.clone(), *elapsed_ms)),
            EventKind::RunFinished {
                exit_code,
                elapsed_ms,
                failure,
                ..
            } => {
                self.end = Some(End {
                    exit_code: *exit_code,
                    elapsed_ms: *elapsed_ms,
                    failure: failure.clone(),
                });
            }
            kind => apply_common(kind, &mut self.notes, &mut self.evidence),
        }
    }

    /// Gives everything that is still open the verdict it deserves: what began was interrupted, what did not begin
    /// was skipped.
    pub fn close(&mut self) {
        let end = self.elapsed_ms;
        for scenario in self.scenarios.values_mut() {
            scenario.close(end);
        }
    }

    /// How many scenarios have each verdict: passed, failed, skipped, and error or interrupted.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for scenario in self.scenarios.values() {
            match scenario.verdict {
                Some(Verdict::Passed) => counts.passed += 1,
                Some(Verdict::Failed) => counts.failed += 1,
                Some(Verdict::Skipped) => counts.skipped += 1,
                Some(Verdict::Error | Verdict::Interrupted) => counts.errors += 1,
                None => {}
            }
        }
        counts
    }
}

/// Scenarios by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
    /// Ended by an error of the environment, or by a signal.
    pub errors: usize,
}

impl Scenario {
    fn apply(&mut self, event: &Event) {
        // A step that puts something back tells so itself; it is clean-up all the same.
        match &event.kind {
            EventKind::CleanedUp { object, deed, note } => {
                return self.cleaned.push(Cleaned {
                    object: object.clone(),
                    result: Ok(deed.clone()),
                    note: note.clone(),
                });
            }
            EventKind::CleanupFailed { object, message } => {
                return self.cleaned.push(Cleaned {
                    object: object.clone(),
                    result: Err(message.clone()),
                    note: String::new(),
                });
            }
            _ => {}
        }
        if let Some(index) = event.scope.step {
            if self.steps.len() <= index {
                self.steps.resize_with(index + 1, Step::default);
            }
            return self.steps[index].apply(event);
        }
        match &event.kind {
            EventKind::ScenarioStarted {
                title,
                place,
                labels,
                steps,
            } => {
                self.title.clone_from(title);
                self.place = Some(place.clone());
                self.labels.clone_from(labels);
                self.began = Some(event.t);
                self.began_us = event.mono_us;
                self.steps = steps
                    .iter()
                    .map(|planned| Step {
                        name: planned.name.clone(),
                        place: Some(planned.place.clone()),
                        phase: Some(planned.phase),
                        ..Step::default()
                    })
                    .collect();
            }
            EventKind::NamespaceReady { alias, name, created } => {
                self.namespaces.push((alias.clone(), name.clone(), *created));
            }
            EventKind::ScenarioFinished {
                title,
                verdict,
                elapsed_ms,
                requests,
                failure,
                reason,
            } => {
                self.title.clone_from(title);
                self.verdict = Some(*verdict);
                self.elapsed_ms = *elapsed_ms;
                self.requests = *requests;
                self.failure.clone_from(failure);
                self.reason.clone_from(reason);
            }
            kind => apply_common(kind, &mut self.notes, &mut self.evidence),
        }
    }

    fn close(&mut self, end_ms: u64) {
        let broke_off = self.verdict.is_none();
        if broke_off {
            self.verdict = Some(Verdict::Interrupted);
            self.elapsed_ms = end_ms.saturating_sub(self.began_us / 1000);
        }
        for step in &mut self.steps {
            step.close(end_ms);
        }
    }

    /// Its steps in one list.
    pub fn phase(&self, phase: Phase) -> impl Iterator<Item = (usize, &Step)> {
        self.steps
            .iter()
            .enumerate()
            .filter(move |(_, step)| step.phase.unwrap_or(Phase::Steps) == phase)
    }

    /// What clean-up could not deal with.
    pub fn cleanup_failures(&self) -> impl Iterator<Item = (&ObjectRef, &str)> {
        self.cleaned
            .iter()
            .filter_map(|cleaned| Some((&cleaned.object, cleaned.result.as_ref().err()?.as_str())))
    }
}

impl Step {
    fn apply(&mut self, event: &Event) {
        if let Some(index) = event.scope.expect {
            return self.expectations.entry(index).or_default().apply(event);
        }
        match &event.kind {
            EventKind::StepStarted { name, place, phase } => {
                self.name.clone_from(name);
                self.place = Some(place.clone());
                self.phase = Some(*phase);
                self.began_us = Some(event.mono_us);
            }
            EventKind::ActionStarted { summary } => {
                self.action = Some(Action {
                    summary: summary.clone(),
                    elapsed_ms: None,
                });
            }
            EventKind::ActionFinished { summary, elapsed_ms } => {
                self.action = Some(Action {
                    summary: summary.clone(),
                    elapsed_ms: Some(*elapsed_ms),
                });
            }
            EventKind::StepFinished {
                verdict,
                elapsed_ms,
                requests,
                failure,
                reason,
            } => {
                self.verdict = Some(*verdict);
                self.elapsed_ms = *elapsed_ms;
                self.requests = *requests;
                self.failure.clone_from(failure);
                self.reason.clone_from(reason);
            }
            kind => apply_common(kind, &mut self.notes, &mut self.evidence),
        }
    }

    fn close(&mut self, end_ms: u64) {
        for expectation in self.expectations.values_mut() {
            if expectation.verdict.is_none() {
                expectation.verdict = Some(Verdict::Interrupted);
                expectation.elapsed_ms =
                    end_ms.saturating_sub(expectation.began_us.unwrap_or_default() / 1000);
            }
        }
        if self.verdict.is_none() {
            self.verdict = Some(match self.began_us {
                Some(began_us) => {
                    self.elapsed_ms = end_ms.saturating_sub(began_us / 1000);
                    Verdict::Interrupted
                }
                None => Verdict::Skipped,
            });
        }
    }

    /// All its failures, each once: its expectations', then its own.
    pub fn failures(&self) -> Vec<&Failure> {
        let mut failures: Vec<&Failure> = self
            .expectations
            .values()
            .filter_map(|expectation| expectation.failure.as_deref())
            .collect();
        if let Some(own) = self.failure.as_deref()
            && !failures.iter().any(|known| known.message == own.message)
        {
            failures.push(own);
        }
        failures
    }

    /// Its evidence, that of its expectations included.
    pub fn all_evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.expectations
            .values()
            .flat_map(|expectation| &expectation.evidence)
            .chain(&self.evidence)
    }

    /// What it does now: the wait of the first open expectation, or its action.
    pub fn doing(&self) -> Option<String> {
        let waiting = self
            .expectations
            .values()
            .find(|expectation| expectation.verdict.is_none() && !expectation.subject.is_empty());
        match (waiting, &self.action) {
            (Some(expectation), _) if expectation.seen.is_empty() => Some(expectation.subject.clone()),
            (Some(expectation), _) => Some(format!("{}: {}", expectation.subject, expectation.seen)),
            (None, Some(action)) if action.elapsed_ms.is_none() => Some(action.summary.clone()),
            (None, _) => None,
        }
    }
}

impl Expectation {
    fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::WaitStarted {
                subject,
                place,
                within_ms,
            } => {
                self.subject.clone_from(subject);
                self.place = Some(place.clone());
                self.within_ms = Some(*within_ms);
                self.began_us = Some(event.mono_us);
            }
            EventKind::Observed { seen } => self.seen.clone_from(seen),
            EventKind::ExpectationFinished {
                subject,
                verdict,
                held_before,
                elapsed_ms,
                seen,
                failure,
            } => {
                self.subject.clone_from(subject);
                self.verdict = Some(*verdict);
                self.held_before = *held_before;
                self.elapsed_ms = *elapsed_ms;
                self.seen.clone_from(seen);
                self.failure.clone_from(failure);
                self.began_us
                    .get_or_insert(event.mono_us.saturating_sub(elapsed_ms.saturating_mul(1000)));
            }
            kind => apply_common(kind, &mut self.notes, &mut self.evidence),
        }
    }
}

fn apply_common(kind: &EventKind, notes: &mut Vec<Note>, evidence: &mut Vec<Evidence>) {
    match kind {
        EventKind::Noted { message, place } => notes.push(Note {
            message: message.clone(),
            place: place.clone(),
        }),
        EventKind::EvidenceTaken { path, what } => evidence.push(Evidence {
            path: path.clone(),
            what: what.clone(),
        }),
        _ => {}
    }
}
