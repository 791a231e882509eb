//! `log`: lines that containers wrote since the mark.
//!
//! Invariant: a line counts for the container instance that wrote it; where lines may have been lost, only a positive
//! match is believed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use muster_model::{Mismatch, Object};
use muster_scenario::ast::{LinePattern, LogFrom, LogLines, LogSubject};
use muster_scenario::matching::Bound;
use serde_json::{Value, json};

use crate::book::{Line, Track, TrackData};
use crate::causes;
use crate::context::StepContext;
use crate::expect::line::{Wanted, judge, nearest};
use crate::expect::tracked::Tracked;
use crate::expect::{bind_optional, prefixed};
use crate::failure::Trouble;
use crate::mark::Effects;
use crate::pods;
use crate::target::Which;
use crate::wait::{Answer, Observe, Sighting, count as count_of};

/// Observes log lines.
pub(crate) struct LogObserver {
    at: Tracked,
    subject: LogSubject,
    wanted: Vec<Wanted>,
    ordered: bool,
    count: Option<Bound>,
    /// With `never`: lines received before the window don't count.
    window: Option<(usize, Instant)>,
    negative: bool,
    effects: Arc<Effects>,
    nearest: String,
}

impl LogObserver {
    /// Fills in the templates of a subject.
    pub(crate) fn new(
        step: &Arc<StepContext>,
        subject: &LogSubject,
        namespace: String,
        negative: bool,
        effects: &Arc<Effects>,
    ) -> Result<Self, Trouble> {
        let names = step.names();
        let bind = |pattern: &LinePattern| -> Result<Wanted, Trouble> {
            let bound = |pattern: &muster_scenario::matching::Pattern| {
                pattern.bind(&names).map_err(|error| Trouble::from_eval(&error))
            };
            Ok(match pattern {
                LinePattern::Contains(text) => Wanted::Contains(step.value(text)?),
                LinePattern::Raw(pattern) => Wanted::Raw(bound(pattern)?),
                LinePattern::Fields(pattern) => Wanted::Fields(bound(pattern)?),
            })
        };
        let (wanted, ordered) = match &subject.lines {
            LogLines::One(pattern) => (vec![bind(pattern)?], false),
            LogLines::Ordered(patterns) => (patterns.iter().map(bind).collect::<Result<_, _>>()?, true),
        };
        Ok(Self {
            at: Tracked::new(
                step,
                &subject.target,
                namespace,
                step.optional(subject.container.as_ref())?,
                true,
            ),
            count: bind_optional(step, subject.count.as_ref())?,
            subject: subject.clone(),
            wanted,
            ordered,
            window: None,
            negative,
            effects: Arc::clone(effects),
            nearest: String::new(),
        })
    }

    async fn look(&mut self, wait: bool) -> Result<Sighting, Trouble> {
        let track = match self.at.look(wait).await? {
            Ok(track) => track,
            Err(unserved) => return Ok(Answer::Unknown(unserved).into()),
        };
        let (answer, nearest) = self.judge(&track)?;
        self.nearest = nearest;
        // A number of lines is final only when all that were written have arrived.
        if wait && self.count.is_some() && matches!(answer, Answer::Holds { .. }) {
            return self.fresh().await;
        }
        Ok(answer.into())
    }

    fn judge(&mut self, track: &Track) -> Result<(Answer, String), Trouble> {
        let data = track.read();
        if self.negative && self.window.is_none() {
            self.window = Some((data.lines.len(), Instant::now()));
        }
        if let Some(container) = data.undecided_container(self.at.container.as_deref()) {
            return Err(Trouble::failed(
                format!(
                    "{} has several containers and no default: {container}",
                    self.at.display()
                ),
                &self.at.target.place,
            )
            .help("say which with `container:`"));
        }
        Ok(self.assess(&data))
    }

    fn lines<'a>(&'a self, data: &'a TrackData) -> impl Iterator<Item = &'a Line> {
        let track = self.at.key();
        let first = self.window.map_or(0, |(first, _)| first);
        data.lines.iter().skip(first).filter(move |line| {
            self.is_wanted(line) && self.at.step.mark.is_after(&track, &line.container_id, line.time)
        })
    }

