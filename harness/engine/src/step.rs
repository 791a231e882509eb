//! Runs one step: mark, action, expectations.
//!
//! Invariant: the mark is taken before the action's request is sent, and each expectation is checked in the order
//! written; what was true before the action is said to be so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_model::event::{EventKind, Failure, Phase, Scope as EventScope, Verdict};
use muster_scenario::ast::{Expectation, Fails, Step, Subject};

use crate::book;
use crate::context::{Context, StepContext};
use crate::expect;
use crate::failure::{self, ActionError, Trouble};
use crate::mark::{Effects, Mark};
use crate::steps::{self, fails};
use crate::wait::{Answer, FOREVER, Observe, Passed, Times, wait};

/// Where a step stands in its scenario.
pub(crate) struct Position<'a> {
    /// Counted through `steps` and then `finally`.
    pub(crate) index: usize,
    /// Which list it is in.
    pub(crate) phase: Phase,
    /// The step and those after it: their expectations may look back to this step's mark.
    pub(crate) following: &'a [Step],
    /// The mark of the step before.
    pub(crate) inherited: Option<&'a Mark>,
    /// No step ends later.
    pub(crate) deadline: Instant,
}

/// An observer from before the action, with what it saw then.
struct Early {
    observer: Option<Box<dyn Observe>>,
    held: bool,
}

/// Runs a step. The mark is given back also when it failed.
pub(crate) async fn run(
    ctx: &Arc<Context>,
    step: &Step,
    position: &Position<'_>,
) -> (Mark, Result<(), Trouble>) {
    let scope = ctx.scope.step(position.index);
    let began = Instant::now();
    ctx.recorder_emit(
        &scope,
        EventKind::StepStarted {
            name: step.name.clone(),
            place: step.place.to_ref(),
            phase: position.phase,
        },
    );
    let cluster = ctx.cluster.scoped();
    let mut runner = Runner {
        ctx,
        step,
        position,
        scope: scope.clone(),
        cluster: cluster.clone(),
        mark: None,
    };
    let result = runner.run(began).await;
    let elapsed_ms = millis(began.elapsed());
    let (verdict, failure, reason) = match &result {
        Ok(Some(reason)) => (Verdict::Skipped, None, Some(reason.clone())),
        Ok(None) => (Verdict::Passed, None, None),
        Err(Trouble::Failed(failure)) => (Verdict::Failed, Some(failure.clone()), None),
        Err(Trouble::Environment(failure)) => (Verdict::Error, Some(failure.clone()), None),
        Err(Trouble::Interrupted) => (Verdict::Interrupted, None, None),
    };
    ctx.recorder_emit(
        &scope,
        EventKind::StepFinished {
            verdict,
            elapsed_ms,
            requests: cluster.requests(),
            failure,
            reason,
        },
    );
    let mark = runner
        .mark
        .or_else(|| position.inherited.cloned())
        .unwrap_or_else(|| Mark::now(crate::mark::Floors::default()));
    (mark, result.map(|_| ()))
}

struct Runner<'a> {
    ctx: &'a Arc<Context>,
    step: &'a Step,
    position: &'a Position<'a>,
    scope: EventScope,
    cluster: muster_cluster::Cluster,
    mark: Option<Mark>,
}

