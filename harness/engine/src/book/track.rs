//! One target's pods over time: the pods, the ends of their containers, and the lines of those that are followed.
//!
//! Invariant: lines and ends are in the order in which they were received; each end and each line is in the book once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard};

use std::time::{Duration, Instant};

use jiff::Timestamp;
use muster_cluster::{ApiError, Cluster, ErrorClass, ResolveError};
use muster_model::event::{EventKind, Scope};
use muster_model::{Emit, Object};
use muster_record::Recorder;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::book::ends::{End, note_ends};
use crate::book::{default_container, follow};
use crate::pods::{self, PodChange, PodWatch};
use crate::target::Found;

/// How long to wait before a watch that broke is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the status of a container may take to tell that it has ended.
const STATUS_LAG: Duration = Duration::from_secs(5);

/// One line that a container wrote.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) pod_name: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) container_id: String,
    /// Its container is the one that is meant where none is named.
    pub(crate) is_default: bool,
    pub(crate) time: Timestamp,
    pub(crate) text: String,
    pub(crate) parsed: OnceLock<Option<Value>>,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct TrackData {
    pub(crate) owner: Option<Arc<Object>>,
    /// By uid; pods that are gone are removed.
    pub(crate) pods: BTreeMap<String, Arc<Object>>,
    pub(crate) ends: Vec<End>,
    /// How often the container of a pod (uid, container) has ended, seen or not.
    pub(crate) total_ends: BTreeMap<(String, String), i64>,
    pub(crate) lines: Vec<Line>,
    /// What of the logs is lost, and when that was noticed.
    pub(crate) gaps: Vec<(Instant, String)>,
    /// Something of the target was there at some time: without it nothing can be said.
    pub(crate) was_there: bool,
    /// The instances (container ids) whose log was read to its end.
    pub(super) read_whole: HashSet<String>,
    seen_ends: HashSet<String>,
    seen_lines: HashSet<(String, Timestamp, u64)>,
}

impl TrackData {
    /// The instances (container ids) that the book knows.
    pub(super) fn instances(&self) -> HashSet<String> {
        self.lines
            .iter()
            .map(|line| &line.container_id)
            .chain(self.ends.iter().map(|end| &end.container_id))
            .chain(&self.read_whole)
            .cloned()
            .collect()
    }

    /// What was lost at or after an instant, in one text.
    pub(crate) fn lost_since(&self, since: Instant) -> Option<String> {
        let lost: Vec<&str> = self
            .gaps
            .iter()
            .filter(|(at, _)| *at >= since)
            .map(|(_, what)| what.as_str())
            .collect();
        (!lost.is_empty()).then(|| lost.join("; "))
    }

    /// If no container is named and a pod has several and no default: their names.
    pub(crate) fn undecided_container(&self, named: Option<&str>) -> Option<String> {
        if named.is_some() {
            return None;
        }
        self.pods
            .values()
            .find(|pod| default_container(pod).is_none())
            .map(|pod| {
                let names: Vec<_> = pod
                    .list(&["spec", "containers"])
                    .iter()
                    .map(|container| pods::text(container, &["name"]).to_owned())
                    .collect();
                names.join(", ")
            })
    }

    pub(super) fn add_end(&mut self, end: End) {
        if self
            .seen_ends
            .insert(format!("{}/{}", end.pod_uid, end.container_id))
        {
            self.ends.push(end);
        }
    }

    pub(super) fn add_line(&mut self, line: Line) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        line.text.hash(&mut hasher);
        let key = (
            format!("{}/{}", line.pod_uid, line.container),
            line.time,
            hasher.finish(),
        );
        if self.seen_lines.insert(key) {
            self.lines.push(line);
        }
    }
}

/// What tells the track of a target from others.
pub(super) fn key(found: &Found) -> String {
    format!(
        "{}/{}",
        found.namespace.as_deref().unwrap_or_default(),
        found.display()
    )
}

/// Which containers' logs are followed.
#[derive(Debug, Default, Clone)]
struct Followed {
    names: BTreeSet<String>,
    default: bool,
}

/// One target's pods.
pub(crate) struct Track {
    found: Found,
    data: RwLock<TrackData>,
    followed: Mutex<Followed>,
    error: Mutex<Option<ApiError>>,
    version: watch::Sender<u64>,
    end: CancellationToken,
    kick: tokio::sync::Notify,
    pub(super) recorder: Arc<Recorder>,
    pub(super) scope: Scope,
}

impl Track {
    /// Begins to watch.
    pub(super) fn begin(cluster: &Cluster, found: Found, recorder: Arc<Recorder>, scope: Scope) -> Arc<Self> {
        let track = Arc::new(Self {
            found,
            data: RwLock::default(),
            followed: Mutex::default(),
            error: Mutex::default(),
            version: watch::Sender::new(0),
            end: CancellationToken::new(),
            kick: tokio::sync::Notify::new(),
            recorder,
            scope,
        });
        tokio::spawn(run(cluster.clone(), Arc::clone(&track)));
        track
    }

    /// What tells it from other tracks.
    pub(crate) fn key(&self) -> String {
        key(&self.found)
    }

