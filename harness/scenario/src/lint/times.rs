//! Times: what a step and a scenario may need against what they are given.
//!
//! Invariant: a time that can't be enough is an error, one that may not be a warning; templated times count as nothing.

use std::time::Duration;

use muster_model::{Diagnostic, Diagnostics};

use crate::ast::{ActionKind, Expectation, Scenario, Step};
use crate::decode::format_duration;
use crate::expr::Templated;

/// What an expectation without `within` gets.
const DEFAULT_WITHIN: Duration = Duration::from_secs(30);

/// The least and the most time that something takes, actions apart from `pause` not counted.
#[derive(Clone, Copy, Default)]
struct Span {
    least: Duration,
    most: Duration,
}

/// Checks the timeouts that are written.
pub(super) fn check(scenario: &Scenario, out: &mut Diagnostics) {
    let mut total = Span::default();
    for step in &scenario.steps {
        let span = span(step);
        // A step that may be skipped takes no time at least.
        total.least += if step.when.is_some() {
            Duration::ZERO
        } else {
            span.least
        };
        total.most += span.most;
        if let Some((timeout, given)) = step
            .timeout
            .as_ref()
            .and_then(|timeout| Some((timeout, *timeout.literal()?)))
        {
            judge("step", given, span, timeout.place(), out);
        }
    }
    if let Some(given) = scenario.timeout {
        judge(
            "scenario",
            given,
            total,
            scenario.timeout_place.as_ref().unwrap_or(&scenario.place),
            out,
        );
    }
}

fn judge(what: &str, given: Duration, span: Span, place: &muster_model::Place, out: &mut Diagnostics) {
    if span.least > given {
        out.push(
            Diagnostic::error(
                "timeout-too-short",
                format!(
                    "this {what} can't pass: its `for`, `never` and `pause` take {}, its timeout is {}",
                    format_duration(span.least),
                    format_duration(given)
                ),
                place,
            )
            .help("raise the timeout, or shorten the windows"),
        );
    } else if span.most > given {
        out.push(
            Diagnostic::warning(
                "timeout-too-short",
                format!(
                    "the waits of this {what} may add up to {}, its timeout is {}",
                    format_duration(span.most),
                    format_duration(given)
                ),
                place,
            )
            .help(format!(
                "a wait that is still allowed by its `within` ({} by default) would be cut off: raise the timeout, or lower `within`",
                format_duration(DEFAULT_WITHIN)
            )),
        );
    }
}

fn span(step: &Step) -> Span {
    let mut span = Span::default();
    if let Some(ActionKind::Pause(pause)) = step.action.as_ref().map(|action| &action.kind) {
        let time = literal(Some(&pause.duration)).unwrap_or_default();
        span = Span {
            least: time,
            most: time,
        };
    }
    // Neighbouring windows open together: at least the longest of them.
    let mut windows = Duration::ZERO;
    for expectation in &step.expect {
        let own = of_expectation(expectation);
        span.most += own.most;
        if own.least.is_zero() {
            span.least += windows;
            windows = Duration::ZERO;
        } else {
            windows = windows.max(own.least);
        }
    }
    span.least += windows;
    span
}

fn of_expectation(expectation: &Expectation) -> Span {
    let window = literal(expectation.never.as_ref())
        .or_else(|| literal(expectation.hold.as_ref()))
        .unwrap_or_default();
    let wait = match (&expectation.never, &expectation.within) {
        (Some(_), _) => Duration::ZERO,
        (None, Some(within)) => literal(Some(within)).unwrap_or_default(),
        (None, None) => DEFAULT_WITHIN,
    };
    let least = if expectation.when.is_some() {
        Duration::ZERO
    } else {
        window
    };
    Span {
        least,
        most: window + wait,
    }
}

fn literal(time: Option<&Templated<Duration>>) -> Option<Duration> {
    time?.literal().copied()
}
