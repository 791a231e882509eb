//! `prepare` of muster.yaml: what a cluster must have before scenarios run.
//!
//! Invariant: it is applied and awaited before any scenario, and left in place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_cluster::Cluster;
use muster_model::event::{EventKind, Scope as EventScope};
use muster_model::{Emit, Secrets};
use muster_record::{Ledger, Recorder};
use muster_scenario::Scenario;
use muster_scenario::ast::{Action, ActionKind, Apply, Namespace, NamespaceSource, Requires, Revert, Step};
use muster_scenario::config::Prepare;
use muster_scenario::expr::Templated;

use crate::context::{ClusterFacts, Context, Parts, StepContext};
use crate::expect;
use crate::failure::Trouble;
use crate::mark::{Effects, Floors, Mark};
use crate::options::RunOptions;
use crate::run::Plan;
use crate::step::millis;
use crate::steps;
use crate::undo::UndoLog;
use crate::wait::{Times, wait};

/// How long an awaited expectation may take where it says nothing.
const WITHIN: Duration = Duration::from_secs(180);
/// How long one item may take.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Applies and awaits everything.
pub(crate) async fn prepare(
    plan: &Plan,
    cluster: &Cluster,
    facts: &ClusterFacts,
    recorder: &Arc<Recorder>,
    secrets: &Secrets,
    ledger: &Arc<Ledger>,
    options: &Arc<RunOptions>,
) -> Result<(), Trouble> {
    for item in &plan.prepare {
        let began = Instant::now();
        let step = as_step(item);
        let ctx = Context::new(Parts {
            cluster: cluster.clone(),
            facts: facts.clone(),
            recorder: Arc::clone(recorder),
            secrets: secrets.clone(),
            options: Arc::clone(options),
            scenario: Arc::new(as_scenario(item, plan)),
            scope: EventScope::run(),
            undo: UndoLog::new(Arc::clone(ledger), None),
            interrupt: options.interrupt.clone(),
            forces: true,
        });
        let result = run(&ctx, &step).await;
        ctx.book.close();
        result?;
        let files: Vec<_> = item.files.iter().map(|(file, _)| file.as_str()).collect();
        recorder.emit(
            &EventScope::run(),
            EventKind::Prepared {
                what: files.join(", "),
                elapsed_ms: millis(began.elapsed()),
            },
        );
    }
    Ok(())
}

async fn run(ctx: &Arc<Context>, step: &Step) -> Result<(), Trouble> {
    for name in namespaces_of(step) {
        ctx.add_namespace(&name, &name, false);
    }
    let context = Arc::new(StepContext {
        ctx: Arc::clone(ctx),
        cluster: ctx.cluster.clone(),
        scope: ctx.scope.clone(),
        namespace: ctx.default_namespace(),
        deadline: Instant::now() + LIMIT,
        mark: Mark::now(Floors::default()),
    });
    let effects = match &step.action {
        Some(action) => steps::act(&context, action)
            .await
            .map_err(|error| error.trouble)?,
        None => Effects::default(),
    };
    let effects = Arc::new(effects);
    for expectation in &step.expect {
        let times = Times {
            within: context.optional(expectation.within.as_ref())?.unwrap_or(WITHIN),
            hold: context.optional(expectation.hold.as_ref())?,
            never: None,
            edge: false,
        };
        let mut observer = expect::observer(&context, expectation, &effects)?;
        wait(
            &context,
            ctx.scope.clone(),
            &expectation.place,
            observer.as_mut(),
            times,
        )
        .await?;
    }
    Ok(())
}

/// The namespaces that the awaited expectations name: any that exists may be named.
fn namespaces_of(step: &Step) -> Vec<String> {
    let mut names: Vec<String> = step
        .expect
        .iter()
        .filter_map(|expectation| expectation.namespace.as_ref()?.literal().cloned())
        .collect();
    names.dedup();
    names
}

fn as_step(item: &Prepare) -> Step {
    let place = item.place.clone();
    let action = (!item.files.is_empty()).then(|| Action {
        place: place.clone(),
        kind: ActionKind::Apply(Apply {
            files: item
                .files
                .iter()
                .map(|(file, place)| Templated::Lit(file.clone(), place.clone()))
                .collect(),
            objects: Vec::new(),
            with: None,
            inputs: Vec::new(),
            revert: Revert::No {
                because: "what a cluster is prepared with stays".to_owned(),
            },
        }),
    });
    Step {
        name: "prepare".to_owned(),
        place,
        action,
        expect: item.awaited.clone(),
        fails: None,
        save: Vec::new(),
        when: None,
        timeout: None,
        namespace: None,
    }
}

fn as_scenario(item: &Prepare, plan: &Plan) -> Scenario {
    Scenario {
        title: "prepare".to_owned(),
        place: item.place.clone(),
        folder: plan.prepare_folder.clone(),
        labels: Default::default(),
        requires: Requires::default(),
        timeout: None,
        timeout_place: None,
        namespaces: vec![Namespace {
            alias: "default".to_owned(),
            place: item.place.clone(),
            source: NamespaceSource::Existing(Templated::Lit("default".to_owned(), item.place.clone())),
        }],
        vars: Vec::new(),
        connections: Vec::new(),
        locks: Vec::new(),
        steps: Vec::new(),
        finally: Vec::new(),
    }
}
