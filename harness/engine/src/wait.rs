//! The clock of expectations: `within`, `for`, `never`.
//!
//! Invariant: a negative or lasting check passes only on observations that were made, one at the start of its window
//! and a fresh one at its end; an observation that couldn't be made is never a pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use muster_model::event::{EventKind, Failure};
use muster_model::{Mismatch, Place};
use serde_json::Value;

use crate::context::StepContext;
use crate::failure::{self, Trouble};
use crate::history::History;
use crate::mark::Effects;

/// Longer than any run.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long an observation of its own may take.
const LOOK: Duration = Duration::from_secs(20);

/// What an observer sees now.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// It holds.
    Holds {
        /// What was seen, one line.
        seen: String,
        /// What `save` sees as `self`.
        value: Value,
    },
    /// It doesn't hold (yet).
    Differs {
        /// What was seen, one line.
        seen: String,
        /// The differences of the nearest candidate.
        mismatches: Vec<Mismatch>,
    },
    /// There is nothing (yet) that could hold or not: not yet for a positive check, no observation for a negative one.
    Missing {
        /// What was seen, one line.
        seen: String,
        /// The differences.
        mismatches: Vec<Mismatch>,
    },
    /// It couldn't be observed.
    Unknown(String),
    /// It can't come true any more, whatever happens.
    Final {
        /// What was seen, one line.
        seen: String,
        /// The differences.
        mismatches: Vec<Mismatch>,
        /// What to do.
        help: Vec<String>,
    },
}

/// One observation.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    /// What was seen.
    pub(crate) answer: Answer,
    /// What happened since the observation before is not known.
    pub(crate) gap: bool,
}

impl From<Answer> for Sighting {
    fn from(answer: Answer) -> Self {
        Self { answer, gap: false }
    }
}

/// Something that can be observed.
#[async_trait]
pub(crate) trait Observe: Send {
    /// The first call observes at once; later ones wait for a change first. Cancel-safe.
    async fn next(&mut self) -> Result<Sighting, Trouble>;
    /// Observes at once, by a request of its own.
    async fn fresh(&mut self) -> Result<Sighting, Trouble>;
    /// The step's action was done: what it removed or wrote counts from now on.
    fn acted(&mut self, _effects: &Arc<Effects>) {}
    /// What is observed, such as `ready statefulset/spire-server`.
    fn subject(&self) -> String;
    /// What is expected, one line.
    fn expected(&self) -> String;
    /// The nearest that was seen, if it says more than the last observation: a log line, an object.
    fn nearest(&self) -> String {
        String::new()
    }
    /// What is to blame, found out after a failure.
    async fn causes(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// What the user can do, known without asking anybody.
    fn help(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The times of one expectation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) within: Duration,
    pub(crate) hold: Option<Duration>,
    pub(crate) never: Option<Duration>,
    pub(crate) edge: bool,
}

/// How an expectation passed.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) seen: String,
    pub(crate) value: Value,
    /// The first observation at its turn held.
    pub(crate) at_once: bool,
}

struct Wait<'a> {
    step: &'a StepContext,
    scope: muster_model::event::Scope,
    place: &'a Place,
    observer: &'a mut dyn Observe,
    history: History,
    last: Vec<Mismatch>,
    last_unknown: Option<String>,
    announced: bool,
}

/// Waits until an expectation passes or fails.
pub(crate) async fn wait(
    step: &StepContext,
    scope: muster_model::event::Scope,
    place: &Place,
    observer: &mut dyn Observe,
    times: Times,
) -> Result<Passed, Trouble> {
    let mut wait = Wait {
        step,
        scope,
        place,
        observer,
        history: History::default(),
        last: Vec::new(),
        last_unknown: None,
        announced: false,
    };
    let result = match (times.never, times.hold) {
        (Some(window), _) => wait.never(window).await,
        (None, hold) => wait.within(times.within, hold, times.edge).await,
    };
    match result {
        Err(Trouble::Failed(failure)) => Err(Trouble::Failed(wait.explain(failure).await)),
        Err(Trouble::Environment(failure)) => Err(Trouble::Environment(wait.explain(failure).await)),
        other => other,
    }
}

