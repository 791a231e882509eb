//! The connection to one cluster, and what is counted and told about it.
//!
//! Invariant: every request of every clone goes through one client, one gate and a counter; a scope's requests are also
//! in its parent's count.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::Client;
use muster_model::event::Requests;
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::discovery::{Catalog, Kind, ResolveError};
use crate::error::{ApiError, ErrorClass};
use crate::kubeconfig::{self, Source};
use crate::notice::{Notice, NoticeSink};
use crate::read::decode;
use crate::repeat::Repeat;
use crate::request::Call;

/// Requests in flight at most, beside watches, logs, exec and forwards: each is a connection of its own (HTTP/1.1).
const IN_FLIGHT: usize = 48;

/// A connection to one cluster. Cheap to clone; clones share connections and discovery.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
    counter: Arc<Counter>,
    notices: Option<NoticeSink>,
    deadline: Option<Instant>,
}

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) source: Option<Source>,
    pub(crate) server: String,
    pub(crate) default_namespace: String,
    pub(crate) version: String,
    pub(crate) gate: Arc<Semaphore>,
    /// When it was asked for, and what was answered.
    catalog: Arc<Mutex<Option<(Instant, Catalog)>>>,
}

impl Shared {
    pub(crate) fn new(
        client: Client,
        source: Option<Source>,
        server: String,
        default_namespace: String,
    ) -> Self {
        Self {
            client,
            source,
            server,
            default_namespace,
            version: String::new(),
            gate: Arc::new(Semaphore::new(IN_FLIGHT)),
            catalog: Arc::default(),
        }
    }
}

#[derive(Default)]
struct Counter {
    sent: AtomicU64,
    retried: AtomicU64,
    parent: Option<Arc<Counter>>,
}

impl Counter {
    fn add(&self, again: bool) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        if again {
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(parent) = &self.parent {
            parent.add(again);
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.shared.server)
            .field("version", &self.shared.version)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            counter: Arc::default(),
            notices: None,
            deadline: None,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn count(&self, again: bool) {
        self.counter.add(again);
    }

    pub(crate) fn notice(&self, notice: &Notice) {
        tracing::debug!(%notice, "notice");
        if let Some(sink) = &self.notices {
            sink(notice);
        }
    }

    /// The API server's address, such as `https://127.0.0.1:6443`.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The API server's version, such as `v1.34.4`.
    pub fn version(&self) -> &str {
        &self.shared.version
    }

    /// The context of the kubeconfig, `None` in a pod.
    pub fn context(&self) -> Option<&str> {
        self.shared.source.as_ref().map(|source| source.context.as_str())
    }

    /// The kubeconfig files that it was read from, more than one if `KUBECONFIG` is a list; empty in a pod.
    pub fn kubeconfig_paths(&self) -> &[PathBuf] {
        self.shared.source.as_ref().map_or(&[], |source| &source.paths)
    }

    /// The context's namespace, `default` if it has none.
    pub fn default_namespace(&self) -> &str {
        &self.shared.default_namespace
    }

    /// Writes a kubeconfig with the chosen context only, mode 0600, for child processes. It holds credentials.
    ///
    /// # Errors
    /// If the file can't be written, or, in a pod, if the service account's files are not where they should be.
    pub async fn write_kubeconfig(&self, path: &Path) -> std::io::Result<()> {
        let config = match &self.shared.source {
            Some(source) => source.minified(),
            None => kubeconfig::of_pod(&self.shared.server, &self.shared.default_namespace)?,
        };
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || kubeconfig::write(&config, &path))
            .await
            .map_err(std::io::Error::other)?
    }

    /// The requests so far, of this scope and the scopes made from it.
    pub fn requests(&self) -> Requests {
        Requests {
            sent: self.counter.sent.load(Ordering::Relaxed),
            retried: self.counter.retried.load(Ordering::Relaxed),
        }
    }

    /// A clone with a counter of its own, which also adds to this one's.
    #[must_use]
    pub fn scoped(&self) -> Cluster {
        Cluster {
            counter: Arc::new(Counter {
                parent: Some(Arc::clone(&self.counter)),
                ..Counter::default()
            }),
            ..self.clone()
        }
    }

    /// A clone whose requests are given up, and sent again no longer, after this instant (tokio's or the
    /// standard library's). Without one, each request may
    /// take 30 s with all its repetitions.
    #[must_use]
    pub fn with_deadline(&self, deadline: impl Into<Instant>) -> Cluster {
        Cluster {
            deadline: Some(deadline.into()),
            ..self.clone()
        }
    }

    /// A clone that tells what happens beside the answers: requests sent again, polling instead of watching, warnings.
    #[must_use]
    pub fn on_notice(&self, sink: impl Fn(&Notice) + Send + Sync + 'static) -> Cluster {
        Cluster {
            notices: Some(Arc::new(sink)),
            ..self.clone()
        }
    }

    /// The kind that a word means, as kubectl reads it: `deployment`, `deployments`, `deploy`, `Deployment`,
    /// `deployments.apps`; with an `apiVersion`, only in that. Discovery is asked once, and again for a word that it
    /// does not know.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, kind: &str, api_version: Option<&str>) -> Result<Kind, ResolveError> {
        let asked = Instant::now();
        // Another task may be asking the server just now: its answer will do.
        let lock = self.shared.catalog.lock();
        let mut cached = match self.deadline {
            None => lock.await,
            Some(deadline) => tokio::time::timeout_at(deadline, lock).await.map_err(|_| {
                let message = "no answer before the deadline";
                ApiError::new("get", "/apis", ErrorClass::Timeout, message)
            })?,
        };
        if let Some((read, catalog)) = cached.as_ref() {
            match catalog.resolve(kind, api_version) {
                // Another task asked the server after this call began: its answer is as good as a new one.
                Err(ResolveError::Unknown { .. }) if *read < asked => {}
                result => return result,
            }
        }
        let read = Instant::now();
        let catalog = self.discover().await?;
        let result = catalog.resolve(kind, api_version);
        *cached = Some((read, catalog));
        result
    }

    async fn discover(&self) -> Result<Catalog, ApiError> {
        let mut documents = Vec::new();
        for path in ["/api", "/apis"] {
            let mut call = Call::read("get", path, path.to_owned(), Repeat::Read);
            call.accept = Some(
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
            );
            let answer = self.send(&call).await?;
            let document = decode(&call, &answer.body)?;
            if document.get("kind").and_then(Value::as_str) != Some("APIGroupDiscoveryList") {
                let message = format!(
                    "the answer is no aggregated discovery, which muster needs: the server is {}",
                    self.version()
                );
                return Err(ApiError::new("get", path, ErrorClass::Decode, message)
                    .help("use a cluster of Kubernetes 1.27 or later"));
            }
            let document = serde_json::from_value(document)
                .map_err(|error| ApiError::new("get", path, ErrorClass::Decode, error.to_string()))?;
            documents.push(document);
        }
        Ok(Catalog::new(documents))
    }
}