    /// Whether a line is of the container that is meant, and of a pod that counts.
    fn is_wanted(&self, line: &Line) -> bool {
        let meant = match &self.at.container {
            Some(name) => *name == line.container,
            None => line.is_default,
        };
        meant && !self.effects.removed.contains(&line.pod_uid)
    }

    fn assess(&self, data: &TrackData) -> (Answer, String) {
        let display = self.at.display();
        if !data.was_there {
            let mismatch = Mismatch::new("", format!("{display} to exist"), "nothing");
            return (
                Answer::Missing {
                    seen: format!("{display} does not exist"),
                    mismatches: vec![mismatch],
                },
                String::new(),
            );
        }
        let (answer, nearest) = if self.subject.from == LogFrom::EveryPod {
            self.assess_every(data, &display)
        } else if let Some(count) = &self.count {
            self.assess_count(data, count, &display)
        } else {
            let lines: Vec<_> = self.lines(data).collect();
            self.search(&lines, &display)
        };
        // Where lines may be lost only a match is believed, and a number of lines never.
        let since = self.window.map_or(self.at.step.mark.at, |(_, opened)| opened);
        let believed =
            !self.negative && self.count.is_none() || self.negative && matches!(answer, Answer::Holds { .. });
        match data.lost_since(since) {
            Some(lost) if !believed => (Answer::Unknown(format!("lines may be lost: {lost}")), nearest),
            _ => (answer, nearest),
        }
    }

    fn assess_count(&self, data: &TrackData, count: &Bound, display: &str) -> (Answer, String) {
        let matching = self.lines(data).filter(|line| self.wanted[0].judge(line).is_ok());
        let number = i64::try_from(matching.count()).unwrap_or(i64::MAX);
        let lines = count_of(number, "matching line");
        let answer = match judge(count, &json!(number)) {
            Ok(()) => Answer::Holds {
                seen: format!("{lines} of {display}"),
                value: json!(number),
            },
            Err(mismatches) => Answer::Differs {
                seen: format!("{lines} of {display}"),
                mismatches: prefixed("count", mismatches),
            },
        };
        (answer, String::new())
    }

    /// Searches lines for the wanted ones: one, or several in order from one container start.
    fn search(&self, lines: &[&Line], display: &str) -> (Answer, String) {
        if lines.is_empty() {
            let seen = format!("{display} has written no line since the mark");
            return (
                Answer::Differs {
                    seen,
                    mismatches: Vec::new(),
                },
                String::new(),
            );
        }
        if !self.ordered {
            return self.search_one(lines, display);
        }
        let mut groups: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in lines {
            let key = if self.subject.across_restarts {
                format!("{}/{}", line.pod_uid, line.container)
            } else {
                line.container_id.clone()
            };
            groups.entry(key).or_default().push(line);
        }
        let mut furthest: Option<(usize, &Vec<&Line>)> = None;
        for group in groups.values_mut() {
            group.sort_by_key(|line| line.time);
        }
        for group in groups.values() {
            let mut wanted = self.wanted.iter();
            let mut found = 0;
            let mut next = wanted.next();
            for line in group {
                let Some(pattern) = next else { break };
                if pattern.judge(line).is_ok() {
                    found += 1;
                    next = wanted.next();
                }
            }
            if next.is_none() {
                let seen = format!("all {found} lines, in order");
                let value = Value::Array(group.iter().map(|line| line.to_value()).collect());
                return (Answer::Holds { seen, value }, String::new());
            }
            if furthest.is_none_or(|(best, _)| found > best) {
                furthest = Some((found, group));
            }
        }
        let Some((found, group)) = furthest else {
            return (Answer::Unknown("no lines".to_owned()), String::new());
        };
        let missing = &self.wanted[found];
        let (mismatches, nearest) = nearest(missing, group);
        let seen = format!(
            "{found} of {} lines in order; {} is missing",
            self.wanted.len(),
            missing.summary()
        );
        (Answer::Differs { seen, mismatches }, nearest)
    }