impl Wait<'_> {
    /// The next observation, or `None` at the instant. An observer that always has something new does not keep the
    /// instant from coming.
    async fn next_until(&mut self, until: Instant, looks: usize) -> Result<Option<Sighting>, Trouble> {
        if looks > 0 && Instant::now() >= until {
            return Ok(None);
        }
        let sighting = tokio::select! {
            biased;
            () = self.step.ctx.interrupted() => return Err(Trouble::Interrupted),
            sighting = self.observer.next() => sighting?,
            () = tokio::time::sleep_until(until.into()) => return Ok(None),
        };
        self.record(&sighting);
        Ok(Some(sighting))
    }

    /// An observation of its own, bounded in time.
    async fn look(&mut self) -> Result<Sighting, Trouble> {
        let sighting = tokio::select! {
            biased;
            () = self.step.ctx.interrupted() => return Err(Trouble::Interrupted),
            sighting = self.observer.fresh() => sighting?,
            () = tokio::time::sleep(LOOK) => Answer::Unknown(format!("no answer within {}", human(LOOK))).into(),
        };
        self.record(&sighting);
        Ok(sighting)
    }

    fn record(&mut self, sighting: &Sighting) {
        let at = self.step.mark.elapsed_ms();
        let (seen, holds) = match &sighting.answer {
            Answer::Holds { seen, .. } => (seen.clone(), true),
            Answer::Differs { seen, mismatches }
            | Answer::Missing { seen, mismatches }
            | Answer::Final { seen, mismatches, .. } => {
                self.last.clone_from(mismatches);
                self.last_unknown = None;
                (seen.clone(), false)
            }
            Answer::Unknown(why) => {
                self.last_unknown = Some(why.clone());
                (format!("could not observe: {why}"), false)
            }
        };
        if self.history.push(at, &seen) && !holds && self.announced {
            self.step
                .ctx
                .recorder_emit(&self.scope, EventKind::Observed { seen });
        }
    }

    fn announce(&mut self, within: Duration) {
        // A wait without an end (`fails_on`) is no news.
        if !self.announced && within < FOREVER {
            self.announced = true;
            self.step.ctx.recorder_emit(
                &self.scope,
                EventKind::WaitStarted {
                    subject: self.observer.subject(),
                    place: self.place.to_ref(),
                    within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
                },
            );
            if let Some(last) = self.history.latest() {
                let seen = last.seen.clone();
                self.step
                    .ctx
                    .recorder_emit(&self.scope, EventKind::Observed { seen });
            }
        }
    }

    async fn within(
        &mut self,
        within: Duration,
        hold: Option<Duration>,
        edge: bool,
    ) -> Result<Passed, Trouble> {
        let turn = Instant::now();
        let deadline = (turn + within).min(self.step.deadline);
        let cut = deadline < turn + within;
        let mut holding: Option<(Instant, Passed)> = None;
        let mut was_false = !edge;
        let mut looks = 0;
        loop {
            let until = match (&holding, hold) {
                (Some((since, _)), Some(length)) => (*since + length).min(self.step.deadline),
                _ => deadline,
            };
            let sighting = match self.next_until(until, looks).await? {
                Some(sighting) => sighting,
                None => match (holding.take(), hold) {
                    (Some((since, held)), Some(length)) if since.elapsed() >= length => {
                        let fresh = self.look().await?;
                        if let Answer::Holds { seen, value } = fresh.answer
                            && !fresh.gap
                        {
                            let seen = format!("{seen}, for {}", human(length));
                            return Ok(Passed { seen, value, ..held });
                        }
                        if Instant::now() >= deadline {
                            return Err(self.too_late(within, hold, false, cut));
                        }
                        continue;
                    }
                    // Time is up: the last word has a look of its own, since a watch may be behind.
                    (None, None) if was_false => match self.look().await?.answer {
                        Answer::Holds { seen, value } => {
                            return Ok(Passed {
                                seen,
                                value,
                                at_once: false,
                            });
                        }
                        _ => return Err(self.too_late(within, hold, false, cut)),
                    },
                    _ => return Err(self.too_late(within, hold, edge && !was_false, cut)),
                },
            };
            if sighting.gap {
                holding = None;
            }
            looks += 1;
            match sighting.answer {
                Answer::Holds { seen, value } if was_false => {
                    let passed = Passed {
                        seen,
                        value,
                        at_once: looks == 1,
                    };
                    match (hold, holding.take()) {
                        (None, _) => return Ok(passed),
                        (Some(_), Some((since, first))) => {
                            let at_once = first.at_once;
                            holding = Some((since, Passed { at_once, ..passed }));
                        }
                        // A hold must begin in time.
                        (Some(_), None) if looks == 1 || Instant::now() < deadline => {
                            holding = Some((Instant::now(), passed));
                        }
                        (Some(_), None) => return Err(self.too_late(within, hold, false, cut)),
                    }
                }
                Answer::Holds { .. } => {}
                Answer::Final {
                    seen,
                    mismatches,
                    help,
                } => {
                    self.last = mismatches;
                    let mut failure = failure::at(
                        format!("{} can't come true: {seen}", self.observer.subject()),
                        self.place,
                    );
                    failure.help = help;
                    return Err(Trouble::Failed(failure));
                }
                Answer::Differs { .. } | Answer::Missing { .. } => {
                    was_false = true;
                    holding = None;
                }
                Answer::Unknown(_) => holding = None,
            }
            self.announce(within);
        }
    }

    async fn never(&mut self, window: Duration) -> Result<Passed, Trouble> {
        let left = self.step.remaining();
        if window > left {
            let message = format!(
                "the window of {} does not fit into the {} that are left for the step",
                human(window),
                human(left)
            );
            return Err(
                Trouble::failed(message, self.place).help("raise the step's or the scenario's `timeout`")
            );
        }
        let end = Instant::now() + window;
        let mut sighting = self.look().await?;
        let mut seen = loop {
            let seen = self.not_seen(sighting)?;
            self.announce(window);
            match self.next_until(end, 1).await? {
                Some(next) => sighting = next,
                None => break seen,
            }
        };
        let last = self.look().await?;
        seen = self
            .not_seen(last)
            .map(|last| if last.is_empty() { seen } else { last })?;
        Ok(Passed {
            seen: format!("not once in {}: {seen}", human(window)),
            value: Value::Null,
            at_once: false,
        })
    }

    /// What was seen instead; an error if it came true or could not be observed.
    fn not_seen(&self, sighting: Sighting) -> Result<String, Trouble> {
        let subject = self.observer.subject();
        let why = match sighting.answer {
            Answer::Holds { seen, .. } => {
                return Err(Trouble::failed(
                    format!("{subject} came true, which it never may: {seen}"),
                    self.place,
                ));
            }
            _ if sighting.gap => "changes were lost in between".to_owned(),
            Answer::Differs { seen, .. } | Answer::Final { seen, .. } => return Ok(seen),
            Answer::Unknown(why) => why,
            Answer::Missing { seen, .. } => seen,
        };
        Err(Trouble::failed(
            format!("could not observe {subject} for the whole window: {why}"),
            self.place,
        )
        .help("a `never` passes only if everything in its window was seen"))
    }

    fn too_late(&self, within: Duration, hold: Option<Duration>, never_false: bool, cut: bool) -> Trouble {
        let subject = self.observer.subject();
        let what = match (&self.last_unknown, hold) {
            (Some(why), _) => format!("could not observe {subject}: {why}"),
            (None, Some(hold)) => {
                format!(
                    "{subject} did not stay true for {} within {}",
                    human(hold),
                    human(within)
                )
            }
            (None, None) if never_false => {
                format!("{subject} was true all the time; `edge: true` wants it false first")
            }
            (None, None) => format!("{subject} did not come true within {}", human(within)),
        };
        let mut trouble = Trouble::failed(what, self.place);
        if cut {
            trouble = trouble.help("the step's or the scenario's `timeout` ended before `within` did");
        }
        trouble
    }

    async fn explain(&mut self, mut failure: Box<Failure>) -> Box<Failure> {
        failure.expected = self.observer.expected();
        if failure.mismatches.is_empty() {
            failure.mismatches.clone_from(&self.last);
        }
        failure.nearest = self.observer.nearest();
        failure.history = std::mem::take(&mut self.history).into_vec();
        failure.help.extend(self.observer.help());
        // What the message says already is not said again.
        if failure.message.contains(&failure.nearest) {
            failure.nearest.clear();
        }
        if let [only] = failure.history.as_slice()
            && failure.message.contains(&only.seen)
        {
            failure.history.clear();
        }
        let message = &failure.message;
        failure
            .mismatches
            .retain(|m| !(m.path.is_empty() && m.hint.is_none() && message.contains(&m.found)));
        let causes = tokio::time::timeout(Duration::from_secs(10), self.observer.causes()).await;
        failure.causes.extend(causes.unwrap_or_default());
        failure
    }
}

/// `2m`, `1m30s`, `500ms`: as the language writes durations.
pub(crate) fn human(duration: Duration) -> String {
    let ms = duration.as_millis();
    if !ms.is_multiple_of(1000) {
        return if ms < 1000 {
            format!("{ms}ms")
        } else {
            format!("{:.1}s", duration.as_secs_f64())
        };
    }
    let seconds = ms / 1000;
    let (h, m, s) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    let mut text = String::new();
    for (number, unit) in [(h, "h"), (m, "m"), (s, "s")] {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `1 line`, `2 lines`.
pub(crate) fn count(number: impl Into<i64>, what: &str) -> String {
    match number.into() {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for (ms, text) in [
            (120_000, "2m"),
            (90_000, "1m30s"),
            (500, "500ms"),
            (0, "0s"),
            (3_600_000, "1h"),
        ] {
            assert_eq!(human(Duration::from_millis(ms)), text);
        }
    }
}
