//! Watching: every delivered state of the objects that a query names, in order.
//!
//! Invariant: the first `next` is one LIST, and no WATCH is opened before the second; where history was lost, that is
//! said (`Relisted`), never papered over. kube's own watcher hides list versions and resumes silently.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_model::Object;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::discovery::Kind;
use crate::error::{ApiError, ErrorClass};
use crate::lines::Lines;
use crate::notice::Notice;
use crate::read::{Listing, Target, object_of};
use crate::repeat::{Failure, Repeat};
use crate::request::{Call, with_query};

/// Seconds after which the server ends a WATCH and it is opened anew.
const SERVER_TIMEOUT: u32 = 290;
/// The server sends a bookmark about every minute: a watch that is silent for longer hangs on a dead connection.
const SILENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const FIRST_POLL: Duration = Duration::from_millis(500);
const SLOWEST_POLL: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The kind.
    pub kind: Kind,
    /// The namespace; `None`: all, or a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Which objects.
    pub target: Target,
}

/// What happened to the watched objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The first LIST is done: [`Watch::objects`] is the state from which on every change is delivered.
    Synced,
    /// An object is new or changed, or now matches the labels.
    Applied(Arc<Object>),
    /// An object was deleted, or no longer matches the labels. As it was last seen.
    Deleted(Arc<Object>),
    /// The history was lost and the objects were listed again: [`Watch::objects`] is the new state, and what happened in
    /// between is unknown.
    Relisted,
    /// The server does not serve the kind, or no longer; [`Change::Synced`] follows when it does.
    Unserved,
}

/// The objects that a query names, as they change. Made by [`Cluster::watch`].
pub struct Watch {
    cluster: Cluster,
    query: Query,
    what: String,
    objects: BTreeMap<(String, String), Arc<Object>>,
    queue: VecDeque<Change>,
    /// The version of the last thing seen.
    version: String,
    synced: bool,
    /// A mutex only since bodies and futures can't be shared between threads, while a `Watch` can: it is never locked.
    source: Mutex<Source>,
    /// Consecutive breaks of the connection.
    breaks: u32,
    /// Whether the next WATCH takes up one that broke off.
    broken: bool,
}

