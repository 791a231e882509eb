//! Runs one scenario: requirements, namespaces, steps, evidence, `finally`, clean-up.
//!
//! Invariant: clean-up happens whatever became of the steps, a panic included; it belongs to the supervisor, not to
//! the task that runs them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_cluster::Cluster;
use muster_model::Secrets;
use muster_model::event::{
    CleanupDeed, EventKind, Failure, Phase, PlannedStep, Requests, Scope as EventScope, Verdict,
};
use muster_record::{Ledger, Recorder};
use muster_scenario::Scenario;
use muster_scenario::ast::Step;

use crate::context::{ClusterFacts, Context, Parts, StepContext};
use crate::evidence;
use crate::failure::{self, Trouble};
use crate::mark::{Floors, Mark};
use crate::namespaces;
use crate::options::{Keep, RunOptions, budget};
use crate::step::{self, Position, millis};
use crate::undo::UndoLog;

/// What a scenario is run with.
pub(crate) struct Job {
    pub(crate) cluster: Cluster,
    pub(crate) facts: ClusterFacts,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) secrets: Secrets,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) options: Arc<RunOptions>,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) index: usize,
}

/// Runs a scenario and cleans up.
pub(crate) async fn run(job: Job) -> Verdict {
    let scope = EventScope::scenario(job.index);
    let began = Instant::now();
    let scenario = Arc::clone(&job.scenario);
    job.recorder_emit(&scope, started(&scenario));
    let cluster = job.cluster.scoped();
    let undo = UndoLog::new(Arc::clone(&job.ledger), Some(job.index));
    let interrupt = job.options.interrupt.child_token();
    let ctx = Context::new(Parts {
        cluster: cluster.clone(),
        facts: job.facts.clone(),
        recorder: Arc::clone(&job.recorder),
        secrets: job.secrets.clone(),
        options: Arc::clone(&job.options),
        scenario: Arc::clone(&scenario),
        scope: scope.clone(),
        undo: Arc::clone(&undo),
        interrupt,
        forces: false,
    });
    let mut end = match requirements(&ctx).await {
        Ok(Some(reason)) => End {
            verdict: Verdict::Skipped,
            failure: None,
            reason: Some(reason),
        },
        Err(trouble) => End::of(trouble, false),
        Ok(None) => supervise(&ctx).await,
    };
    ctx.book.close();
    clean_up(&ctx, &cluster, &mut end).await;
    let verdict = end.verdict;
    job.recorder_emit(
        &scope,
        EventKind::ScenarioFinished {
            title: scenario.title.clone(),
            verdict,
            elapsed_ms: millis(began.elapsed()),
            requests: cluster.requests(),
            failure: end.failure,
            reason: end.reason,
        },
    );
    verdict
}

impl Job {
    fn recorder_emit(&self, scope: &EventScope, kind: EventKind) {
        use muster_model::Emit;
        self.recorder.emit(scope, kind);
    }
}

fn started(scenario: &Scenario) -> EventKind {
    let planned = |steps: &[Step], phase: Phase| -> Vec<PlannedStep> {
        steps
            .iter()
            .map(|step| PlannedStep {
                name: step.name.clone(),
                place: step.place.to_ref(),
                phase,
            })
            .collect()
    };
    let mut steps = planned(&scenario.steps, Phase::Steps);
    steps.extend(planned(&scenario.finally, Phase::Finally));
    EventKind::ScenarioStarted {
        title: scenario.title.clone(),
        place: scenario.place.to_ref(),
        labels: scenario.labels.clone(),
        steps,
    }
}

/// How a scenario ended so far.
struct End {
    verdict: Verdict,
    /// A failure that belongs to no step.
    failure: Option<Box<Failure>>,
    reason: Option<String>,
}

impl End {
    fn passed() -> Self {
        Self {
            verdict: Verdict::Passed,
            failure: None,
            reason: None,
        }
    }

    /// `told`: a step has told the failure already.
    fn of(trouble: Trouble, told: bool) -> Self {
        let verdict = match &trouble {
            Trouble::Failed(_) => Verdict::Failed,
            Trouble::Environment(_) => Verdict::Error,
            Trouble::Interrupted => Verdict::Interrupted,
        };
        Self {
            verdict,
            failure: if told { None } else { trouble.into_failure() },
            reason: None,
        }
    }
}

/// `Some(reason)`: the cluster lacks what the scenario requires.
async fn requirements(ctx: &Context) -> Result<Option<String>, Trouble> {
    for (crd, place) in &ctx.scenario.requires.crds {
        match ctx.cluster.resolve(crd, None).await {
            Ok(_) => {}
            Err(error) if crate::target::is_unknown(&error) => {
                return Ok(Some(format!(
                    "requires the CRD {crd}, which cluster {} does not have",
                    ctx.options.cluster_name
                )));
            }
            Err(error) => return Err(Trouble::Environment(failure::at(error.to_string(), place))),
        }
    }
    Ok(None)
}

/// Runs the body in a task of its own, so that a panic ends it and nothing else.
async fn supervise(ctx: &Arc<Context>) -> End {
    let body = tokio::spawn({
        let ctx = Arc::clone(ctx);
        async move { body(&ctx).await }
    });
    match body.await {
        Ok(end) => end,
        Err(error) => {
            let what = if error.is_panic() {
                panic_text(error.into_panic())
            } else {
                error.to_string()
            };
            let failure = failure::at(format!("muster itself failed: {what}"), &ctx.scenario.place);
            End {
                verdict: Verdict::Error,
                failure: Some(failure),
                reason: None,
            }
        }
    }
}

