//! `object`: fields, expressions, conditions, absence and number of objects.
//!
//! Invariant: an object that the step's action removed satisfies no match, and a kind that isn't served is never absent.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::{Mismatch, Object};
use muster_scenario::ast::{Absent, ObjectCheck, ObjectSubject};
use muster_scenario::expr::Program;
use muster_scenario::matching::{Bound, Outcome};
use serde_json::{Value, json};

use crate::causes;
use crate::context::StepContext;
use crate::expect::prefixed;
use crate::expect::watched::{Look, Watched};
use crate::failure::Trouble;
use crate::mark::Effects;
use crate::pods;
use crate::target::Which;
use crate::wait::{Answer, Observe, Sighting};

enum Check {
    Match(Bound),
    Cel(Program),
    Condition { name: String, status: String },
}

impl Check {
    fn summary(&self) -> String {
        match self {
            Self::Match(pattern) => pattern.summary(),
            Self::Cel(program) => program.source().to_owned(),
            Self::Condition { name, status } => format!("condition {name}={status}"),
        }
    }
}

/// Observes objects.
pub(crate) struct ObjectObserver {
    watched: Watched,
    each: Vec<Check>,
    absent: Option<Absent>,
    count: Option<Bound>,
    any: bool,
    effects: Arc<Effects>,
    nearest: String,
}

impl ObjectObserver {
    /// Fills in the templates of a subject.
    pub(crate) fn new(
        step: &Arc<StepContext>,
        subject: &ObjectSubject,
        namespace: String,
        any: bool,
        effects: &Arc<Effects>,
    ) -> Result<Self, Trouble> {
        let names = step.names();
        let bind = |pattern: &muster_scenario::matching::Pattern| {
            pattern.bind(&names).map_err(|error| Trouble::from_eval(&error))
        };
        let (mut each, mut absent, mut count) = (Vec::new(), None, None);
        for check in &subject.checks {
            match check {
                ObjectCheck::Match(pattern) => each.push(Check::Match(bind(pattern)?)),
                ObjectCheck::Cel(program) => each.push(Check::Cel(program.clone())),
                ObjectCheck::Condition { name, status, .. } => {
                    each.push(Check::Condition {
                        name: name.clone(),
                        status: status.clone(),
                    });
                }
                ObjectCheck::Absent(how) => absent = Some(*how),
                ObjectCheck::Count(pattern) => count = Some(bind(pattern)?),
            }
        }
        Ok(Self {
            watched: Watched::new(step, &subject.target, namespace),
            each,
            absent,
            count,
            any,
            effects: Arc::clone(effects),
            nearest: String::new(),
        })
    }

    fn assess(&mut self, look: Look) -> Result<Sighting, Trouble> {
        let gap = match look {
            Look::Unserved(why) => return Ok(Answer::Unknown(why).into()),
            Look::Seen { gap } => gap,
        };
        let objects = self.watched.objects();
        let answer = if let Some(how) = self.absent {
            self.assess_absence(how, &objects)
        } else {
            self.assess_objects(&objects)?
        };
        Ok(Sighting { answer, gap })
    }

    fn assess_absence(&self, how: Absent, objects: &[Arc<Object>]) -> Answer {
        let display = self.watched.display();
        if !objects.is_empty() {
            let names: Vec<_> = objects.iter().map(|o| state(o)).collect();
            return Answer::Differs {
                seen: format!("{display} exists: {}", names.join(", ")),
                mismatches: vec![Mismatch::new("", "no such object", names.join(", "))],
            };
        }
        let seen_before = match self.watched.found() {
            Some(found) => match found.reference() {
                Some(reference) => self.watched.step().ctx.has_seen(&reference),
                // A selector: any object that it once chose can't be told apart, so only from-start fits.
                None => how == Absent::FromStart,
            },
            None => false,
        };
        if how == Absent::AfterSeen && !seen_before {
            return Answer::Final {
                seen: format!("{display} does not exist and was never seen in this scenario"),
                mismatches: Vec::new(),
                help: vec![
                    "an object that never was proves nothing: expect it before, or write `absent: from-start`"
                        .to_owned(),
                ],
            };
        }
        Answer::Holds {
            seen: format!("{display} is absent"),
            value: Value::Null,
        }
    }