impl Runner<'_> {
    /// `Some(reason)`: the step was skipped.
    async fn run(&mut self, began: Instant) -> Result<Option<String>, Trouble> {
        let (ctx, step) = (self.ctx, self.step);
        let default = ctx.default_namespace();
        if let Some(when) = &step.when {
            let truth = when
                .eval_bool(&ctx.names(&default))
                .map_err(|error| Trouble::from_eval(&error))?;
            if !truth.value {
                return Ok(Some(format!("`when: {}` is false", when.source())));
            }
        }
        let mut context = StepContext {
            ctx: Arc::clone(ctx),
            cluster: self.cluster.clone(),
            scope: self.scope.clone(),
            namespace: default,
            deadline: self.position.deadline,
            mark: self
                .position
                .inherited
                .cloned()
                .unwrap_or_else(|| Mark::now(crate::mark::Floors::default())),
        };
        context.namespace = context.namespace_of(step.namespace.as_ref())?;
        let limit = context
            .optional(step.timeout.as_ref())?
            .unwrap_or(ctx.options.defaults.step);
        context.deadline = context.deadline.min(began + limit);
        let nothing = Arc::new(Effects::default());
        let before = Arc::new(context.clone());
        let early = self.look_before(&before, &nothing).await;
        if step.action.is_some() {
            // A kept connection may lead to a pod that the action replaces.
            ctx.connections.forget_all().await;
        }
        // The mark is the last thing before the action.
        let mark = tokio::select! {
            mark = self.take_mark(&context) => mark?,
            () = ctx.interrupted() => return Err(Trouble::Interrupted),
            () = tokio::time::sleep_until(context.deadline.into()) => {
                return Err(Trouble::failed("the step's time was used up before its action", &step.place));
            }
        };
        context.mark = mark.clone();
        self.mark = Some(mark);
        let context = Arc::new(context);
        let effects = match &step.action {
            Some(_) => Arc::new(self.act(&context).await?),
            None => nothing,
        };
        self.save_result(&context, &effects)?;
        self.expect_all(&context, &effects, early).await?;
        Ok(None)
    }

    /// A step with an action takes a mark; one without inherits the last.
    async fn take_mark(&self, context: &StepContext) -> Result<Mark, Trouble> {
        let looking_back: Vec<&Step> = self
            .position
            .following
            .iter()
            .enumerate()
            .take_while(|(n, step)| *n == 0 || step.action.is_none())
            .map(|(_, step)| step)
            .collect();
        let mut tracks = Vec::new();
        for step in looking_back {
            tracks.extend(book::tracks_of(context, step).await?);
        }
        match (&self.step.action, self.position.inherited) {
            (None, Some(mark)) => Ok(mark.clone()),
            _ => {
                let floors = book::floors(&context.cluster, &tracks)
                    .await
                    .map_err(|error| Trouble::from_api(&error, &self.step.place))?;
                Ok(Mark::now(floors))
            }
        }
    }

    /// Observes, before the action, what may hold already.
    async fn look_before(&self, context: &Arc<StepContext>, effects: &Arc<Effects>) -> Vec<Early> {
        let looks = self.step.expect.iter().map(|expectation| async {
            let nothing = Early {
                observer: None,
                held: false,
            };
            if self.step.action.is_none() && !expectation.edge || !expect::has_before(expectation) {
                return nothing;
            }
            // What depends on a value that is saved in this step has no before.
            let Ok(mut observer) = expect::observer(context, expectation, effects) else {
                return nothing;
            };
            match tokio::time::timeout(Duration::from_secs(5), observer.next()).await {
                // What could not be observed was not seen false either.
                Ok(Ok(sighting)) if !matches!(sighting.answer, Answer::Unknown(_)) => {
                    let held = matches!(sighting.answer, Answer::Holds { .. });
                    Early {
                        observer: expectation.edge.then_some(observer),
                        held,
                    }
                }
                _ => nothing,
            }
        });
        futures::future::join_all(looks).await
    }

    async fn act(&self, context: &StepContext) -> Result<Effects, Trouble> {
        let Some(action) = &self.step.action else {
            return Ok(Effects::default());
        };
        let began = Instant::now();
        context.emit(EventKind::ActionStarted {
            summary: steps::summary(action),
        });
        let result = tokio::select! {
            result = steps::act(context, action) => result,
            // A request that is cut off is in the ledger: clean-up finds out what became of it.
            () = context.ctx.interrupted() => Err(Trouble::Interrupted.into()),
            () = tokio::time::sleep_until((context.deadline + Duration::from_secs(2)).into()) => {
                Err(Trouble::failed(
                    format!("`{}` did not return within the step's time", steps::summary(action)),
                    &action.place,
                ).into())
            }
        };
        let ended = match (&self.step.fails, result) {
            (None, Ok(effects)) => {
                let summary = effects.summary.clone();
                Ok((effects, summary))
            }
            (None, Err(error)) => Err(error.trouble),
            (Some(wanted), Ok(effects)) => Err(succeeded(wanted, &effects)),
            (Some(wanted), Err(error)) => failed_as_wanted(context, wanted, error),
        };
        let (effects, summary) = match ended {
            Ok(ended) => ended,
            Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
            Err(trouble) => {
                // A failure is an answer too.
                context.emit(EventKind::ActionFinished {
                    summary: steps::summary(action),
                    elapsed_ms: millis(began.elapsed()),
                });
                return Err(trouble);
            }
        };
        context.emit(EventKind::ActionFinished {
            summary,
            elapsed_ms: millis(began.elapsed()),
        });
        Ok(effects)
    }

    fn save_result(&self, context: &StepContext, effects: &Effects) -> Result<(), Trouble> {
        for save in &self.step.save {
            let scope = context.names().with_self(effects.result.clone());
            let value = save
                .program
                .eval(&scope)
                .map_err(|error| Trouble::from_eval(&error))?;
            self.ctx.save(&save.name, value);
        }
        Ok(())
    }

    /// In the order written; neighbouring `for` and `never` open together.
    async fn expect_all(
        &self,
        context: &Arc<StepContext>,
        effects: &Arc<Effects>,
        early: Vec<Early>,
    ) -> Result<(), Trouble> {
        let mut queue: Vec<(usize, &Expectation, Early)> = self
            .step
            .expect
            .iter()
            .zip(early)
            .enumerate()
            .map(|(index, (expectation, early))| (index, expectation, early))
            .rev()
            .collect();
        while let Some(first) = queue.pop() {
            let lasting =
                |expectation: &Expectation| expectation.hold.is_some() || expectation.never.is_some();
            let mut group = vec![first];
            if lasting(group[0].1) {
                while queue.last().is_some_and(|(_, next, _)| lasting(next)) {
                    group.extend(queue.pop());
                }
            }
            let results = futures::future::join_all(group.into_iter().map(|(index, expectation, early)| {
                check(context, effects, self.scope.expect(index), expectation, early)
            }))
            .await;
            let first_failure = results.into_iter().find_map(Result::err);
            if let Some(trouble) = first_failure {
                for (index, expectation, _) in queue.iter().rev() {
                    self.ctx.recorder_emit(
                        &self.scope.expect(*index),
                        EventKind::ExpectationFinished {
                            subject: subject_of(expectation),
                            verdict: Verdict::Skipped,
                            held_before: false,
                            elapsed_ms: 0,
                            seen: String::new(),
                            failure: None,
                        },
                    );
                }
                return Err(trouble);
            }
        }
        Ok(())
    }
}

