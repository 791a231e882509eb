//! Marks and effects: where a step begins, and what its action did.
//!
//! Invariant: a mark is a position, not a time: the containers, ends and lines that existed when it was taken.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use muster_model::{Object, ObjectRef};
use serde_json::Value;

/// What was known of one container instance when the mark was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// It ran and its last line had this node time; `None`: it had said nothing.
    Running(Option<Timestamp>),
    /// It had ended: nothing of it counts.
    Ended,
}

/// The containers at a mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floors {
    /// By container id.
    pub(crate) instances: HashMap<String, Floor>,
    /// How often the container of a pod (uid, container) had ended.
    pub(crate) ends: HashMap<(String, String), i64>,
    /// The tracks (by key) that were looked at: what is not in `instances` of these began later.
    pub(crate) covered: HashSet<String>,
}

/// Where a step begins.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// For the offsets in histories.
    pub(crate) at: Instant,
    /// Wall-clock time, for events of the cluster.
    pub(crate) time: Timestamp,
    /// What was known of containers.
    pub(crate) floors: Arc<Floors>,
}

impl Mark {
    /// A mark taken now.
    pub(crate) fn now(floors: Floors) -> Self {
        Self {
            at: Instant::now(),
            time: Timestamp::now(),
            floors: Arc::new(floors),
        }
    }

    /// Milliseconds since the mark.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a line of a container instance came after the mark. Of a track that the mark does not cover (its target
    /// was not known yet) only the node's clock can tell.
    pub(crate) fn is_after(&self, track: &str, container_id: &str, time: Timestamp) -> bool {
        match self.floors.instances.get(container_id) {
            Some(Floor::Running(Some(floor))) => time > *floor,
            Some(Floor::Ended) => false,
            None if !self.floors.covered.contains(track) => time > self.time,
            None | Some(Floor::Running(None)) => true,
        }
    }

    /// Whether a container instance, which has ended at a time of its node's clock, ended after the mark.
    pub(crate) fn ended_after(&self, track: &str, container_id: &str, finished: Option<Timestamp>) -> bool {
        match self.floors.instances.get(container_id) {
            Some(Floor::Ended) => false,
            Some(Floor::Running(_)) => true,
            None if !self.floors.covered.contains(track) => {
                // The API gives whole seconds.
                finished.is_some_and(|finished| finished.as_second() > self.time.as_second())
            }
            None => true,
        }
    }

    /// How often the container of a pod had ended at the mark; 0 for pods born later.
    pub(crate) fn ends_at(&self, uid: &str, container: &str) -> i64 {
        self.floors
            .ends
            .get(&(uid.to_owned(), container.to_owned()))
            .copied()
            .unwrap_or(0)
    }
}

/// An object that an action wrote.
#[derive(Debug, Clone)]
pub(crate) struct WrittenObject {
    /// Its uid.
    pub(crate) uid: String,
    /// Its generation after the write; 0 where the kind has none.
    pub(crate) generation: i64,
}

/// What an action did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    /// What it wrote.
    pub(crate) written: Vec<WrittenObject>,
    /// The uids it removed: they satisfy nothing in this step.
    pub(crate) removed: HashSet<String>,
    /// It found nothing to do: a `revert` without anything to put back.
    pub(crate) idle: bool,
    /// What `save` of the step sees as `self`.
    pub(crate) result: Value,
    /// One line for the report: `patched spireserver/cluster`.
    pub(crate) summary: String,
}

impl Effects {
    /// Notes a written object.
    pub(crate) fn wrote(&mut self, object: &Object) {
        self.written.push(WrittenObject {
            uid: object.uid().to_owned(),
            generation: object.generation(),
        });
    }

    /// The generation that must have been observed before an object of this uid counts.
    pub(crate) fn generation_of(&self, uid: &str) -> i64 {
        self.written
            .iter()
            .filter(|w| w.uid == uid)
            .map(|w| w.generation)
            .max()
            .unwrap_or(0)
    }
}

/// What several actions of a step did; used to name objects in results.
pub(crate) fn result_key(reference: &ObjectRef) -> String {
    reference.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_up_to_the_floor_and_lines_of_ended_containers_do_not_count() {
        let floor: Timestamp = "2026-01-01T00:00:01Z".parse().unwrap();
        let mut floors = Floors::default();
        floors.instances.insert("ran".into(), Floor::Running(Some(floor)));
        floors.instances.insert("ended".into(), Floor::Ended);
        floors.covered.insert("t".into());
        let mark = Mark::now(floors);
        assert!(!mark.is_after("t", "ran", floor));
        assert!(mark.is_after("t", "ran", "2026-01-01T00:00:01.000000001Z".parse().unwrap()));
        assert!(!mark.is_after("t", "ended", "2027-01-01T00:00:00Z".parse().unwrap()));
        assert!(mark.is_after("t", "later", "2020-01-01T00:00:00Z".parse().unwrap()));
        assert!(!mark.ended_after("t", "ended", None));
        assert!(mark.ended_after("t", "ran", None));
    }

    #[test]
    fn what_a_mark_does_not_cover_counts_by_time() {
        let mark = Mark::now(Floors::default());
        let long_ago: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
        assert!(!mark.is_after("t", "any", long_ago));
        assert!(mark.is_after("t", "any", "2999-01-01T00:00:00Z".parse().unwrap()));
        assert!(!mark.ended_after("t", "any", Some(long_ago)));
        assert!(!mark.ended_after("t", "any", None));
    }
}
