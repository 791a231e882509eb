//! What must be undone: a view of the run's clean-up ledger.
//!
//! Invariant: an object is deleted only by the uid that the scenario made, and of an object that existed before only
//! the fields that the scenario changed are put back, each only if nobody changed it since.

mod chain;
mod diff;
mod restore;
mod write;

pub(crate) use restore::await_gone;
pub(crate) use write::Write;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_cluster::{ApiError, Cluster, Outcome as Made, Written};
use muster_model::event::{CleanupDeed, EventKind};
use muster_model::{Object, ObjectRef, Place};
use muster_record::{Deed, Entry, Intent, Ledger, LedgerError, Outcome};

use crate::failure::{self, ActionError, Trouble};
use crate::undo::chain::{Chain, batches};

/// Of the time for clean-up, what is kept for requests after the last wait: whatever one object waits for, the others
/// are at least asked to go.
const LAST_REQUESTS: Duration = Duration::from_secs(10);
/// How long `clean` may take, for all scenarios of a run.
const CLEAN: Duration = Duration::from_secs(600);

/// The undo log of one scenario.
pub(crate) struct UndoLog {
    ledger: Arc<Ledger>,
    scenario: Option<usize>,
}

/// Something that was undone.
#[derive(Debug)]
pub(crate) struct Undone {
    pub(crate) reference: ObjectRef,
    pub(crate) deed: CleanupDeed,
    pub(crate) note: String,
    /// The object as it is now, if it was put back.
    pub(crate) object: Option<Object>,
}

/// Something that could not be undone.
#[derive(Debug)]
pub(crate) struct UndoFailed {
    pub(crate) reference: ObjectRef,
    pub(crate) message: String,
}

impl Undone {
    /// The event that tells it.
    pub(crate) fn into_event(self) -> EventKind {
        EventKind::CleanedUp {
            object: self.reference,
            deed: self.deed,
            note: self.note,
        }
    }
}

impl UndoFailed {
    /// The event that tells it.
    pub(crate) fn into_event(self) -> EventKind {
        EventKind::CleanupFailed {
            object: self.reference,
            message: self.message,
        }
    }
}

impl UndoLog {
    /// The part of a ledger that belongs to a scenario; `None`: all of it.
    pub(crate) fn new(ledger: Arc<Ledger>, scenario: Option<usize>) -> Arc<Self> {
        Arc::new(Self { ledger, scenario })
    }

    /// Writes the intent, sends the request, writes the outcome.
    pub(crate) async fn record(
        &self,
        deed: Deed,
        object: ObjectRef,
        before: Option<Object>,
        place: &Place,
        request: impl Future<Output = Result<Written, ApiError>>,
    ) -> Result<Written, ActionError> {
        let existed = before.is_some();
        let id = self.intend(
            Intent {
                object,
                deed,
                scenario: self.scenario,
                before,
            },
            place,
        )?;
        match request.await {
            Ok(written) => {
                let uid = written.object.uid().to_owned();
                let created = match written.outcome {
                    Made::Created => true,
                    Made::Existing => false,
                    Made::Unknown => !existed,
                };
                let outcome = if created {
                    Outcome::Created { uid }
                } else {
                    Outcome::Existing {
                        uid,
                        after: Some(written.object.clone()),
                    }
                };
                self.settle(id, outcome, place)?;
                Ok(written)
            }
            Err(error) => {
                let outcome = if error.is_transient() {
                    Outcome::Unknown
                } else {
                    Outcome::Failed {
                        message: error.message.clone(),
                    }
                };
                self.settle(id, outcome, place)?;
                Err(ActionError::from_api(&error, place))
            }
        }
    }

    /// Writes the intent to delete an object that the scenario did not make.
    pub(crate) fn record_deletion(&self, before: &Object, place: &Place) -> Result<u64, ActionError> {
        self.intend(
            Intent {
                object: before.reference(),
                deed: Deed::Delete,
                scenario: self.scenario,
                before: Some(before.clone()),
            },
            place,
        )
    }

    /// Writes that a deletion was carried out, or was refused.
    pub(crate) fn deleted(
        &self,
        id: u64,
        uid: &str,
        refused: Option<&ApiError>,
        place: &Place,
    ) -> Result<(), ActionError> {
        let outcome = match refused {
            None => Outcome::Existing {
                uid: uid.to_owned(),
                after: None,
            },
            Some(error) if error.is_transient() => Outcome::Unknown,
            Some(error) => Outcome::Failed {
                message: error.message.clone(),
            },
        };
        self.settle(id, outcome, place)
    }

