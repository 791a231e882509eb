//! Locks between scenarios that would touch the same things.
//!
//! Invariant: locks are taken all at once and in one order, so that no two scenarios can wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use muster_scenario::Scenario;
use muster_scenario::ast::{ActionKind, Apply, NamespaceSource, Select};
use muster_scenario::expr::{Scope, Templated, Tree};
use muster_scenario::manifest;
use serde_json::Value;
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
/// `locks`. The scope of a kind that Kubernetes doesn't bring is not known here: its objects are locked too.
pub(crate) fn of(scenario: &Scenario) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = scenario.locks.iter().map(|lock| format!("lock {lock}")).collect();
    let mut shared = false;
    for namespace in &scenario.namespaces {
        match &namespace.source {
            NamespaceSource::Existing(name) | NamespaceSource::Create { name, .. } => {
                shared = true;
                names.insert(object_lock("namespace", text_of(name)));
            }
            NamespaceSource::Lease { .. } => {}
        }
    }
    for step in scenario.steps.iter().chain(&scenario.finally) {
        let Some(action) = &step.action else { continue };
        for (kind, name) in acted_on(&action.kind, scenario) {
            // In a leased namespace only cluster-scoped objects can clash; a built-in workload is none.
            if shared || !is_namespaced(&kind) {
                names.insert(object_lock(&kind, &name));
            }
        }
    }
    names
}

fn object_lock(kind: &str, name: &str) -> String {
    format!("{}/{name}", canonical(kind))
}

/// A templated name as it is written: the same words in two scenarios are taken for the same name.
fn text_of(name: &Templated<String>) -> &str {
    name.literal().map_or(name.place().text(), |name| name)
}

/// The kinds and names that an action writes.
fn acted_on(action: &ActionKind, scenario: &Scenario) -> Vec<(String, String)> {
    let target = match action {
        ActionKind::Patch(patch) => &patch.target,
        ActionKind::Delete(delete) => &delete.target,
        ActionKind::Scale(scale) => &scale.target,
        ActionKind::Restart(restart) => &restart.target,
        ActionKind::Apply(apply) => return applied(apply, scenario),
        _ => return Vec::new(),
    };
    let name = match &target.select {
        Select::Name(name) => text_of(name),
        Select::Labels(_) => "*",
    };
    vec![(target.kind.clone(), name.to_owned())]
}

/// The objects of an `apply`, and the namespaces that they name. Files that can't be read are the step's to report.
fn applied(apply: &Apply, scenario: &Scenario) -> Vec<(String, String)> {
    let mut inputs = Scope::default();
    if let Some(with) = apply.with.as_ref().and_then(Tree::literal) {
        inputs.set("inputs", with);
    }
    let files: Vec<_> = apply
        .files
        .iter()
        .filter_map(|file| Some((file.literal()?.clone(), file.place().clone())))
        .collect();
    let loaded = manifest::load(&files, &scenario.folder, apply.with.is_some()).unwrap_or_default();
    let mut objects = Vec::new();
    for tree in loaded.iter().map(|manifest| &manifest.tree).chain(&apply.objects) {
        let value = |tree: Option<Tree>| -> Option<String> {
            let tree = tree?;
            let value = tree.eval(&inputs).ok();
            let text = value.as_ref().and_then(Value::as_str);
            Some(text.map_or(tree.place().text(), |text| text).to_owned())
        };
        let metadata = tree.get("metadata");
        let of_metadata = |key: &str| value(metadata.as_ref().and_then(|metadata| metadata.get(key)));
        if let (Some(kind), Some(name)) = (value(tree.get("kind")), of_metadata("name")) {
            objects.push((kind, name));
        }
        if let Some(namespace) = of_metadata("namespace") {
            objects.push(("namespace".to_owned(), namespace));
        }
    }
    objects
}

