//! Follows the logs of the containers of a track.
//!
//! Invariant: each container instance that is followed is read from its first line; an instance that could not be read
//! is a gap, never an empty log.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use muster_cluster::{Cluster, LogQuery};
use muster_model::Object;
use serde_json::Value;

use crate::book::default_container;
use crate::book::track::{Line, Track};
use crate::pods;

/// How long to wait before a stream that broke is opened again.
const REOPEN: Duration = Duration::from_millis(300);
/// How often a stream may break with no line in between.
const TRIES: usize = 5;

/// The streams of a track.
pub(super) struct Streams {
    cluster: Cluster,
    track: Arc<Track>,
    /// Instances (container ids) that are or were read.
    known: HashSet<String>,
    /// Restart counts by (pod uid, container), to notice instances that came and went unseen.
    restarts: BTreeMap<(String, String), i64>,
}

#[derive(Clone)]
struct Instance {
    namespace: String,
    pod: String,
    pod_uid: String,
    container: String,
    is_default: bool,
    id: String,
}

impl Streams {
    pub(super) fn new(cluster: Cluster, track: Arc<Track>) -> Self {
        Self {
            cluster,
            track,
            known: HashSet::new(),
            restarts: BTreeMap::new(),
        }
    }

    /// Opens what a pod's status shows and isn't read yet.
    pub(super) fn attend(&mut self, pod: &Object) {
        for status in pods::container_statuses(pod) {
            let container = pods::text(status, &["name"]).to_owned();
            if !self.track.follows(&container, pod) {
                continue;
            }
            let instance = |id: &str| Instance {
                namespace: pod.namespace().unwrap_or_default().to_owned(),
                pod: pod.name().to_owned(),
                pod_uid: pod.uid().to_owned(),
                container: container.clone(),
                is_default: default_container(pod).as_deref() == Some(&container),
                id: id.to_owned(),
            };
            let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
            let key = (pod.uid().to_owned(), container.clone());
            let last = pods::text(status, &["lastState", "terminated", "containerID"]);
            let current = status
                .get("state")
                .is_some_and(|state| state.get("waiting").is_none());
            if !last.is_empty() && self.known.insert(last.to_owned()) {
                // It came and went between two looks. While the container waits to start again its log is the
                // current one, afterwards the previous one.
                self.read(instance(last), current);
                let before = self.restarts.get(&key).copied();
                if restarts - before.unwrap_or(restarts) > 1 {
                    self.track.gap(format!(
                        "{} of {} was restarted {} times between two observations",
                        container,
                        pod.name(),
                        restarts - before.unwrap_or(0)
                    ));
                }
            }
            self.restarts.insert(key, restarts);
            let id = match status.get("state") {
                Some(state) if state.get("running").is_some() => pods::text(status, &["containerID"]),
                Some(state) => pods::text(state, &["terminated", "containerID"]),
                None => "",
            };
            if !id.is_empty() && self.known.insert(id.to_owned()) {
                self.read(instance(id), false);
            }
        }
    }

    fn read(&self, instance: Instance, previous: bool) {
        tokio::spawn(read(
            self.cluster.clone(),
            Arc::clone(&self.track),
            instance,
            previous,
        ));
    }
}

/// Reads one instance to its end.
async fn read(cluster: Cluster, track: Arc<Track>, instance: Instance, previous: bool) {
    match tokio::select! {
        () = track.ended() => return,
        end = read_all(&cluster, &track, &instance, previous) => end,
    } {
        Ok(()) => {}
        Err(why) => track.gap(format!(
            "log of {} of {}: {why}",
            instance.container, instance.pod
        )),
    }
    track.update(|data| {
        data.read_whole.insert(instance.id.clone());
    });
}

/// An error text if lines may be lost.
async fn read_all(
    cluster: &Cluster,
    track: &Track,
    instance: &Instance,
    previous: bool,
) -> Result<(), String> {
    let mut query = LogQuery {
        namespace: instance.namespace.clone(),
        pod: instance.pod.clone(),
        container: Some(instance.container.clone()),
        previous,
        follow: !previous,
        ..LogQuery::default()
    };
    let mut broken = 0;
    let mut last_words = String::new();
    while broken < TRIES {
        if broken > 0 {
            tokio::time::sleep(REOPEN).await;
        }
        let mut stream = match cluster.logs(query.clone()).await {
            Ok(stream) => stream,
            Err(error) if error.is_transient() => {
                broken += 1;
                last_words = error.to_string();
                continue;
            }
            // The pod is gone together with its log.
            Err(error) => return Err(error.to_string()),
        };
        loop {
            match stream.next().await {
                Ok(Some(line)) => {
                    broken = 0;
                    query.since_time = Some(line.time);
                    track.update(|data| {
                        data.add_line(Line {
                            pod_name: instance.pod.clone(),
                            pod_uid: instance.pod_uid.clone(),
                            container: instance.container.clone(),
                            container_id: instance.id.clone(),
                            is_default: instance.is_default,
                            time: line.time,
                            text: line.text,
                            parsed: OnceLock::new(),
                        });
                    });
                }
                // The end of the answer is the end of the log only if the container has ended.
                Ok(None) if previous || track.has_ended(&instance.pod_uid, &instance.id).await => {
                    return Ok(());
                }
                Ok(None) => {
                    broken += 1;
                    "the stream ended while the container ran".clone_into(&mut last_words);
                    break;
                }
                // Opened again from the last line's second on; lines that are known are dropped.
                Err(error) if error.is_transient() => {
                    broken += 1;
                    last_words = error.to_string();
                    break;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    Err(last_words)
}