    fn search_one(&self, lines: &[&Line], display: &str) -> (Answer, String) {
        let wanted = &self.wanted[0];
        if let Some(line) = lines.iter().find(|line| wanted.judge(line).is_ok()) {
            return (
                Answer::Holds {
                    seen: line.text.clone(),
                    value: line.to_value(),
                },
                String::new(),
            );
        }
        let (mismatches, nearest) = nearest(wanted, lines);
        let seen = format!("no line of {display} since the mark matches");
        (Answer::Differs { seen, mismatches }, nearest)
    }

    fn assess_every(&self, data: &TrackData, display: &str) -> (Answer, String) {
        let alive: Vec<&Arc<Object>> = data
            .pods
            .values()
            .filter(|pod| !pod.is_terminating() && !self.effects.removed.contains(pod.uid()))
            .collect();
        let desired = data
            .owner
            .as_ref()
            .and_then(|owner| pods::desired(owner))
            .unwrap_or(1)
            .max(1);
        let have = i64::try_from(alive.len()).unwrap_or(i64::MAX);
        if have < desired {
            let seen = format!("{have} of {desired} pods of {display} exist");
            let mismatch = Mismatch::new("pods", format!("at least {desired}"), have.to_string());
            return (
                Answer::Differs {
                    seen,
                    mismatches: vec![mismatch],
                },
                String::new(),
            );
        }
        let mut values = Vec::new();
        for pod in &alive {
            let lines: Vec<_> = self
                .lines(data)
                .filter(|line| line.pod_uid == pod.uid())
                .collect();
            match self.search(&lines, pod.name()) {
                (Answer::Holds { value, .. }, _) => values.push(value),
                (Answer::Differs { seen, mismatches }, nearest) => {
                    return (
                        Answer::Differs {
                            seen: format!("{} of {have} pods; {}: {seen}", values.len(), pod.name()),
                            mismatches,
                        },
                        nearest,
                    );
                }
                other => return other,
            }
        }
        let seen = format!("from each of {have} pods");
        (
            Answer::Holds {
                seen,
                value: Value::Array(values),
            },
            String::new(),
        )
    }
}

#[async_trait]
impl Observe for LogObserver {
    async fn next(&mut self) -> Result<Sighting, Trouble> {
        self.look(true).await
    }

    async fn fresh(&mut self) -> Result<Sighting, Trouble> {
        match self.at.catch_up().await? {
            Ok(()) => self.look(false).await,
            Err(why) => Ok(Answer::Unknown(why).into()),
        }
    }

    fn subject(&self) -> String {
        format!("log {}", self.at.display())
    }

    fn expected(&self) -> String {
        let wanted: Vec<_> = self.wanted.iter().map(Wanted::summary).collect();
        let what = if self.ordered { "lines in order" } else { "a line" };
        let from = if self.subject.from == LogFrom::EveryPod {
            " from every pod"
        } else {
            ""
        };
        let text = format!("{what} of {}{from}: {}", self.at.display(), wanted.join(", "));
        match &self.count {
            Some(count) => format!("{text}, count {}", count.summary()),
            None => text,
        }
    }

    fn nearest(&self) -> String {
        self.nearest.clone()
    }

    async fn causes(&mut self) -> Vec<String> {
        self.at.causes().await
    }

    fn help(&self) -> Vec<String> {
        let Some(track) = self.at.track() else {
            return Vec::new();
        };
        let data = track.read();
        if !data.was_there && matches!(track.found().which, Which::Name(_)) {
            return vec![causes::look_hint(&self.at.step, track.found())];
        }
        let key = track.key();
        let before = data
            .lines
            .iter()
            .filter(|line| self.is_wanted(line))
            .filter(|line| !self.at.step.mark.is_after(&key, &line.container_id, line.time))
            .filter(|line| self.wanted.iter().any(|wanted| wanted.judge(line).is_ok()))
            .count();
        match before {
            0 => Vec::new(),
            1 => vec![
                "one line that matches was written before the step's mark, so it doesn't count".to_owned(),
            ],
            more => vec![format!(
                "{more} lines that match were written before the step's mark, so they don't count"
            )],
        }
    }
}