/// Kinds that Kubernetes brings, with their short names (`kubectl api-resources`), and whether they live in namespaces.
const KINDS: [(&str, &str, bool); 37] = [
    ("certificatesigningrequest", "csr", false),
    ("clusterrole", "", false),
    ("clusterrolebinding", "", false),
    ("configmap", "cm", true),
    ("controllerrevision", "", true),
    ("cronjob", "cj", true),
    ("customresourcedefinition", "crd", false),
    ("daemonset", "ds", true),
    ("deployment", "deploy", true),
    ("endpoint", "ep", true),
    ("endpointslice", "", true),
    ("event", "ev", true),
    ("horizontalpodautoscaler", "hpa", true),
    ("ingress", "ing", true),
    ("job", "", true),
    ("lease", "", true),
    ("limitrange", "limits", true),
    ("mutatingwebhookconfiguration", "", false),
    ("namespace", "ns", false),
    ("networkpolicy", "netpol", true),
    ("node", "no", false),
    ("persistentvolume", "pv", false),
    ("persistentvolumeclaim", "pvc", true),
    ("pod", "po", true),
    ("poddisruptionbudget", "pdb", true),
    ("priorityclass", "pc", false),
    ("replicaset", "rs", true),
    ("replicationcontroller", "rc", true),
    ("resourcequota", "quota", true),
    ("role", "", true),
    ("rolebinding", "", true),
    ("secret", "", true),
    ("service", "svc", true),
    ("serviceaccount", "sa", true),
    ("statefulset", "sts", true),
    ("storageclass", "sc", false),
    ("validatingwebhookconfiguration", "", false),
];

fn is_namespaced(kind: &str) -> bool {
    let kind = canonical(kind);
    KINDS
        .iter()
        .any(|(known, _, namespaced)| *known == kind && *namespaced)
}

/// One name for `deploy`, `Deployment`, `deployments` and `deployments.apps`. Kinds of the same name in several groups
/// are taken for one: two scenarios may wait for each other in vain, but never meet.
fn canonical(kind: &str) -> String {
    let word = kind.split('.').next().unwrap_or_default().to_lowercase();
    if let Some((known, _, _)) = KINDS.iter().find(|(_, short, _)| *short == word) {
        return (*known).to_owned();
    }
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    if word.ends_with("sses") || word.ends_with("xes") {
        return word[..word.len() - 2].to_owned();
    }
    match word.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => word,
    }
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

    fn locks_of(path: &str) -> BTreeSet<String> {
        let scenarios = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
        let loaded = muster_scenario::load_file(&scenarios.join(path));
        of(loaded.scenarios.first().unwrap())
    }

    #[test]
    fn what_is_applied_beyond_leased_namespaces_is_locked_by_its_name_with_inputs() {
        let locks = locks_of("conformance/apply.yaml");
        let definition = "customresourcedefinition/fruits.apply.conformance.muster.dev";
        assert!(locks.contains(definition), "{locks:?}");
        assert!(
            !locks.iter().any(|lock| lock.starts_with("configmap/")),
            "{locks:?}"
        );
    }

    #[test]
    fn an_existing_namespace_and_what_is_applied_to_it_are_locked() {
        let locks = locks_of("conformance/revert.yaml");
        for lock in [
            "namespace/default",
            "serviceaccount/default",
            "configmap/muster-conformance-revert",
        ] {
            assert!(locks.contains(lock), "{locks:?}");
        }
    }

    #[test]
    fn a_kind_has_one_name_whatever_it_is_called() {
        for word in ["deploy", "Deployment", "deployments", "deployments.apps"] {
            assert_eq!(canonical(word), "deployment");
        }
        assert_eq!(canonical("ingresses"), canonical("Ingress"));
        assert_eq!(
            canonical("netpol"),
            canonical("networkpolicies.networking.k8s.io")
        );
        assert_eq!(canonical("StorageClass"), canonical("storageclasses"));
        assert_eq!(
            canonical("SpireServer"),
            canonical("spireservers.operator.openshift.io")
        );
        assert!(KINDS.iter().all(|(kind, _, _)| canonical(kind) == *kind));
    }
}
