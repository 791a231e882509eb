//! Locks between scenarios that would touch the same things.
//!
//! Invariant: locks are taken all at once and in one order, so that no two scenarios can wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use muster_scenario::Scenario;
use muster_scenario::ast::{ActionKind, NamespaceSource, Select, Step, Target};
use tokio::sync::OwnedMutexGuard;

/// The locks of a run.
#[derive(Default)]
pub(crate) struct Locks {
    known: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held locks.
pub(crate) struct Held {
    _guards: Vec<OwnedMutexGuard<()>>,
}

impl Locks {
    /// Waits for all of some locks.
    pub(crate) async fn take(&self, names: BTreeSet<String>) -> Held {
        let mut guards = Vec::new();
        for name in names {
            let lock = {
                let mut known = match self.known.lock() {
                    Ok(known) => known,
                    Err(poisoned) => poisoned.into_inner(),
                };
                Arc::clone(known.entry(name).or_default())
            };
            guards.push(lock.lock_owned().await);
        }
        Held { _guards: guards }
    }
}

/// What a scenario locks: its namespaces that others may use too, the objects that it acts on beyond them, and its
/// `locks`. A kind's scope is not known here, so an object in an own namespace is locked too, which costs nothing.
pub(crate) fn of(scenario: &Scenario) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = scenario.locks.iter().map(|lock| format!("lock {lock}")).collect();
    let mut shared = false;
    for namespace in &scenario.namespaces {
        match &namespace.source {
            NamespaceSource::Existing(name) | NamespaceSource::Create { name, .. } => {
                shared = true;
                names.insert(format!(
                    "namespace {}",
                    name.literal().map_or(name.place().text(), |n| n)
                ));
            }
            NamespaceSource::Lease { .. } => {}
        }
    }
    for target in scenario
        .steps
        .iter()
        .chain(&scenario.finally)
        .filter_map(acted_on)
    {
        // In a leased namespace only cluster-scoped objects can clash; a built-in workload is none.
        if shared || !is_namespaced_kind(&target.kind) {
            let name = match &target.select {
                Select::Name(name) => name.literal().map_or(name.place().text(), |n| n).to_owned(),
                Select::Labels(_) => "*".to_owned(),
            };
            names.insert(format!("{}/{name}", target.kind.to_lowercase()));
        }
    }
    names
}

fn acted_on(step: &Step) -> Option<&Target> {
    match &step.action.as_ref()?.kind {
        ActionKind::Patch(patch) => Some(&patch.target),
        ActionKind::Delete(delete) => Some(&delete.target),
        ActionKind::Scale(scale) => Some(&scale.target),
        ActionKind::Restart(restart) => Some(&restart.target),
        _ => None,
    }
}

fn is_namespaced_kind(kind: &str) -> bool {
    let kind = kind.split('.').next().unwrap_or_default().to_lowercase();
    let singular = kind.strip_suffix('s').unwrap_or(&kind);
    matches!(
        singular,
        "pod"
            | "po"
            | "deployment"
            | "deploy"
            | "statefulset"
            | "st"
            | "daemonset"
            | "d"
            | "replicaset"
            | "r"
            | "job"
            | "cronjob"
            | "cj"
            | "service"
            | "svc"
            | "configmap"
            | "cm"
            | "secret"
            | "persistentvolumeclaim"
            | "pvc"
            | "serviceaccount"
            | "sa"
            | "role"
            | "rolebinding"
            | "ingres"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_scenarios_with_a_common_lock_exclude_each_other() {
        let locks = Arc::new(Locks::default());
        let held = locks.take(BTreeSet::from(["a".to_owned(), "b".to_owned()])).await;
        let second = {
            let locks = Arc::clone(&locks);
            tokio::spawn(async move { locks.take(BTreeSet::from(["b".to_owned(), "c".to_owned()])).await })
        };
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(held);
        second.await.unwrap();
    }
}
