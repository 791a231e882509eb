//! The book of a scenario: the pods that its `log` and `crash` expectations are about, from the first step on.
//!
//! Invariant: what is written in the book is never removed before the scenario ends, so that lines and ends of pods that
//! are gone still count.

mod aim;
mod ends;
mod follow;
mod track;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use muster_cluster::{ApiError, Cluster, LogQuery};
use muster_model::Object;
use muster_model::event::Scope;
use muster_record::Recorder;
use serde_json::Value;

pub(crate) use aim::tracks_of;
pub(crate) use ends::End;
pub(crate) use track::{Line, Track, TrackData};

use crate::mark::{Floor, Floors};
use crate::pods;
use crate::target::Found;

/// How long lines may be on their way.
const CATCH_UP: std::time::Duration = std::time::Duration::from_secs(5);

/// All tracks of a scenario.
pub(crate) struct Book {
    cluster: Cluster,
    recorder: Arc<Recorder>,
    scope: Scope,
    tracks: Mutex<BTreeMap<String, Arc<Track>>>,
}

impl Book {
    /// An empty book.
    pub(crate) fn new(cluster: Cluster, recorder: Arc<Recorder>, scope: Scope) -> Self {
        Self {
            cluster,
            recorder,
            scope,
            tracks: Mutex::default(),
        }
    }

    /// The track of a target; begun now if it is new.
    pub(crate) fn track(&self, found: Found) -> Arc<Track> {
        let key = track::key(&found);
        let mut tracks = match self.tracks.lock() {
            Ok(tracks) => tracks,
            Err(poisoned) => poisoned.into_inner(),
        };
        Arc::clone(tracks.entry(key).or_insert_with(|| {
            Track::begin(
                &self.cluster,
                found,
                Arc::clone(&self.recorder),
                self.scope.clone(),
            )
        }))
    }

    /// All tracks.
    pub(crate) fn tracks(&self) -> Vec<Arc<Track>> {
        match self.tracks.lock() {
            Ok(tracks) => tracks.values().cloned().collect(),
            Err(poisoned) => poisoned.into_inner().values().cloned().collect(),
        }
    }

    /// Ends all tracks.
    pub(crate) fn close(&self) {
        for track in self.tracks() {
            track.end();
        }
    }
}

/// Takes the mark of some tracks: one fresh list of pods each, and the last line of each running container whose log
/// is followed. The request is the point in time.
///
/// # Errors
/// The API server's, if pods or logs can't be read.
pub(crate) async fn floors(cluster: &Cluster, tracks: &[Arc<Track>]) -> Result<Floors, ApiError> {
    let mut floors = Floors::default();
    for track in tracks {
        // What the book knows by now is from before the mark, whether the list still shows it or not.
        let (known, totals) = {
            let data = track.read();
            (data.instances(), data.total_ends.clone())
        };
        let pods = track.list(cluster).await?;
        track.add_ends(&pods);
        for pod in pods {
            floors_of(cluster, track, &pod, &mut floors).await?;
        }
        for id in known {
            floors.instances.entry(id).or_insert(Floor::Ended);
        }
        for (key, total) in totals {
            floors.ends.entry(key).or_insert(total);
        }
        floors.covered.insert(track.key());
    }
    Ok(floors)
}

async fn floors_of(
    cluster: &Cluster,
    track: &Track,
    pod: &Object,
    floors: &mut Floors,
) -> Result<(), ApiError> {
    for status in pods::container_statuses(pod) {
        let name = pods::text(status, &["name"]).to_owned();
        let key = (pod.uid().to_owned(), name.clone());
        floors.ends.insert(key, ends::total_ends(status));
        for state in ["state", "lastState"] {
            let id = pods::text(status, &[state, "terminated", "containerID"]);
            if !id.is_empty() {
                floors.instances.insert(id.to_owned(), Floor::Ended);
            }
        }
        let running = status
            .get("state")
            .and_then(|state| state.get("running"))
            .is_some();
        let id = pods::text(status, &["containerID"]);
        if !running || id.is_empty() {
            continue;
        }
        let mut last = track.last_line(id);
        if track.follows(&name, pod) {
            last = last.max(tail(cluster, pod, &name).await?);
        }
        floors
            .instances
            .entry(id.to_owned())
            .or_insert(Floor::Running(last));
    }
    Ok(())
}

/// The node time of a container's last line; `None` if it has said nothing, or went away.
async fn tail(cluster: &Cluster, pod: &Object, container: &str) -> Result<Option<Timestamp>, ApiError> {
    let query = LogQuery {
        namespace: pod.namespace().unwrap_or_default().to_owned(),
        pod: pod.name().to_owned(),
        container: Some(container.to_owned()),
        tail: Some(1),
        ..LogQuery::default()
    };
    let mut last = None;
    match cluster.logs(query).await {
        Ok(mut stream) => {
            while let Ok(Some(line)) = stream.next().await {
                last = Some(line.time);
            }
        }
        // It went away between the list and this request: it ended before the mark, or its successor counts from its
        // first line.
        Err(error) if !error.is_transient() => {}
        Err(error) => return Err(error),
    }
    Ok(last)
}

/// Waits until a track holds what there is now: the ends by a fresh list, of each followed container that runs its last
/// line, of each that ended the whole log. An error text if that doesn't come.
///
/// # Errors
/// The API server's.
pub(crate) async fn catch_up(cluster: &Cluster, track: &Arc<Track>) -> Result<Result<(), String>, ApiError> {
    let pods = track.list(cluster).await?;
    track.add_ends(&pods);
    let mut whole = Vec::new();
    let mut up_to = Vec::new();
    for pod in &pods {
        let mut floors = Floors::default();
        floors_of(cluster, track, pod, &mut floors).await?;
        let followed: HashSet<String> = pods::container_statuses(pod)
            .filter(|status| track.follows(pods::text(status, &["name"]), pod))
            .flat_map(ends::instance_ids)
            .collect();
        for (id, floor) in floors.instances {
            match floor {
                _ if !followed.contains(&id) => {}
                Floor::Running(Some(last)) => up_to.push((id, last)),
                Floor::Running(None) => {}
                Floor::Ended => whole.push(id),
            }
        }
    }
    let arrived = track.wait_until(|data| {
        whole.iter().all(|id| data.read_whole.contains(id))
            && up_to.iter().all(|(id, last)| {
                data.lines
                    .iter()
                    .rev()
                    .any(|line| line.container_id == *id && line.time >= *last)
            })
    });
    Ok(match tokio::time::timeout(CATCH_UP, arrived).await {
        Ok(()) => Ok(()),
        Err(_) => Err(format!(
            "the last lines of {} did not arrive",
            track.found().display()
        )),
    })
}

/// The container of a pod that is meant where none is named: the only one, or the default by kubectl's annotation.
pub(crate) fn default_container(pod: &Object) -> Option<String> {
    let containers = pod.list(&["spec", "containers"]);
    if let [only] = containers {
        return only.get("name").and_then(Value::as_str).map(str::to_owned);
    }
    pod.at(&[
        "metadata",
        "annotations",
        "kubectl.kubernetes.io/default-container",
    ])
    .and_then(Value::as_str)
    .map(str::to_owned)
}