fn panic_text(payload: Box<dyn std::any::Any + Send>) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

async fn body(ctx: &Arc<Context>) -> End {
    let set_up = tokio::select! {
        set_up = namespaces::set_up(ctx) => set_up,
        () = ctx.interrupted() => Err(Trouble::Interrupted),
    };
    if let Err(trouble) = set_up {
        return End::of(trouble, false);
    }
    let limit = ctx.scenario.timeout.unwrap_or(ctx.options.defaults.scenario);
    let deadline = Instant::now() + limit;
    begin_tracks(ctx, deadline).await;
    let end = steps(ctx, &ctx.scenario.steps, 0, Phase::Steps, deadline, None).await;
    let mut end = match end {
        Ok(()) => End::passed(),
        Err(trouble) => End::of(trouble, true),
    };
    if end.verdict != Verdict::Passed {
        evidence::take(ctx).await;
    }
    if !ctx.scenario.finally.is_empty() {
        // `finally` runs also after a signal: no signal reaches it.
        ctx.shield();
        let deadline = Instant::now() + budget::FINALLY.max(longest(&ctx.scenario.finally, ctx));
        let first = ctx.scenario.steps.len();
        if let Err(trouble) = steps(ctx, &ctx.scenario.finally, first, Phase::Finally, deadline, None).await
            && end.verdict == Verdict::Passed
        {
            end = End::of(trouble, true);
            evidence::take(ctx).await;
        }
    }
    end
}

/// The time that the steps of `finally` ask for themselves.
fn longest(finally: &[Step], ctx: &Context) -> Duration {
    let names = ctx.names(&ctx.default_namespace());
    finally
        .iter()
        .filter_map(|step| step.timeout.as_ref()?.eval(&names).ok())
        .sum()
}

/// Begins to follow what the scenario's `log` and `crash` expectations are about, as far as it is known yet.
async fn begin_tracks(ctx: &Arc<Context>, deadline: Instant) {
    for step in &ctx.scenario.steps {
        let mut context = StepContext {
            ctx: Arc::clone(ctx),
            cluster: ctx.cluster.clone(),
            scope: ctx.scope.clone(),
            namespace: ctx.default_namespace(),
            deadline,
            mark: Mark::now(Floors::default()),
        };
        if let Ok(namespace) = context.namespace_of(step.namespace.as_ref()) {
            context.namespace = namespace;
            // What fails here is told when its step's turn comes.
            let _ = crate::book::tracks_of(&context, step).await;
        }
    }
}

async fn steps(
    ctx: &Arc<Context>,
    steps: &[Step],
    first: usize,
    phase: Phase,
    deadline: Instant,
    mut mark: Option<Mark>,
) -> Result<(), Trouble> {
    let mut failed = None;
    for (offset, step) in steps.iter().enumerate() {
        let index = first + offset;
        if failed.is_some() && phase == Phase::Steps {
            skip(ctx, step, index, phase);
            continue;
        }
        let position = Position {
            index,
            phase,
            following: &steps[offset..],
            inherited: mark.as_ref(),
            deadline,
        };
        let (taken, result) = step::run(ctx, step, &position).await;
        mark = Some(taken);
        if let Err(trouble) = result {
            // Each step of `finally` is tried.
            failed.get_or_insert(trouble);
        }
    }
    failed.map_or(Ok(()), Err)
}

fn skip(ctx: &Context, step: &Step, index: usize, phase: Phase) {
    let scope = ctx.scope.step(index);
    ctx.recorder_emit(
        &scope,
        EventKind::StepStarted {
            name: step.name.clone(),
            place: step.place.to_ref(),
            phase,
        },
    );
    ctx.recorder_emit(
        &scope,
        EventKind::StepFinished {
            verdict: Verdict::Skipped,
            elapsed_ms: 0,
            requests: Requests::default(),
            failure: None,
            reason: Some("an earlier step failed".to_owned()),
        },
    );
}

/// Undoes what the scenario did, unless it shall stay.
async fn clean_up(ctx: &Context, cluster: &Cluster, end: &mut End) {
    let bad = !matches!(end.verdict, Verdict::Passed | Verdict::Skipped);
    let keep = match ctx.options.keep {
        Keep::Never => false,
        Keep::OnFailure => bad,
        Keep::Always => true,
    };
    if keep {
        for object in ctx.undo.pending() {
            ctx.emit(EventKind::CleanedUp {
                object,
                deed: CleanupDeed::Kept,
                note: String::new(),
            });
        }
        return;
    }
    let results = ctx.undo.undo_all(cluster, budget::CLEANUP).await;
    let mut failed = BTreeSet::new();
    for result in results {
        match result {
            Ok(undone) => ctx.emit(undone.into_event()),
            Err(undo) => {
                failed.insert(format!("{}: {}", undo.reference.with_namespace(), undo.message));
                ctx.emit(undo.into_event());
            }
        }
    }
    if !failed.is_empty() && end.verdict == Verdict::Passed {
        let mut failure = failure::at("clean-up failed, though all steps passed", &ctx.scenario.place);
        failure.causes = failed.into_iter().collect();
        failure
            .help
            .push(format!("`muster clean --run {}` tries again", ctx.options.run_id));
        end.verdict = Verdict::Failed;
        end.failure = Some(failure);
    }
}
