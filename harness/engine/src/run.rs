//! Runs a plan: prepares the cluster, then scenarios side by side.
//!
//! Invariant: every scenario of the plan ends in exactly one verdict, and the exit code follows from the verdicts alone.

use std::sync::Arc;
use std::time::Instant;

use muster_cluster::{Cluster, Selector};
use muster_model::event::{EventKind, Failure, Scope as EventScope, Verdict};
use muster_model::{Emit, Secrets};
use muster_record::{Ledger, Recorder};
use muster_scenario::Scenario;
use muster_scenario::config::Prepare;
use tokio::sync::Semaphore;

use crate::context::ClusterFacts;
use crate::failure::Trouble;
use crate::locks::{self, Locks};
use crate::options::RunOptions;
use crate::prepare;
use crate::scenario::{self, Job};
use crate::step::millis;

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunOutcome {
    /// Scenarios passed.
    pub passed: usize,
    /// Scenarios failed.
    pub failed: usize,
    /// Scenarios skipped.
    pub skipped: usize,
    /// Scenarios that ended by an error of the environment.
    pub errors: usize,
    /// Whether a signal stopped the run.
    pub interrupted: bool,
}

impl RunOutcome {
    /// The documented exit code: 130 interrupted, 1 a scenario failed, 3 the environment failed, 4 nothing ran, 0 all
    /// passed.
    pub fn exit_code(&self) -> u8 {
        if self.interrupted {
            130
        } else if self.failed > 0 {
            1
        } else if self.errors > 0 {
            3
        } else if self.passed == 0 {
            4
        } else {
            0
        }
    }

    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Skipped => self.skipped += 1,
            Verdict::Error => self.errors += 1,
            Verdict::Interrupted => {
                self.errors += 1;
                self.interrupted = true;
            }
        }
    }
}

/// What a run is made of.
pub struct Plan {
    /// The scenarios, in order.
    pub scenarios: Vec<Arc<Scenario>>,
    /// What the cluster must have before.
    pub prepare: Vec<Prepare>,
    /// The folder that `prepare`'s paths are relative to.
    pub prepare_folder: std::path::PathBuf,
}

/// Runs a plan on a cluster. The recorder has had no event yet.
pub async fn run(
    plan: Plan,
    cluster: Cluster,
    recorder: Arc<Recorder>,
    secrets: Secrets,
    ledger: Arc<Ledger>,
    options: RunOptions,
) -> RunOutcome {
    let began = Instant::now();
    let run = EventScope::run();
    let options = Arc::new(options);
    let noted = Arc::clone(&recorder);
    let cluster = cluster.on_notice(move |notice| {
        noted.emit(
            &EventScope::run(),
            EventKind::Noted {
                message: notice.to_string(),
                place: None,
            },
        );
    });
    let facts = facts(&cluster).await;
    recorder.emit(
        &run,
        EventKind::ClusterConnected {
            name: options.cluster_name.clone(),
            server: cluster.server().to_owned(),
            version: facts.version.clone(),
            nodes: facts.nodes,
        },
    );
    let mut outcome = RunOutcome::default();
    let mut failure = None;
    let prepared = prepare::prepare(&plan, &cluster, &facts, &recorder, &secrets, &ledger, &options).await;
    match prepared {
        Ok(()) => {
            let verdicts = run_all(&plan, &cluster, &facts, &recorder, &secrets, &ledger, &options).await;
            verdicts.into_iter().for_each(|verdict| outcome.count(verdict));
        }
        Err(trouble) => {
            outcome.errors = plan.scenarios.len();
            outcome.interrupted = matches!(trouble, Trouble::Interrupted);
            failure = trouble.into_failure();
        }
    }
    outcome.interrupted |= options.interrupt.is_cancelled();
    finish(&recorder, &outcome, began, failure);
    outcome
}

fn finish(recorder: &Recorder, outcome: &RunOutcome, began: Instant, failure: Option<Box<Failure>>) {
    recorder.emit(
        &EventScope::run(),
        EventKind::RunFinished {
            exit_code: outcome.exit_code(),
            passed: outcome.passed,
            failed: outcome.failed,
            skipped: outcome.skipped,
            errors: outcome.errors,
            elapsed_ms: millis(began.elapsed()),
            failure,
        },
    );
}

async fn facts(cluster: &Cluster) -> ClusterFacts {
    let nodes = match cluster.resolve("nodes", Some("v1")).await {
        Ok(kind) => cluster
            .list(&kind, None, &Selector::all())
            .await
            .map_or(0, |listing| listing.objects.len()),
        Err(_) => 0,
    };
    let openshift = cluster
        .resolve("clusterversions.config.openshift.io", None)
        .await
        .is_ok();
    ClusterFacts {
        version: cluster.version().to_owned(),
        platform: if openshift { "openshift" } else { "kubernetes" },
        nodes,
    }
}

async fn run_all(
    plan: &Plan,
    cluster: &Cluster,
    facts: &ClusterFacts,
    recorder: &Arc<Recorder>,
    secrets: &Secrets,
    ledger: &Arc<Ledger>,
    options: &Arc<RunOptions>,
) -> Vec<Verdict> {
    let slots = Arc::new(Semaphore::new(options.parallel.max(1)));
    let locks = Arc::new(Locks::default());
    let mut tasks = Vec::new();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let job = Job {
            cluster: cluster.clone(),
            facts: facts.clone(),
            recorder: Arc::clone(recorder),
            secrets: secrets.clone(),
            ledger: Arc::clone(ledger),
            options: Arc::clone(options),
            scenario: Arc::clone(scenario),
            index,
        };
        let (slots, locks) = (Arc::clone(&slots), Arc::clone(&locks));
        tasks.push(tokio::spawn(async move {
            // Locks first: who waits for another scenario shall not hold a slot.
            let _held = locks.take(locks::of(&job.scenario)).await;
            let _slot = slots.acquire().await;
            if job.options.interrupt.is_cancelled() {
                return Verdict::Interrupted;
            }
            scenario::run(job).await
        }));
    }
    let mut verdicts = Vec::new();
    for task in tasks {
        verdicts.push(task.await.unwrap_or(Verdict::Error));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_proved_nothing_does_not_pass() {
        assert_eq!(
            RunOutcome {
                skipped: 2,
                ..RunOutcome::default()
            }
            .exit_code(),
            4
        );
        assert_eq!(
            RunOutcome {
                passed: 1,
                skipped: 2,
                ..RunOutcome::default()
            }
            .exit_code(),
            0
        );
    }

    #[test]
    fn a_failed_scenario_outweighs_a_failed_environment_and_a_signal_outweighs_both() {
        let both = RunOutcome {
            failed: 1,
            errors: 1,
            passed: 3,
            ..RunOutcome::default()
        };
        assert_eq!(both.exit_code(), 1);
        assert_eq!(
            RunOutcome {
                errors: 1,
                passed: 3,
                ..RunOutcome::default()
            }
            .exit_code(),
            3
        );
        assert_eq!(
            RunOutcome {
                interrupted: true,
                ..both
            }
            .exit_code(),
            130
        );
    }
}