    fn assess_objects(&mut self, objects: &[Arc<Object>]) -> Result<Answer, Trouble> {
        let display = self.watched.display();
        let counted: Vec<_> = objects
            .iter()
            .filter(|object| !self.effects.removed.contains(object.uid()))
            .collect();
        if let Some(count) = &self.count {
            let number = json!(counted.len());
            match count.check(&number) {
                Outcome::Holds => {}
                Outcome::Differs(mismatches) | Outcome::Invalid(mismatches) => {
                    return Ok(Answer::Differs {
                        seen: format!("{} of {display}", counted.len()),
                        mismatches: prefixed("count", mismatches),
                    });
                }
            }
            if self.each.is_empty() {
                return Ok(Answer::Holds {
                    seen: format!("{} of {display}", counted.len()),
                    value: list(&counted),
                });
            }
        }
        if counted.is_empty() {
            let seen = match objects.first() {
                None => format!("{display} does not exist"),
                Some(_) => format!("{display} is the one that this step removed"),
            };
            return Ok(Answer::Missing {
                mismatches: vec![Mismatch::new("", format!("{display} to exist"), "nothing")],
                seen,
            });
        }
        let mut best: Option<(String, Vec<Mismatch>, bool)> = None;
        let mut held = Vec::new();
        for object in &counted {
            match self.check(object)? {
                Outcome::Holds => held.push(*object),
                Outcome::Differs(mismatches) => keep_nearest(&mut best, object, mismatches, false),
                Outcome::Invalid(mismatches) => keep_nearest(&mut best, object, mismatches, true),
            }
        }
        let enough = if self.any {
            !held.is_empty()
        } else {
            held.len() == counted.len()
        };
        if enough {
            for object in &held {
                self.watched.step().ctx.mask(object);
            }
            let named = matches!(self.watched.found().map(|f| &f.which), Some(Which::Name(_)));
            let value = if named { held[0].0.clone() } else { list(&held) };
            let seen = self.wanted(held.len());
            return Ok(Answer::Holds { seen, value });
        }
        let Some((seen, mismatches, invalid)) = best else {
            return Ok(Answer::Unknown("nothing was compared".to_owned()));
        };
        self.nearest.clone_from(&seen);
        Ok(if invalid && !self.any {
            Answer::Final {
                seen,
                mismatches,
                help: Vec::new(),
            }
        } else {
            Answer::Differs { seen, mismatches }
        })
    }

    /// What holds, in a few words; how many objects it holds for, if several.
    fn wanted(&self, number: usize) -> String {
        let wanted = self
            .each
            .iter()
            .map(Check::summary)
            .collect::<Vec<_>>()
            .join(", ");
        let short: String = wanted.chars().take(160).collect();
        let dots = if short.len() < wanted.len() { "…" } else { "" };
        match number {
            1 => format!("{short}{dots}"),
            more => format!("{short}{dots} ({more} objects)"),
        }
    }

    /// Compares an object. What a Secret holds is never shown.
    fn check(&self, object: &Object) -> Result<Outcome, Trouble> {
        let outcome = self.compare(object)?;
        Ok(match outcome {
            Outcome::Differs(mismatches) if object.kind() == "Secret" => Outcome::Differs(hidden(mismatches)),
            Outcome::Invalid(mismatches) if object.kind() == "Secret" => Outcome::Invalid(hidden(mismatches)),
            other => other,
        })
    }