    fn intend(&self, intent: Intent, place: &Place) -> Result<u64, ActionError> {
        self.ledger
            .intend(intent)
            .map_err(|error| unwritten(&error, place))
    }

    fn settle(&self, id: u64, outcome: Outcome, place: &Place) -> Result<(), ActionError> {
        self.ledger
            .outcome(id, outcome)
            .map_err(|error| unwritten(&error, place))
    }

    /// Whether the scenario made an object.
    pub(crate) fn made(&self, uid: &str) -> bool {
        self.ledger
            .pending(self.scenario)
            .iter()
            .any(|entry| matches!(&entry.outcome, Some(Outcome::Created { uid: made }) if made == uid))
    }

    /// How much there is to undo.
    pub(crate) fn pending(&self) -> Vec<ObjectRef> {
        let mut references: Vec<_> = self.chains().into_iter().map(|chain| chain.reference).collect();
        references.reverse();
        references
    }

    /// The chains, the one begun last first.
    fn chains(&self) -> Vec<Chain> {
        let mut entries = self.ledger.pending(self.scenario);
        entries.reverse();
        let mut order = Vec::new();
        let mut by_object: BTreeMap<ObjectRef, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            let list = by_object.entry(entry.intent.object.clone()).or_insert_with(|| {
                order.push(entry.intent.object.clone());
                Vec::new()
            });
            list.push(entry);
        }
        order.reverse();
        order
            .into_iter()
            .filter_map(|reference| {
                let entries = by_object.remove(&reference)?;
                let run = self.ledger.run().to_owned();
                Some(Chain {
                    reference,
                    run,
                    entries,
                })
            })
            .collect()
    }

    fn done(&self, chain: &Chain) {
        for entry in &chain.entries {
            // A ledger that can't be written any more only means that the deed may be tried once more by `clean`.
            let _ = self.ledger.undone(entry.id);
        }
    }

    /// Puts back what existed before, newest first. What the scenario made stays, except where it has the place of
    /// what existed before.
    pub(crate) async fn restore_all(
        &self,
        cluster: &Cluster,
        end: Instant,
    ) -> Vec<Result<Undone, UndoFailed>> {
        let mut results = Vec::new();
        for chain in self.chains().iter().filter(|chain| !chain.is_ours()) {
            results.extend(self.undo(cluster, chain, end).await);
        }
        results
    }

    /// Undoes everything within a time: in reverse order, neighbouring deletions side by side, stage by stage.
    pub(crate) async fn undo_all(
        &self,
        cluster: &Cluster,
        budget: Duration,
    ) -> Vec<Result<Undone, UndoFailed>> {
        let end = Instant::now() + budget;
        let cluster = cluster.with_deadline(end);
        let waits = end - LAST_REQUESTS.min(budget / 2);
        let mut results = Vec::new();
        for batch in batches(self.chains()) {
            let deeds = batch.iter().map(|chain| self.undo(&cluster, chain, waits));
            results.extend(futures::future::join_all(deeds).await.into_iter().flatten());
        }
        results
    }

    async fn undo(
        &self,
        cluster: &Cluster,
        chain: &Chain,
        end: Instant,
    ) -> Option<Result<Undone, UndoFailed>> {
        match restore::undo(cluster, chain, end).await {
            Ok(undone) => {
                self.done(chain);
                undone.map(Ok)
            }
            Err(message) => Some(Err(UndoFailed {
                reference: chain.reference.clone(),
                message,
            })),
        }
    }
}

fn unwritten(error: &LedgerError, place: &Place) -> ActionError {
    Trouble::Environment(failure::at(error.to_string(), place)).into()
}

/// Undoes all that a ledger holds, whatever scenario it belongs to; tells each deed in a line and gives the number of
/// objects that could not be dealt with.
pub async fn clean(cluster: &Cluster, ledger: Arc<Ledger>, tell: &(dyn Fn(String) + Send + Sync)) -> usize {
    let log = UndoLog::new(ledger, None);
    let mut failed = 0;
    for result in log.undo_all(cluster, CLEAN).await {
        match result {
            Ok(undone) => {
                let deed = match undone.deed {
                    CleanupDeed::Deleted => "deleted",
                    CleanupDeed::Restored => "put back",
                    CleanupDeed::LeftChanged => "left",
                    CleanupDeed::Kept => "kept",
                };
                let note = if undone.note.is_empty() {
                    String::new()
                } else {
                    format!(": {}", undone.note)
                };
                tell(format!("{deed} {}{note}", undone.reference.with_namespace()));
            }
            Err(error) => {
                failed += 1;
                tell(format!(
                    "failed {}: {}",
                    error.reference.with_namespace(),
                    error.message
                ));
            }
        }
    }
    failed
}