/// Where the next change comes from.
enum Source {
    /// A LIST is due.
    List { at: Instant, poll: Duration },
    /// The LIST is on its way.
    Listing {
        work: Work<Result<Read, ApiError>>,
        poll: Duration,
    },
    /// A WATCH is due.
    Open { at: Instant },
    /// The WATCH is being opened.
    Opening { work: Work<Result<Lines, ApiError>> },
    /// Events come.
    Events { lines: Lines },
    /// The role allows no watch: read again and again.
    Poll { at: Instant, poll: Duration, by: PollBy },
    /// A poll is on its way.
    Polling {
        work: Work<Result<Read, ApiError>>,
        poll: Duration,
        by: PollBy,
    },
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollBy {
    List,
    Get,
}

/// What a LIST, or a GET in its place, found.
struct Read {
    listing: Listing,
    /// Set if only GET is allowed.
    by_get: Option<ApiError>,
}

enum Step {
    Give(Change),
    Fail(ApiError),
    Go(Source),
    Stay,
}

impl Cluster {
    /// Watches. Nothing is sent before the first [`Watch::next`].
    pub fn watch(&self, query: Query) -> Watch {
        Watch {
            what: query.target.describe(&query.kind, query.namespace.as_deref()),
            cluster: self.clone(),
            query,
            objects: BTreeMap::new(),
            queue: VecDeque::new(),
            version: String::new(),
            synced: false,
            source: Mutex::new(Source::List {
                at: Instant::now(),
                poll: FIRST_POLL,
            }),
            breaks: 0,
            broken: false,
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("what", &self.what)
            .field("version", &self.version)
            .field("objects", &self.objects.len())
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// The present objects, by namespace and name. Empty before the first [`Change::Synced`].
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// What is watched.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The next change. The first call lists and returns [`Change::Synced`], or [`Change::Unserved`]; later calls wait
    /// for changes as long as it takes. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ApiError`]: permanent ones at once, transient ones when they last beyond the cluster's deadline. A later call
    /// takes up where this one ended.
    pub async fn next(&mut self) -> Result<Change, ApiError> {
        loop {
            if let Some(change) = self.queue.pop_front() {
                return Ok(change);
            }
            match self.step().await {
                Step::Give(change) => return Ok(change),
                Step::Fail(error) => return Err(error),
                Step::Go(source) => self.set(source),
                Step::Stay => {}
            }
        }
    }

    fn set(&mut self, source: Source) {
        *match self.source.get_mut() {
            Ok(old) => old,
            Err(poisoned) => poisoned.into_inner(),
        } = source;
    }

    /// Waits for the present source and says what to do. Everything that takes time is kept in the source, so that a
    /// cancelled call goes on in the next.
    async fn step(&mut self) -> Step {
        let source = match self.source.get_mut() {
            Ok(source) => source,
            Err(poisoned) => poisoned.into_inner(),
        };
        match source {
            Source::List { at, poll } => {
                let poll = *poll;
                tokio::time::sleep_until(*at).await;
                Step::Go(Source::Listing {
                    work: Box::pin(read(self.cluster.clone(), self.query.clone())),
                    poll,
                })
            }
            Source::Listing { work, poll } => {
                let poll = *poll;
                let result = work.await;
                self.listed(result, poll)
            }
            Source::Open { at } => {
                tokio::time::sleep_until(*at).await;
                let call = self.watch_call();
                let cluster = self.cluster.clone();
                Step::Go(Source::Opening {
                    work: Box::pin(async move { cluster.open(&call).await.map(Lines::new) }),
                })
            }
            Source::Opening { work } => match work.await {
                Ok(lines) => Step::Go(Source::Events { lines }),
                Err(error) => self.not_opened(error),
            },
            Source::Events { lines } => {
                let line = lines.next_within(SILENCE).await;
                self.event(line)
            }
            Source::Poll { at, poll, by } => {
                let (poll, by) = (*poll, *by);
                tokio::time::sleep_until(*at).await;
                let (cluster, query) = (self.cluster.clone(), self.query.clone());
                Step::Go(Source::Polling {
                    work: match by {
                        PollBy::List => Box::pin(read(cluster, query)),
                        PollBy::Get => Box::pin(async move {
                            Ok(Read {
                                listing: read_by_get(&cluster, &query).await?,
                                by_get: None,
                            })
                        }),
                    },
                    poll,
                    by,
                })
            }
            Source::Polling { work, poll, by } => {
                let (poll, by) = (*poll, *by);
                let result = work.await;
                self.polled(result, poll, by)
            }
        }
    }

    fn watch_call(&self) -> Call {
        let namespace = self.query.namespace.as_deref();
        let mut query = self.query.target.query();
        query.push(("watch", "1".to_owned()));
        query.push(("allowWatchBookmarks", "true".to_owned()));
        query.push(("timeoutSeconds", SERVER_TIMEOUT.to_string()));
        query.push(("resourceVersion", self.version.clone()));
        let path = with_query(&self.query.kind.path(namespace), query);
        Call {
            again: self.broken,
            ..Call::read("watch", self.what.clone(), path, Repeat::Read)
        }
        .access("watch", &self.query.kind, None, namespace)
    }

    /// The first LIST, or one after the history was lost or the kind was not served.
    fn listed(&mut self, result: Result<Read, ApiError>, poll: Duration) -> Step {
        match result {
            Ok(Read { listing, by_get }) => {
                let change = if self.synced {
                    Change::Relisted
                } else {
                    Change::Synced
                };
                self.synced = true;
                self.breaks = 0;
                self.version = listing.resource_version;
                self.objects = listing.objects.into_iter().map(|o| (key(&o), o)).collect();
                self.set(match by_get {
                    Some(error) => self.start_polling(&error, PollBy::Get),
                    None => Source::Open { at: Instant::now() },
                });
                Step::Give(change)
            }
            Err(error) if error.class == ErrorClass::NotServed => self.unserved(poll),
            Err(error) => {
                self.set(Source::List {
                    at: Instant::now(),
                    poll,
                });
                Step::Fail(error)
            }
        }
    }

    /// Said once; after that, silence until it is served.
    fn unserved(&mut self, poll: Duration) -> Step {
        let first = self.synced || poll == FIRST_POLL;
        self.synced = false;
        self.objects.clear();
        let source = Source::List {
            at: Instant::now() + if first { FIRST_POLL } else { poll },
            poll: slower(if first { FIRST_POLL } else { poll }),
        };
        if first {
            self.set(source);
            return Step::Give(Change::Unserved);
        }
        Step::Go(source)
    }

    fn not_opened(&mut self, error: ApiError) -> Step {
        match error.class {
            ErrorClass::Expired => self.lost(),
            ErrorClass::NotServed => self.unserved(FIRST_POLL),
            ErrorClass::Forbidden => Step::Go(self.start_polling(&error, PollBy::List)),
            // A kind that can't be watched by anybody, such as the metrics API's.
            _ if error.status == Some(405) => Step::Go(self.start_polling(&error, PollBy::List)),
            _ => {
                self.set(Source::Open { at: Instant::now() });
                Step::Fail(error)
            }
        }
    }

    /// The history is gone: list at once.
    fn lost(&self) -> Step {
        Step::Go(Source::List {
            at: Instant::now(),
            poll: FIRST_POLL,
        })
    }

    fn start_polling(&self, error: &ApiError, by: PollBy) -> Source {
        self.cluster.notice(&Notice::Polling {
            what: format!("watch {}", self.what),
            reason: match by {
                PollBy::List => format!("only get and list are allowed, not watch ({})", error.message),
                PollBy::Get => format!("only get is allowed, not list or watch ({})", error.message),
            },
        });
        Source::Poll {
            at: Instant::now() + FIRST_POLL,
            poll: FIRST_POLL,
            by,
        }
    }

    /// One line of a WATCH, its end, a broken connection, or silence.
    fn event(&mut self, line: Result<Option<bytes::Bytes>, Option<kube::Error>>) -> Step {
        let line = match line {
            Ok(Some(line)) => line,
            // The server ends a watch after its timeout, and when it stops.
            Ok(None) => return self.reopen(None),
            Err(Some(error)) => {
                let failure = Failure::of(&self.watch_call(), &error);
                return self.reopen(Some(failure.error.message.clone()));
            }
            Err(None) => {
                return self.reopen(Some(format!("silent for {} s", SILENCE.as_secs())));
            }
        };
        let Ok(mut event) = serde_json::from_slice::<Value>(&line) else {
            // The last line of a connection that broke off.
            return self.reopen(Some("an event broke off".to_owned()));
        };
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "ERROR" => {
                let call = self.watch_call();
                let error = ApiError::from_status(call.verb, &call.what, None, &object, call.access.as_ref());
                if error.class == ErrorClass::Expired {
                    return self.lost();
                }
                if error.is_transient() {
                    return self.reopen(Some(error.message.clone()));
                }
                self.set(Source::Open { at: Instant::now() });
                Step::Fail(error)
            }
            kind @ ("ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK") => {
                self.breaks = 0;
                let object = Arc::new(object_of(object, Some(&self.query.kind)));
                self.version = object.resource_version().to_owned();
                match kind {
                    "BOOKMARK" => {}
                    "DELETED" => {
                        self.objects.remove(&key(&object));
                        self.queue.push_back(Change::Deleted(object));
                    }
                    _ => {
                        self.objects.insert(key(&object), Arc::clone(&object));
                        self.queue.push_back(Change::Applied(object));
                    }
                }
                Step::Stay
            }
            other => {
                let error = ApiError::new(
                    "watch",
                    self.what.clone(),
                    ErrorClass::Decode,
                    format!("an event of unknown type {other:?}"),
                );
                self.set(Source::Open { at: Instant::now() });
                Step::Fail(error)
            }
        }
    }

    /// Takes up the watch at the last version, at once after a clean end, else after a pause.
    fn reopen(&mut self, broken: Option<String>) -> Step {
        let pause = match self.breaks {
            0 => Duration::ZERO,
            breaks => LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.saturating_pow(breaks.min(10) - 1)),
        };
        self.breaks += 1;
        self.broken = broken.is_some();
        if let Some(reason) = broken {
            self.cluster.notice(&Notice::Retried {
                what: format!("watch {}", self.what),
                reason,
                attempts: self.breaks,
            });
        }
        Step::Go(Source::Open {
            at: Instant::now() + pause,
        })
    }

