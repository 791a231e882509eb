//! What the HTML template is given.
//!
//! Invariant: words and numbers are final here; the template only lays them out.

use muster_model::event::{CleanupDeed, Failure, Phase, Verdict};
use muster_record::Run;
use muster_record::run::{Evidence, Note, Scenario, Step};
use serde::Serialize;

use crate::explain::source_and_caret;
use crate::text::{cleanup, count, duration, expectation, requests, sign, visible, word};

#[derive(Serialize)]
pub(super) struct RunView {
    id: String,
    version: String,
    began: String,
    elapsed: String,
    verdict: &'static str,
    headline: String,
    counts: Vec<(usize, &'static str)>,
    clusters: Vec<String>,
    prepared: Vec<String>,
    failure: Option<FailureView>,
    notes: Vec<String>,
    evidence: Vec<EvidenceView>,
    scenarios: Vec<ScenarioView>,
}

#[derive(Serialize)]
struct ScenarioView {
    anchor: String,
    title: String,
    place: String,
    labels: Vec<String>,
    namespaces: Vec<String>,
    verdict: &'static str,
    sign: &'static str,
    elapsed: String,
    requests: String,
    reason: String,
    failure: Option<FailureView>,
    /// Steps that passed, of how many.
    progress: String,
    steps: Vec<StepView>,
    cleanup: String,
    /// Whether clean-up did something that a reader must know.
    cleanup_open: bool,
    cleaned: Vec<CleanedView>,
    notes: Vec<String>,
    evidence: Vec<EvidenceView>,
}

#[derive(Serialize)]
struct StepView {
    name: String,
    phase: &'static str,
    place: String,
    verdict: &'static str,
    sign: &'static str,
    elapsed: String,
    requests: String,
    reason: String,
    /// Where its bar begins and how long it is, in percent of the scenario's time.
    left: String,
    width: String,
    open: bool,
    action: Option<String>,
    expectations: Vec<ExpectationView>,
    failures: Vec<FailureView>,
    notes: Vec<String>,
    evidence: Vec<EvidenceView>,
}

#[derive(Serialize)]
struct ExpectationView {
    verdict: &'static str,
    sign: &'static str,
    line: String,
    elapsed: String,
    failure: Option<FailureView>,
}

#[derive(Serialize)]
struct FailureView {
    message: String,
    place: String,
    line: usize,
    source: String,
    caret: String,
    expected: String,
    nearest: String,
    mismatches: Vec<MismatchView>,
    history: Vec<(String, String)>,
    causes: Vec<String>,
    help: Vec<String>,
}

#[derive(Serialize)]
struct MismatchView {
    path: String,
    expected: String,
    found: String,
    hint: String,
}

#[derive(Serialize)]
struct CleanedView {
    object: String,
    what: String,
    good: bool,
}

#[derive(Serialize)]
struct EvidenceView {
    path: String,
    what: String,
}

impl RunView {
    pub(super) fn new(run: &Run) -> Self {
        let counts = run.counts();
        let all: Vec<(usize, &'static str)> = [
            (counts.failed, "failed"),
            (counts.errors, "not finished"),
            (counts.passed, "passed"),
            (counts.skipped, "skipped"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .collect();
        let verdict = match (&run.end, counts.failed, counts.errors) {
            (None, _, _) => Verdict::Interrupted,
            (Some(end), 0, 0) if end.failure.is_none() && end.exit_code == 0 => Verdict::Passed,
            (Some(end), 0, _) if end.exit_code == 130 => Verdict::Interrupted,
            (Some(_), 0, _) => Verdict::Error,
            _ => Verdict::Failed,
        };
        Self {
            id: run.id.clone(),
            version: run.version.clone(),
            began: run
                .began
                .map(|t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
                .unwrap_or_default(),
            elapsed: duration(run.end.as_ref().map_or(run.elapsed_ms, |end| end.elapsed_ms)),
            verdict: word(Some(verdict)),
            headline: if all.is_empty() {
                "no scenario ran".to_owned()
            } else {
                all.iter()
                    .map(|(n, what)| format!("{n} {what}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            },
            counts: all,
            clusters: run
                .clusters
                .iter()
                .map(|c| {
                    format!(
                        "{} {} at {}, {}",
                        c.name,
                        c.version,
                        c.server,
                        count(c.nodes, "node")
                    )
                })
                .collect(),
            prepared: run
                .prepared
                .iter()
                .map(|(what, ms)| format!("{what} in {}", duration(*ms)))
                .collect(),
            failure: run
                .end
                .as_ref()
                .and_then(|end| end.failure.as_deref())
                .map(FailureView::new),
            notes: notes(&run.notes),
            evidence: run.evidence.iter().map(EvidenceView::new).collect(),
            scenarios: run
                .scenarios
                .iter()
                .map(|(index, s)| ScenarioView::new(*index, s))
                .collect(),
        }
    }
}

impl ScenarioView {
    fn new(index: usize, scenario: &Scenario) -> Self {
        let passed = scenario
            .steps
            .iter()
            .filter(|s| s.verdict == Some(Verdict::Passed))
            .count();
        Self {
            anchor: format!("s{index}"),
            title: scenario.title.clone(),
            place: scenario
                .place
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            labels: scenario.labels.iter().map(|(k, v)| format!("{k}={v}")).collect(),
            namespaces: scenario
                .namespaces
                .iter()
                .map(|(alias, name, created)| {
                    let made = if *created { " (created)" } else { "" };
                    if alias == name {
                        format!("{name}{made}")
                    } else {
                        format!("{alias}: {name}{made}")
                    }
                })
                .collect(),
            verdict: word(scenario.verdict),
            sign: sign(scenario.verdict),
            elapsed: duration(scenario.elapsed_ms),
            requests: requests(scenario.requests),
            reason: scenario.reason.clone().unwrap_or_default(),
            failure: scenario.failure.as_deref().map(FailureView::new),
            progress: match scenario.steps.len() {
                0 => String::new(),
                all => format!("{passed} of {}", count(all, "step")),
            },
            steps: scenario
                .steps
                .iter()
                .map(|step| StepView::new(scenario, step))
                .collect(),
            cleanup: cleanup(&scenario.cleaned).unwrap_or_default(),
            cleanup_open: scenario
                .cleaned
                .iter()
                .any(|c| !matches!(c.result, Ok(CleanupDeed::Deleted | CleanupDeed::Restored))),
            cleaned: scenario
                .cleaned
                .iter()
                .map(|cleaned| CleanedView {
                    object: cleaned.object.with_namespace(),
                    good: cleaned.result.is_ok(),
                    what: match &cleaned.result {
                        Ok(deed) => {
                            let deed = match deed {
                                CleanupDeed::Deleted => "deleted",
                                CleanupDeed::Restored => "put back",
                                CleanupDeed::LeftChanged => "left, since others changed it",
                                CleanupDeed::Kept => "kept",
                            };
                            if cleaned.note.is_empty() {
                                deed.to_owned()
                            } else {
                                format!("{deed}: {}", cleaned.note)
                            }
                        }
                        Err(message) => message.clone(),
                    },
                })
                .collect(),
            notes: notes(&scenario.notes),
            evidence: scenario.evidence.iter().map(EvidenceView::new).collect(),
        }
    }
}

impl StepView {
    fn new(scenario: &Scenario, step: &Step) -> Self {
        let whole = scenario.elapsed_ms.max(1) as f64;
        let percent = |ms: u64| format!("{:.2}", (ms as f64 / whole * 100.0).clamp(0.0, 100.0));
        let began = step
            .began_us
            .map_or(0, |us| us.saturating_sub(scenario.began_us) / 1000);
        let ran = step.began_us.is_some() && step.verdict != Some(Verdict::Skipped);
        let own = step.failure.as_deref().filter(|own| {
            !step
                .expectations
                .values()
                .any(|e| e.failure.as_deref().is_some_and(|f| f.message == own.message))
        });
        Self {
            name: step.name.clone(),
            phase: if step.phase == Some(Phase::Finally) {
                "finally"
            } else {
                ""
            },
            place: step.place.as_ref().map(ToString::to_string).unwrap_or_default(),
            verdict: word(step.verdict),
            sign: sign(step.verdict),
            elapsed: if ran {
                duration(step.elapsed_ms)
            } else {
                String::new()
            },
            requests: if step.requests.sent > 0 {
                requests(step.requests)
            } else {
                String::new()
            },
            reason: step.reason.clone().unwrap_or_default(),
            left: percent(began),
            width: percent(if ran { step.elapsed_ms } else { 0 }),
            open: !matches!(step.verdict, Some(Verdict::Passed | Verdict::Skipped)),
            action: step.action.as_ref().map(|action| match action.elapsed_ms {
                Some(ms) if ms >= 100 => format!("{}  {}", action.summary, duration(ms)),
                Some(_) => action.summary.clone(),
                None => format!("{} (did not return)", action.summary),
            }),
            expectations: step
                .expectations
                .values()
                .map(|e| ExpectationView {
                    verdict: word(e.verdict),
                    sign: sign(e.verdict),
                    line: expectation(e),
                    elapsed: if e.elapsed_ms >= 100 {
                        duration(e.elapsed_ms)
                    } else {
                        String::new()
                    },
                    failure: e.failure.as_deref().map(FailureView::new),
                })
                .collect(),
            failures: own.map(FailureView::new).into_iter().collect(),
            notes: step
                .expectations
                .values()
                .flat_map(|e| notes(&e.notes))
                .chain(notes(&step.notes))
                .collect(),
            evidence: step.all_evidence().map(EvidenceView::new).collect(),
        }
    }
}

impl FailureView {
    fn new(failure: &Failure) -> Self {
        let column = failure.place.as_ref().map_or(1, |place| place.column);
        let (source, caret) = source_and_caret(&failure.source, column);
        Self {
            message: failure.message.clone(),
            place: failure
                .place
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            line: failure.place.as_ref().map_or(0, |place| place.line),
            source,
            caret,
            expected: failure.expected.clone(),
            nearest: failure
                .nearest
                .lines()
                .map(visible)
                .collect::<Vec<_>>()
                .join("\n"),
            mismatches: failure
                .mismatches
                .iter()
                .map(|m| MismatchView {
                    path: m.path.clone(),
                    expected: m.expected.clone(),
                    found: m.found.clone(),
                    hint: m.hint.clone().unwrap_or_default(),
                })
                .collect(),
            history: failure
                .history
                .iter()
                .map(|state| (format!("+{}", duration(state.at_ms)), visible(&state.seen)))
                .collect(),
            causes: failure.causes.clone(),
            help: failure.help.clone(),
        }
    }
}

impl EvidenceView {
    fn new(evidence: &Evidence) -> Self {
        Self {
            path: evidence.path.clone(),
            what: evidence.what.clone(),
        }
    }
}

fn notes(notes: &[Note]) -> Vec<String> {
    notes
        .iter()
        .map(|note| match &note.place {
            Some(place) => format!("{} ({place})", note.message),
            None => note.message.clone(),
        })
        .collect()
}
