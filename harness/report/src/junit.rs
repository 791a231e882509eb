//! JUnit XML: a suite per scenario, a case per step.
//!
//! Invariant: every scenario has at least one case, so that no CI system drops it; what belongs to no step (clean-up,
//! namespaces, connections) has a case of its own.

use std::time::Duration;

use muster_model::Event;
use muster_model::event::{CleanupDeed, Failure, Phase, Verdict};
use muster_record::Run;
use muster_record::run::{Scenario, Step};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::explain::failure as explain;
use crate::style::Palette;
use crate::text::{cleanup, requests, story};
use crate::{ReportError, text};

/// The report of a recorded run.
///
/// # Errors
/// [`ReportError::Junit`].
pub fn from_events(events: &[Event]) -> Result<String, ReportError> {
    render(&Run::from_events(events))
}

/// The report of a run that is closed.
///
/// # Errors
/// [`ReportError::Junit`].
pub fn render(run: &Run) -> Result<String, ReportError> {
    let mut report = Report::new("muster");
    report.timestamp = run.began.and_then(|began| began.to_string().parse().ok());
    report.set_time(Duration::from_millis(
        run.end.as_ref().map_or(run.elapsed_ms, |end| end.elapsed_ms),
    ));
    if let Some(failure) = run.end.as_ref().and_then(|end| end.failure.as_deref()) {
        let mut suite = TestSuite::new("run");
        suite.add_property(Property::new("run", run.id.as_str()));
        suite.add_test_case(TestCase::new(
            "run",
            non_success(Verdict::Error, "environment", failure),
        ));
        report.add_test_suite(suite);
    }
    for scenario in run.scenarios.values() {
        report.add_test_suite(suite(run, scenario));
    }
    Ok(report.to_string()?)
}

fn suite(run: &Run, scenario: &Scenario) -> TestSuite {
    let mut suite = TestSuite::new(scenario.title.as_str());
    suite.timestamp = scenario.began.and_then(|began| began.to_string().parse().ok());
    suite.set_time(Duration::from_millis(scenario.elapsed_ms));
    suite.add_property(Property::new("run", run.id.as_str()));
    if let Some(place) = &scenario.place {
        suite.add_property(Property::new("file", place.file.as_str()));
    }
    for (key, value) in &scenario.labels {
        suite.add_property(Property::new(format!("label.{key}"), value.as_str()));
    }
    for (alias, name, _) in &scenario.namespaces {
        suite.add_property(Property::new(format!("namespace.{alias}"), name.as_str()));
    }
    suite.add_property(Property::new("requests", scenario.requests.sent.to_string()));
    for step in &scenario.steps {
        suite.add_test_case(step_case(scenario, step));
    }
    let out = around(scenario);
    if !out.is_empty() {
        suite.set_system_out(out.join("\n"));
    }
    let went_wrong = !matches!(scenario.verdict, Some(Verdict::Passed | Verdict::Skipped));
    let untold = suite.test_cases.is_empty() || (went_wrong && suite.failures + suite.errors == 0);
    if let Some(case) = scenario_case(scenario, untold) {
        suite.add_test_case(case);
    }
    suite
}