    fn polled(&mut self, result: Result<Read, ApiError>, poll: Duration, by: PollBy) -> Step {
        let listing = match result {
            Ok(read) => read.listing,
            Err(error) if error.class == ErrorClass::NotServed => return self.unserved(FIRST_POLL),
            Err(error) => {
                self.set(Source::Poll {
                    at: Instant::now() + poll,
                    poll,
                    by,
                });
                return Step::Fail(error);
            }
        };
        let mut old = std::mem::take(&mut self.objects);
        for object in listing.objects {
            let known = old.remove(&key(&object));
            self.objects.insert(key(&object), Arc::clone(&object));
            match known {
                Some(known) if known.resource_version() == object.resource_version() => continue,
                // Deleted and made anew since the last poll.
                Some(known) if known.uid() != object.uid() => {
                    self.queue.push_back(Change::Deleted(known));
                }
                _ => {}
            }
            self.queue.push_back(Change::Applied(object));
        }
        self.queue.extend(old.into_values().map(Change::Deleted));
        let poll = if self.queue.is_empty() {
            slower(poll)
        } else {
            FIRST_POLL
        };
        Step::Go(Source::Poll {
            at: Instant::now() + poll,
            poll,
            by,
        })
    }
}

fn slower(poll: Duration) -> Duration {
    SLOWEST_POLL.min(poll.mul_f32(1.5))
}

fn key(object: &Object) -> (String, String) {
    (
        object.namespace().unwrap_or_default().to_owned(),
        object.name().to_owned(),
    )
}

/// LIST; where that is forbidden but the query names one object, GET.
async fn read(cluster: Cluster, query: Query) -> Result<Read, ApiError> {
    let result = cluster
        .list_target(&query.kind, query.namespace.as_deref(), &query.target)
        .await;
    match result {
        Ok(listing) => Ok(Read {
            listing,
            by_get: None,
        }),
        Err(error)
            if error.class == ErrorClass::Forbidden
                && matches!(query.target, Target::Name(_))
                && (query.namespace.is_some() || !query.kind.namespaced) =>
        {
            match read_by_get(&cluster, &query).await {
                Ok(listing) => Ok(Read {
                    listing,
                    by_get: Some(error),
                }),
                // It may not read the object at all: what it lacks first is the list.
                Err(get) if get.class == ErrorClass::Forbidden => Err(error),
                Err(get) => Err(get),
            }
        }
        Err(error) => Err(error),
    }
}

async fn read_by_get(cluster: &Cluster, query: &Query) -> Result<Listing, ApiError> {
    let Target::Name(name) = &query.target else {
        return Ok(Listing::default());
    };
    let object = cluster.get(&query.kind, query.namespace.as_deref(), name).await?;
    Ok(Listing {
        objects: object.into_iter().map(Arc::new).collect(),
        resource_version: String::new(),
    })
}