/// Checks one expectation and records its end.
async fn check(
    context: &Arc<StepContext>,
    effects: &Arc<Effects>,
    scope: EventScope,
    expectation: &Expectation,
    early: Early,
) -> Result<(), Trouble> {
    let began = Instant::now();
    let held = early.held;
    let mut subject = subject_of(expectation);
    let result = observe(context, effects, &scope, expectation, early, &mut subject).await;
    let (verdict, seen, failure) = match &result {
        Ok(Some(passed)) => (Verdict::Passed, passed.seen.clone(), None),
        Ok(None) => (Verdict::Skipped, String::new(), None),
        Err(Trouble::Failed(failure)) => (Verdict::Failed, String::new(), Some(failure.clone())),
        Err(Trouble::Environment(failure)) => (Verdict::Error, String::new(), Some(failure.clone())),
        Err(Trouble::Interrupted) => (Verdict::Interrupted, String::new(), None),
    };
    context.ctx.recorder_emit(
        &scope,
        EventKind::ExpectationFinished {
            subject,
            verdict,
            // What had to become true again proves something.
            held_before: held && matches!(&result, Ok(Some(passed)) if passed.at_once),
            elapsed_ms: millis(began.elapsed()),
            seen,
            failure,
        },
    );
    result.map(|_| ())
}