    /// The target.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// What is known now.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, TrackData> {
        match self.data.read() {
            Ok(data) => data,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Waits until the version is another than the given one, and returns it. 0: waits for the first list.
    pub(crate) async fn changed(&self, since: u64) -> u64 {
        let mut receiver = self.version.subscribe();
        // The sender lives as long as the track, so waiting can't fail.
        receiver
            .wait_for(|version| *version != since)
            .await
            .map_or(since, |version| *version)
    }

    /// Waits until what is known satisfies a condition.
    pub(super) async fn wait_until(&self, condition: impl Fn(&TrackData) -> bool) {
        let mut receiver = self.version.subscribe();
        loop {
            receiver.borrow_and_update();
            if condition(&self.read()) || receiver.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes the ends that a list of its own shows.
    pub(super) fn add_ends(&self, pods: &[Arc<Object>]) {
        self.update(|data| {
            data.was_there |= !pods.is_empty();
            note_ends(data, pods);
        });
    }

    /// Whether an instance has ended, or its pod is gone. The status follows the log by a moment, so it is waited for.
    pub(super) async fn has_ended(&self, pod_uid: &str, container_id: &str) -> bool {
        let ended = self.wait_until(|data| match data.pods.get(pod_uid) {
            None => true,
            Some(pod) => !pods::container_statuses(pod).any(|status| {
                pods::text(status, &["containerID"]) == container_id
                    && status
                        .get("state")
                        .is_some_and(|state| state.get("running").is_some())
            }),
        });
        tokio::time::timeout(STATUS_LAG, ended).await.is_ok()
    }

    /// The time of the last line that is known of an instance.
    pub(super) fn last_line(&self, container_id: &str) -> Option<Timestamp> {
        let data = self.read();
        data.lines
            .iter()
            .filter(|line| line.container_id == container_id)
            .map(|line| line.time)
            .max()
    }

    /// A failure that ended the watch.
    pub(crate) fn error(&self) -> Option<ApiError> {
        lock(&self.error).clone()
    }

    /// Follows the log of a container from now on; `None`: of the default container.
    pub(crate) fn follow(&self, container: Option<&str>) {
        let mut followed = lock(&self.followed);
        let new = match container {
            Some(name) => followed.names.insert(name.to_owned()),
            None => !std::mem::replace(&mut followed.default, true),
        };
        drop(followed);
        if new {
            self.kick.notify_one();
        }
    }

    /// Whether a container's log is followed.
    pub(crate) fn follows(&self, container: &str, pod: &Object) -> bool {
        let followed = lock(&self.followed);
        followed.names.contains(container)
            || (followed.default && default_container(pod).as_deref() == Some(container))
    }

    /// Lists the pods by a request of its own.
    pub(super) async fn list(&self, cluster: &Cluster) -> Result<Vec<Arc<Object>>, ApiError> {
        let kind = cluster.resolve("pods", Some("v1")).await.map_err(unresolved)?;
        let mut watch = PodWatch::new(cluster, kind, self.found.clone());
        watch.next().await?;
        Ok(watch.pods())
    }

    /// Ends the watch and its streams.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// Resolves when the track ends.
    pub(super) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// Changes what is known, and wakes those who wait.
    pub(super) fn update(&self, change: impl FnOnce(&mut TrackData)) {
        {
            let mut data = match self.data.write() {
                Ok(data) => data,
                Err(poisoned) => poisoned.into_inner(),
            };
            change(&mut data);
        }
        self.version.send_modify(|version| *version += 1);
    }

    /// Notes that lines are lost.
    pub(super) fn gap(&self, what: String) {
        self.recorder.emit(
            &self.scope,
            EventKind::Noted {
                message: format!("log gap: {what}"),
                place: None,
            },
        );
        self.update(|data| data.gaps.push((Instant::now(), what)));
    }
}

/// `pods` is served by every cluster: that it can't be resolved is a failed request.
fn unresolved(error: ResolveError) -> ApiError {
    match error {
        ResolveError::Api(error) => error,
        error => ApiError::new("resolve", "pods", ErrorClass::NotServed, error.to_string()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

async fn run(cluster: Cluster, track: Arc<Track>) {
    let kind = match cluster.resolve("pods", Some("v1")).await {
        Ok(kind) => kind,
        Err(error) => return fail(&track, unresolved(error)),
    };
    let mut watch = PodWatch::new(&cluster, kind, track.found.clone());
    let mut streams = follow::Streams::new(cluster, Arc::clone(&track));
    loop {
        let change = tokio::select! {
            () = track.ended() => return,
            () = track.kick.notified() => None,
            change = watch.next() => Some(change),
        };
        match change {
            // An API server that is away for longer than requests are repeated: what happens meanwhile is not known.
            Some(Err(error)) if error.is_transient() => {
                track.gap(format!(
                    "the watch on {} broke: {}",
                    track.found.display(),
                    error.message
                ));
                tokio::select! {
                    () = track.ended() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
            Some(Err(error)) => return fail(&track, error),
            Some(Ok(change)) => {
                let pods = watch.pods();
                let owner = watch.owner();
                track.update(|data| note(data, owner, &pods));
                if change == PodChange::Gap {
                    track.gap(format!("the watch on {} was interrupted", track.found.display()));
                }
            }
            None => {}
        }
        for pod in watch.pods() {
            streams.attend(&pod);
        }
    }
}

fn fail(track: &Track, error: ApiError) {
    *lock(&track.error) = Some(error);
    track.update(|_| {});
}

fn note(data: &mut TrackData, owner: Option<Arc<Object>>, pods: &[Arc<Object>]) {
    data.was_there |= owner.is_some() || !pods.is_empty();
    data.owner = owner;
    data.pods = pods
        .iter()
        .map(|pod| (pod.uid().to_owned(), Arc::clone(pod)))
        .collect();
    note_ends(data, pods);
}
