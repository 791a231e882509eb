//! All that happened to one object, and what follows from it: whose the object is now, and what must come back.
//!
//! Invariant: an object counts as the scenario's own only by a uid that one of its requests made, or, where the answer
//! got lost, by the run's label on an object that was not there before.

use muster_model::{Object, ObjectRef};
use muster_record::{Deed, Entry, Outcome};

use crate::namespaces::RUN_LABEL;

/// The entries of one object, oldest first.
pub(super) struct Chain {
    pub(super) reference: ObjectRef,
    pub(super) run: String,
    pub(super) entries: Vec<Entry>,
}

/// In which order the scenario's own objects go: a custom resource while its operator can still clear the finalizers,
/// and what holds other objects after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Custom,
    BuiltIn,
    Definition,
    Namespace,
}

impl Chain {
    /// Whether the scenario made this object.
    pub(super) fn made(&self, object: &Object) -> bool {
        self.entries.iter().any(|entry| match &entry.outcome {
            Some(Outcome::Created { uid }) => uid == object.uid(),
            Some(Outcome::Unknown) | None => {
                entry.intent.before.is_none() && object.label(RUN_LABEL) == Some(&self.run)
            }
            Some(Outcome::Existing { .. } | Outcome::Failed { .. }) => false,
        })
    }

    /// Whether the scenario is known to have made an object of this name, however long it lived.
    pub(super) fn has_made(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry.outcome, Some(Outcome::Created { .. })))
    }

    /// Whether somebody else made this object after muster had looked and before its apply arrived.
    pub(super) fn joined(&self, object: &Object) -> bool {
        self.entries.iter().any(|entry| {
            entry.intent.before.is_none()
                && matches!(&entry.outcome, Some(Outcome::Existing { uid, .. }) if uid == object.uid())
        })
    }

    /// The object that the scenario deleted without having made it, as it was before the scenario touched it.
    pub(super) fn original(&self) -> Option<&Object> {
        let deleted = self
            .entries
            .iter()
            .filter(|entry| entry.intent.deed == Deed::Delete)
            .filter_map(|entry| entry.intent.before.as_ref())
            .find(|before| before.label(RUN_LABEL) != Some(&self.run))?;
        self.entries
            .iter()
            .filter_map(|entry| entry.intent.before.as_ref())
            .find(|before| before.uid() == deleted.uid())
    }

    /// The changes of objects that the scenario did not make: each entry with the object before it.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&Entry, &Object)> {
        self.entries
            .iter()
            .filter(|entry| entry.intent.deed != Deed::Delete)
            .filter_map(|entry| Some((entry, entry.intent.before.as_ref()?)))
            .filter(|(_, before)| !self.made(before))
    }

    /// Whether all that is to be undone is to delete what the scenario made.
    pub(super) fn is_ours(&self) -> bool {
        let joined = self.entries.iter().any(|entry| {
            entry.intent.before.is_none() && matches!(entry.outcome, Some(Outcome::Existing { .. }))
        });
        !joined && self.original().is_none() && self.changes().next().is_none()
    }

    fn stage(&self) -> Stage {
        match self.reference.kind.as_str() {
            "Namespace" => Stage::Namespace,
            "CustomResourceDefinition" => Stage::Definition,
            _ => match self.reference.api_version.split_once('/') {
                Some((group, _)) if group.contains('.') && !group.ends_with(".k8s.io") => Stage::Custom,
                _ => Stage::BuiltIn,
            },
        }
    }
}

/// What is undone side by side, batch by batch: what existed before one by one, neighbours that the scenario made
/// together, those of one stage at a time.
pub(super) fn batches(chains: Vec<Chain>) -> Vec<Vec<Chain>> {
    let mut batches: Vec<Vec<Chain>> = Vec::new();
    let mut ours: Vec<Chain> = Vec::new();
    for chain in chains {
        if chain.is_ours() {
            ours.push(chain);
        } else {
            batches.extend(staged(std::mem::take(&mut ours)));
            batches.push(vec![chain]);
        }
    }
    batches.extend(staged(ours));
    batches
}