fn step_case(scenario: &Scenario, step: &Step) -> TestCase {
    let verdict = step.verdict.unwrap_or(Verdict::Interrupted);
    let failures = step.failures();
    let status = match verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped => skipped(step.reason.as_deref().or(scenario.reason.as_deref())),
        Verdict::Failed | Verdict::Error | Verdict::Interrupted => {
            let kind = match verdict {
                Verdict::Error => "environment",
                Verdict::Interrupted => "interrupted",
                _ if step.expectations.values().any(|e| e.failure.is_some()) => "expectation",
                _ => "action",
            };
            match failures.split_first() {
                Some((first, rest)) => {
                    let mut status = non_success(verdict, kind, first);
                    if !rest.is_empty() {
                        let all: Vec<String> = failures.iter().map(|failure| body(failure)).collect();
                        status.set_description(all.join("\n\n"));
                    }
                    status
                }
                None => {
                    let mut status = TestCaseStatus::non_success(kind_of(verdict));
                    status.set_type(kind).set_message(
                        step.reason
                            .clone()
                            .unwrap_or_else(|| text::word(Some(verdict)).to_owned()),
                    );
                    status
                }
            }
        }
    };
    let name = match step.phase {
        Some(Phase::Finally) => format!("finally: {}", step.name),
        _ => step.name.clone(),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(scenario.title.as_str());
    case.set_time(Duration::from_millis(step.elapsed_ms));
    if let Some(place) = &step.place {
        case.extra.insert("file".into(), place.file.as_str().into());
        case.extra.insert("line".into(), place.line.to_string().into());
    }
    let mut out = story(step);
    if step.requests.sent > 0 {
        out.push(requests(step.requests));
    }
    out.extend(
        step.all_evidence()
            .map(|e| format!("evidence: {} ({})", e.path, e.what)),
    );
    if !out.is_empty() {
        case.set_system_out(out.join("\n"));
    }
    case
}

/// What was told of a scenario outside its steps.
fn around(scenario: &Scenario) -> Vec<String> {
    let left = scenario
        .cleaned
        .iter()
        .filter(|c| c.result == Ok(CleanupDeed::LeftChanged));
    cleanup(&scenario.cleaned)
        .into_iter()
        .chain(left.map(|c| {
            format!(
                "note: {} was left as it is: {}",
                c.object.with_namespace(),
                c.note
            )
        }))
        .chain(
            scenario
                .notes
                .iter()
                .map(|note| format!("note: {}", note.message)),
        )
        .chain(
            scenario
                .evidence
                .iter()
                .map(|e| format!("evidence: {} ({})", e.path, e.what)),
        )
        .collect()
}

/// What belongs to no step. `untold`: no other case says how the scenario ended.
fn scenario_case(scenario: &Scenario, untold: bool) -> Option<TestCase> {
    let verdict = scenario.verdict.unwrap_or(Verdict::Interrupted);
    let left: Vec<String> = scenario
        .cleanup_failures()
        .map(|(object, message)| format!("{}: {message}", object.with_namespace()))
        .collect();
    let status = match scenario.failure.as_deref() {
        Some(failure) => {
            let kind = if left.is_empty() { "scenario" } else { "clean-up" };
            let mut status = non_success(
                verdict,
                if verdict == Verdict::Error {
                    "environment"
                } else {
                    kind
                },
                failure,
            );
            if !left.is_empty() {
                status.set_description(format!("{}\n\n{}", body(failure), left.join("\n")));
            }
            status
        }
        None if !left.is_empty() => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type("clean-up")
                .set_message(format!(
                    "clean-up failed for {}",
                    text::count(left.len(), "object")
                ))
                .set_description(left.join("\n"));
            status
        }
        None if !untold => return None,
        None => match verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Skipped => skipped(scenario.reason.as_deref()),
            _ => {
                let mut status = TestCaseStatus::non_success(kind_of(verdict));
                status.set_message(text::word(Some(verdict)));
                status
            }
        },
    };
    let mut case = TestCase::new(if left.is_empty() { "scenario" } else { "clean-up" }, status);
    case.set_classname(scenario.title.as_str());
    Some(case)
}

fn kind_of(verdict: Verdict) -> NonSuccessKind {
    match verdict {
        Verdict::Error | Verdict::Interrupted => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    }
}

fn non_success(verdict: Verdict, kind: &str, failure: &Failure) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind_of(verdict));
    status
        .set_type(kind)
        .set_message(failure.message.as_str())
        .set_description(body(failure));
    status
}

fn skipped(reason: Option<&str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    if let Some(reason) = reason {
        status.set_message(reason);
    }
    status
}

fn body(failure: &Failure) -> String {
    explain(failure, &Palette::plain()).join("\n")
}
