//! `crash`: containers that ended since the mark.
//!
//! Invariant: an end counts once, by its container id; ends of pods that are being deleted don't count, and an end that
//! was not seen counts only where neither code nor reason is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use muster_model::Mismatch;
use muster_scenario::ast::CrashSubject;
use muster_scenario::matching::Bound;
use serde_json::{Value, json};

use crate::book::{End, Track};
use crate::causes;
use crate::context::StepContext;
use crate::expect::tracked::Tracked;
use crate::expect::{bind_optional, matches_optional};
use crate::failure::Trouble;
use crate::mark::Effects;
use crate::target::Which;
use crate::wait::{Answer, Observe, Sighting, count as count_of};

/// Observes ends of containers.
pub(crate) struct CrashObserver {
    at: Tracked,
    code: Option<Bound>,
    reason: Option<Bound>,
    times: i64,
    any: bool,
    negative: bool,
    /// With `never`: what there was when the window opened.
    window: Option<Window>,
    effects: Arc<Effects>,
    nearest: String,
}

/// Where the window of a `never` begins.
struct Window {
    opened: Instant,
    ends: usize,
    totals: BTreeMap<(String, String), i64>,
}

impl CrashObserver {
    /// Fills in the templates of a subject.
    pub(crate) fn new(
        step: &Arc<StepContext>,
        subject: &CrashSubject,
        namespace: String,
        (any, negative): (bool, bool),
        effects: &Arc<Effects>,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            at: Tracked::new(
                step,
                &subject.target,
                namespace,
                step.optional(subject.container.as_ref())?,
                false,
            ),
            code: bind_optional(step, subject.code.as_ref())?,
            reason: bind_optional(step, subject.reason.as_ref())?,
            times: step.optional(subject.times.as_ref())?.unwrap_or(1),
            any,
            negative,
            window: None,
            effects: Arc::clone(effects),
            nearest: String::new(),
        })
    }

    async fn look(&mut self, wait: bool) -> Result<Sighting, Trouble> {
        let track = match self.at.look(wait).await? {
            Ok(track) => track,
            Err(unserved) => return Ok(Answer::Unknown(unserved).into()),
        };
        if self.negative && self.window.is_none() {
            let data = track.read();
            self.window = Some(Window {
                opened: Instant::now(),
                ends: data.ends.len(),
                totals: data.total_ends.clone(),
            });
        }
        Ok(self.assess(&track).into())
    }

    fn counts(&self, track: &str, end: &End) -> bool {
        let asked = self.code.is_some() || self.reason.is_some();
        self.at
            .container
            .as_ref()
            .is_none_or(|name| *name == end.container)
            && !end.terminating
            && (asked || !end.regular)
            && self
                .at
                .step
                .mark
                .ended_after(track, &end.container_id, end.finished)
            && !self.effects.removed.contains(&end.pod_uid)
    }

    /// How often a container had ended when counting began: at the mark, or at the window's opening.
    fn ends_before(&self, key: &(String, String)) -> i64 {
        let at_mark = self.at.step.mark.ends_at(&key.0, &key.1);
        match &self.window {
            Some(window) => window.totals.get(key).copied().unwrap_or(0).max(at_mark),
            None => at_mark,
        }
    }

    fn assess(&mut self, track: &Track) -> Answer {
        let book = track.read();
        let display = self.at.display();
        let particular = self.code.is_some() || self.reason.is_some();
        let mut ends: BTreeMap<(String, String), Vec<&End>> = BTreeMap::new();
        let mut others = Vec::new();
        let track_key = track.key();
        let first = self.window.as_ref().map_or(0, |window| window.ends);
        for end in book
            .ends
            .iter()
            .skip(first)
            .filter(|end| self.counts(&track_key, end))
        {
            let fits = matches_optional(self.code.as_ref(), &json!(end.code))
                && matches_optional(self.reason.as_ref(), &json!(end.reason));
            if fits {
                ends.entry((end.pod_uid.clone(), end.container.clone()))
                    .or_default()
                    .push(end);
            } else {
                others.push(end);
            }
        }
        let mut most = 0;
        let mut unseen = false;
        let mut satisfied = Vec::new();
        let pods: Vec<_> = book
            .pods
            .values()
            .filter(|pod| !self.effects.removed.contains(pod.uid()))
            .collect();
        let keys: std::collections::BTreeSet<_> = ends
            .keys()
            .cloned()
            .chain(book.total_ends.keys().cloned())
            .filter(|(_, container)| self.at.container.as_ref().is_none_or(|name| name == container))
            .collect();
        for key in keys {
            let seen = i64::try_from(ends.get(&key).map_or(0, Vec::len)).unwrap_or(i64::MAX);
            // Where any end counts, those that happened unseen count too.
            let total = book.total_ends.get(&key).copied().unwrap_or(0) - self.ends_before(&key);
            let terminating = book.pods.get(&key.0).is_none_or(|pod| pod.is_terminating());
            let number = if particular || terminating {
                seen
            } else {
                seen.max(total)
            };
            if self.effects.removed.contains(&key.0) {
                continue;
            }
            unseen |= total > seen;
            most = most.max(number);
            if number >= self.times {
                satisfied.push((key, number));
            }
        }
        let by_labels = matches!(track.found().which, Which::Labels(_));
        let enough = if by_labels && !self.any {
            !pods.is_empty()
                && pods
                    .iter()
                    .all(|pod| satisfied.iter().any(|((uid, _), _)| uid == pod.uid()))
        } else {
            !satisfied.is_empty()
        };
        if enough && let Some(((uid, container), number)) = satisfied.first() {
            let last = ends
                .get(&(uid.clone(), container.clone()))
                .and_then(|ends| ends.last());
            let seen = format!(
                "{container} ended {}{}",
                count_of(*number, "time"),
                last.map_or(String::new(), |e| format!(", last with {}", e.describe()))
            );
            let value = last.map_or(Value::Null, |end| end.to_value());
            return Answer::Holds { seen, value };
        }
        let expected = self.expected();
        self.nearest = others.last().map_or_else(String::new, |end| {
            format!("{} {} ended with {}", end.pod_name, end.container, end.describe())
        });
        if let Some(window) = &self.window {
            if let Some(lost) = book.lost_since(window.opened) {
                return Answer::Unknown(lost);
            }
            if unseen && particular {
                return Answer::Unknown("a container ended unseen, so its code is not known".to_owned());
            }
        }
        if !book.was_there {
            return Answer::Missing {
                seen: format!("{display} does not exist"),
                mismatches: vec![Mismatch::new("", expected, "no such pod")],
            };
        }
        let seen = match others.last() {
            Some(end) => format!(
                "{display}: {most} of {} ends; another end with {}",
                self.times,
                end.describe()
            ),
            None => format!("{display}: {most} of {} ends", self.times),
        };
        let mut mismatches = vec![Mismatch::new(
            "ends since the mark",
            self.times.to_string(),
            most.to_string(),
        )];
        for end in others.iter().rev().take(3) {
            if let Some(code) = &self.code {
                mismatches.push(Mismatch::new("exit code", code.summary(), end.code.to_string()));
            }
            if let Some(reason) = &self.reason {
                mismatches.push(Mismatch::new("reason", reason.summary(), end.reason.clone()));
            }
        }
        Answer::Differs { seen, mismatches }
    }
}

#[async_trait]
impl Observe for CrashObserver {
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
        format!("crash {}", self.at.display())
    }

    fn expected(&self) -> String {
        let mut text = format!("{} to end {}", self.at.display(), count_of(self.times, "time"));
        if let Some(code) = &self.code {
            text.push_str(&format!(" with exit code {}", code.summary()));
        }
        if let Some(reason) = &self.reason {
            text.push_str(&format!(" with reason {}", reason.summary()));
        }
        text
    }

    fn nearest(&self) -> String {
        self.nearest.clone()
    }

    async fn causes(&mut self) -> Vec<String> {
        self.at.causes().await
    }

    fn help(&self) -> Vec<String> {
        match self.at.track() {
            Some(track) if track.read().pods.is_empty() => {
                vec![causes::look_hint(&self.at.step, track.found())]
            }
            _ => Vec::new(),
        }
    }
}