fn staged(mut chains: Vec<Chain>) -> Vec<Vec<Chain>> {
    chains.sort_by_key(Chain::stage);
    let mut stages: Vec<Vec<Chain>> = Vec::new();
    for chain in chains {
        match stages.last_mut() {
            Some(stage) if stage.iter().all(|other| other.stage() == chain.stage()) => stage.push(chain),
            _ => stages.push(vec![chain]),
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_record::Intent;
    use serde_json::json;

    const RUN: &str = "r1";

    fn object(uid: &str, run: Option<&str>) -> Object {
        let labels = run.map_or(json!({}), |run| json!({RUN_LABEL: run}));
        Object(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "uid": uid, "labels": labels}}))
    }

    fn reference(api_version: &str, kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: "x".to_owned(),
        }
    }

    fn of(reference: ObjectRef, deeds: Vec<(Deed, Option<Object>, Option<Outcome>)>) -> Chain {
        let entries = deeds
            .into_iter()
            .map(|(deed, before, outcome)| Entry {
                id: 0,
                t: "2026-01-01T00:00:00Z".parse().unwrap(),
                intent: Intent {
                    object: reference.clone(),
                    deed,
                    scenario: None,
                    before,
                },
                outcome,
                undone: false,
            })
            .collect();
        Chain {
            reference,
            run: RUN.to_owned(),
            entries,
        }
    }

    fn chain(deeds: Vec<(Deed, Option<Object>, Option<Outcome>)>) -> Chain {
        of(reference("v1", "ConfigMap"), deeds)
    }

    fn created(uid: &str) -> Option<Outcome> {
        Some(Outcome::Created { uid: uid.to_owned() })
    }

    fn existing(uid: &str) -> Option<Outcome> {
        Some(Outcome::Existing {
            uid: uid.to_owned(),
            after: Some(object(uid, None)),
        })
    }

    fn gone(uid: &str) -> Option<Outcome> {
        Some(Outcome::Existing {
            uid: uid.to_owned(),
            after: None,
        })
    }

    #[test]
    fn each_object_that_was_made_under_a_name_is_ours_and_no_other() {
        let chain = chain(vec![
            (Deed::Apply, None, created("1")),
            (Deed::Apply, None, created("2")),
            (Deed::Patch, Some(object("2", Some(RUN))), existing("2")),
        ]);
        assert!(chain.is_ours());
        assert!(chain.made(&object("1", None)) && chain.made(&object("2", None)));
        assert!(!chain.made(&object("3", Some(RUN))));
    }

    #[test]
    fn an_object_that_was_deleted_and_replaced_comes_back_as_it_was_first() {
        let mut patched = object("1", None);
        patched.0["data"] = json!({"colour": "green"});
        let chain = chain(vec![
            (Deed::Patch, Some(object("1", None)), existing("1")),
            (Deed::Delete, Some(patched), gone("1")),
            (Deed::Apply, None, created("2")),
        ]);
        assert!(!chain.is_ours());
        assert!(chain.made(&object("2", Some(RUN))));
        assert_eq!(chain.original(), Some(&object("1", None)));
    }

    #[test]
    fn changes_of_what_others_made_anew_are_kept_apart_from_the_deleted_object() {
        let chain = chain(vec![
            (Deed::Delete, Some(object("1", None)), gone("1")),
            (Deed::Patch, Some(object("2", None)), existing("2")),
        ]);
        assert!(!chain.made(&object("2", None)));
        let changed: Vec<_> = chain.changes().map(|(_, before)| before.uid()).collect();
        assert_eq!(changed, ["2"]);
    }

    #[test]
    fn an_object_that_others_made_just_before_the_apply_is_not_ours() {
        let chain = chain(vec![(Deed::Apply, None, existing("1"))]);
        assert!(!chain.is_ours());
        assert!(!chain.made(&object("1", Some(RUN))));
        assert!(chain.joined(&object("1", Some(RUN))));
    }

    #[test]
    fn after_a_lost_answer_only_this_runs_label_makes_an_object_ours() {
        for outcome in [None, Some(Outcome::Unknown)] {
            let chain = chain(vec![(Deed::Apply, None, outcome)]);
            assert!(chain.is_ours());
            assert!(chain.made(&object("1", Some(RUN))));
            assert!(!chain.made(&object("1", Some("another"))));
            assert!(!chain.made(&object("1", None)));
        }
    }

    #[test]
    fn a_deleted_object_of_this_run_does_not_come_back() {
        let chain = chain(vec![
            (Deed::Apply, None, Some(Outcome::Unknown)),
            (Deed::Delete, Some(object("1", Some(RUN))), gone("1")),
        ]);
        assert_eq!(chain.original(), None);
    }

    #[test]
    fn custom_resources_go_first_then_operators_then_definitions_then_namespaces() {
        let made = |api_version: &str, kind: &str| {
            of(
                reference(api_version, kind),
                vec![(Deed::Create, None, created("1"))],
            )
        };
        let patched = of(
            reference("v1", "Secret"),
            vec![(Deed::Patch, Some(object("9", None)), existing("9"))],
        );
        let chains = vec![
            made("apps/v1", "Deployment"),
            made("v1", "Namespace"),
            made("example.com/v1", "Fruit"),
            made("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            made("rbac.authorization.k8s.io/v1", "Role"),
            patched,
            made("v1", "ConfigMap"),
        ];
        let kinds: Vec<Vec<_>> = batches(chains)
            .into_iter()
            .map(|batch| batch.into_iter().map(|chain| chain.reference.kind).collect())
            .collect();
        assert_eq!(
            kinds,
            [
                vec!["Fruit"],
                vec!["Deployment", "Role"],
                vec!["CustomResourceDefinition"],
                vec!["Namespace"],
                vec!["Secret"],
                vec!["ConfigMap"],
            ]
        );
    }
}