/// `None`: `when` is false.
async fn observe(
    context: &Arc<StepContext>,
    effects: &Arc<Effects>,
    scope: &EventScope,
    expectation: &Expectation,
    early: Early,
    subject: &mut String,
) -> Result<Option<Passed>, Trouble> {
    if let Some(when) = &expectation.when {
        let truth = when
            .eval_bool(&context.names())
            .map_err(|error| Trouble::from_eval(&error))?;
        if !truth.value {
            return Ok(None);
        }
    }
    let times = Times {
        within: context
            .optional(expectation.within.as_ref())?
            .unwrap_or(context.ctx.options.defaults.within),
        hold: context.optional(expectation.hold.as_ref())?,
        never: context.optional(expectation.never.as_ref())?,
        // What was seen false before the action needs no other proof; where a `revert` had nothing to put back, nothing
        // becomes false.
        edge: expectation.edge && (early.observer.is_none() || early.held) && !effects.idle,
    };
    let mut observer = match early.observer {
        Some(mut observer) => {
            observer.acted(effects);
            observer
        }
        None => expect::observer(context, expectation, effects)?,
    };
    let passed = match &expectation.fails_on {
        None => {
            wait(
                context,
                scope.clone(),
                &expectation.place,
                observer.as_mut(),
                times,
            )
            .await
        }
        Some(fatal) => {
            let mut watcher = expect::observer(context, fatal, effects)?;
            let forever = Times {
                within: FOREVER,
                hold: None,
                never: None,
                edge: false,
            };
            let fatal_end = async {
                match wait(context, scope.clone(), &fatal.place, watcher.as_mut(), forever).await {
                    Ok(seen) => Trouble::failed(
                        format!("gave up waiting since `fails_on` came true: {}", seen.seen),
                        &fatal.place,
                    ),
                    // That it can't come true, or can't be observed, ends nothing.
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                trouble = fatal_end => Err(trouble),
                passed = wait(context, scope.clone(), &expectation.place, observer.as_mut(), times) => passed,
            }
        }
    };
    *subject = observer.subject();
    let passed = passed?;
    for save in &expectation.save {
        let names = context.names().with_self(passed.value.clone());
        let value = save
            .program
            .eval(&names)
            .map_err(|error| Trouble::from_eval(&error))?;
        context.ctx.save(&save.name, value);
    }
    Ok(Some(passed))
}

fn failed_as_wanted(
    context: &StepContext,
    wanted: &Fails,
    error: ActionError,
) -> Result<(Effects, String), Trouble> {
    if let Trouble::Interrupted = error.trouble {
        return Err(error.trouble);
    }
    let mismatches = fails::compare(context, wanted, &error.facts)?;
    // That the cluster could not be asked is nobody's wanted failure, unless its answer was.
    if matches!(error.trouble, Trouble::Environment(_))
        && (error.facts.status.is_none() || !mismatches.is_empty())
    {
        return Err(error.trouble);
    }
    let message = error
        .trouble
        .failure()
        .map(|failure| failure.message.clone())
        .unwrap_or_default();
    if mismatches.is_empty() {
        return Ok((Effects::default(), format!("failed as expected: {message}")));
    }
    let mut failure = failure::at("the action failed, but not as expected", &wanted.place);
    failure.mismatches = mismatches;
    failure.nearest = message;
    Err(Trouble::Failed(failure))
}

fn succeeded(wanted: &Fails, effects: &Effects) -> Trouble {
    let failure: Box<Failure> = failure::at(
        format!("the action must fail, and it succeeded: {}", effects.summary),
        &wanted.place,
    );
    Trouble::Failed(failure)
}

fn subject_of(expectation: &Expectation) -> String {
    let (word, target) = match &expectation.subject {
        Subject::Object(subject) => ("object", expect::describe(&subject.target)),
        Subject::Ready(subject) => ("ready", expect::describe(&subject.target)),
        Subject::Crash(subject) => ("crash", expect::describe(&subject.target)),
        Subject::Log(subject) => ("log", expect::describe(&subject.target)),
        Subject::Sql(subject) => ("sql", format!("on {}", subject.on)),
    };
    match &expectation.name {
        Some(name) => format!("{word} {target} ({name})"),
        None => format!("{word} {target}"),
    }
}

/// Milliseconds as events carry them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