    fn compare(&self, object: &Object) -> Result<Outcome, Trouble> {
        let mut all = Vec::new();
        for check in &self.each {
            match check {
                Check::Match(pattern) => match pattern.check(&object.0) {
                    Outcome::Holds => {}
                    Outcome::Differs(mismatches) => all.extend(mismatches),
                    Outcome::Invalid(mismatches) => return Ok(Outcome::Invalid(mismatches)),
                },
                Check::Condition { name, status } => {
                    let path = format!("status.conditions[type={name}].status");
                    let found = pods::condition(object, name);
                    let found_status = found.map(|c| pods::text(c, &["status"]));
                    if found_status != Some(status) {
                        let found = match found {
                            None => "no such condition".to_owned(),
                            Some(c) => {
                                let (reason, message) =
                                    (pods::text(c, &["reason"]), pods::text(c, &["message"]));
                                format!("{} ({reason}: {message})", found_status.unwrap_or_default())
                            }
                        };
                        all.push(Mismatch::new(path, status.clone(), found));
                    }
                }
                Check::Cel(program) => {
                    let scope = self.watched.step().names().with_self(object.0.clone());
                    match program.eval_bool(&scope) {
                        Ok(truth) if truth.value => {}
                        Ok(truth) => {
                            let because: Vec<_> = truth
                                .because
                                .iter()
                                .map(|(source, value)| format!("{source} = {value}"))
                                .collect();
                            all.push(Mismatch::new(
                                format!("cel: {}", program.source()),
                                "true",
                                format!("false; {}", because.join(", ")),
                            ));
                        }
                        Err(error) if error.not_yet => {
                            all.push(Mismatch::new(
                                format!("cel: {}", program.source()),
                                "true",
                                error.message,
                            ));
                        }
                        Err(error) => return Err(Trouble::from_eval(&error)),
                    }
                }
            }
        }
        Ok(if all.is_empty() {
            Outcome::Holds
        } else {
            Outcome::Differs(all)
        })
    }
}

/// Differences in a Secret's content, without what was found there.
fn hidden(mismatches: Vec<Mismatch>) -> Vec<Mismatch> {
    let holds_content = |path: &str| {
        ["data", "stringData", "cel: "]
            .iter()
            .any(|start| path.starts_with(start))
    };
    mismatches
        .into_iter()
        .map(|m| match holds_content(&m.path) {
            true => Mismatch {
                found: "another value (hidden: it is a Secret's)".to_owned(),
                ..m
            },
            false => m,
        })
        .collect()
}

fn keep_nearest(
    best: &mut Option<(String, Vec<Mismatch>, bool)>,
    object: &Object,
    mismatches: Vec<Mismatch>,
    invalid: bool,
) {
    let nearer = best
        .as_ref()
        .is_none_or(|(_, known, _)| mismatches.len() < known.len());
    if nearer {
        let differences: Vec<_> = mismatches.iter().take(3).map(ToString::to_string).collect();
        *best = Some((
            format!("{}: {}", object.reference(), differences.join("; ")),
            mismatches,
            invalid,
        ));
    }
}

fn list(objects: &[&Arc<Object>]) -> Value {
    Value::Array(objects.iter().map(|object| object.0.clone()).collect())
}

/// An object with the one fact that matters about its existence.
fn state(object: &Object) -> String {
    let reference = object.reference();
    if object.is_terminating() {
        format!("{reference} (terminating)")
    } else {
        reference.to_string()
    }
}

#[async_trait]
impl Observe for ObjectObserver {
    async fn next(&mut self) -> Result<Sighting, Trouble> {
        let look = self.watched.next().await?;
        self.assess(look)
    }

    async fn fresh(&mut self) -> Result<Sighting, Trouble> {
        let look = self.watched.fresh().await?;
        self.assess(look)
    }

    fn acted(&mut self, effects: &Arc<Effects>) {
        self.effects = Arc::clone(effects);
    }

    fn subject(&self) -> String {
        let what = if self.absent.is_some() { "absent" } else { "object" };
        format!("{what} {}", self.watched.display())
    }

    fn expected(&self) -> String {
        let mut parts = Vec::new();
        if self.absent.is_some() {
            parts.push("absent".to_owned());
        }
        if let Some(count) = &self.count {
            parts.push(format!("count {}", count.summary()));
        }
        parts.extend(self.each.iter().map(Check::summary));
        format!("{}: {}", self.watched.display(), parts.join(", "))
    }

    fn nearest(&self) -> String {
        self.nearest.clone()
    }

    async fn causes(&mut self) -> Vec<String> {
        match self.watched.found() {
            Some(found) => causes::of_target(self.watched.step(), found, &self.watched.objects(), None).await,
            None => Vec::new(),
        }
    }

    fn help(&self) -> Vec<String> {
        match self.watched.found() {
            Some(found) if self.watched.objects().is_empty() && self.absent.is_none() => {
                vec![causes::look_hint(self.watched.step(), found)]
            }
            _ => Vec::new(),
        }
    }
}
