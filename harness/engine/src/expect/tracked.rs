//! A track of the book from within a step: what `log` and `crash` share.
//!
//! Invariant: until the kind is served nothing was observed, and a last look waits until the book holds what there is.

use std::sync::Arc;

use muster_scenario::ast::Target;

use crate::book::{self, Track};
use crate::causes;
use crate::context::StepContext;
use crate::expect::watched::describe;
use crate::failure::Trouble;
use crate::target::await_kind;

/// The pods of a target in the book.
pub(super) struct Tracked {
    pub(super) step: Arc<StepContext>,
    pub(super) target: Target,
    namespace: String,
    /// The container that is named, if one is.
    pub(super) container: Option<String>,
    /// Whether its log is followed.
    follow: bool,
    track: Option<Arc<Track>>,
    version: u64,
}

impl Tracked {
    /// No request is sent before the first look.
    pub(super) fn new(
        step: &Arc<StepContext>,
        target: &Target,
        namespace: String,
        container: Option<String>,
        follow: bool,
    ) -> Self {
        Self {
            step: Arc::clone(step),
            target: target.clone(),
            namespace,
            container,
            follow,
            track: None,
            version: 0,
        }
    }

    /// What is observed: the target, and the container if one is named.
    pub(super) fn display(&self) -> String {
        let target = self
            .track
            .as_ref()
            .map_or_else(|| describe(&self.target), |track| track.found().display());
        match &self.container {
            Some(container) => format!("{target} container {container}"),
            None => target,
        }
    }

    /// The track, once its kind is known.
    pub(super) fn track(&self) -> Option<&Arc<Track>> {
        self.track.as_ref()
    }

    /// What tells the track from others; empty until its kind is known.
    pub(super) fn key(&self) -> String {
        self.track.as_ref().map(|track| track.key()).unwrap_or_default()
    }

    async fn open(&mut self) -> Result<Result<Arc<Track>, String>, Trouble> {
        if let Some(track) = &self.track {
            return Ok(Ok(Arc::clone(track)));
        }
        let found = match await_kind(&self.step, &self.target, &self.namespace).await? {
            Ok(found) => found,
            Err(unserved) => return Ok(Err(unserved)),
        };
        let track = self.step.ctx.book.track(found);
        if self.follow {
            track.follow(self.container.as_deref());
        }
        self.track = Some(Arc::clone(&track));
        Ok(Ok(track))
    }

    /// The track; an error text if its kind isn't served yet. The first look doesn't wait, later ones wait for a
    /// change if they are told to.
    pub(super) async fn look(&mut self, wait: bool) -> Result<Result<Arc<Track>, String>, Trouble> {
        let track = match self.open().await? {
            Ok(track) => track,
            Err(unserved) => return Ok(Err(unserved)),
        };
        if wait || self.version == 0 {
            self.version = track.changed(self.version).await;
        }
        match track.error() {
            Some(error) => Err(Trouble::from_api(&error, &self.target.place)),
            None => Ok(Ok(track)),
        }
    }

    /// Waits until the book holds what there is now; an error text if that can't be had.
    pub(super) async fn catch_up(&mut self) -> Result<Result<(), String>, Trouble> {
        let track = match self.open().await? {
            Ok(track) => track,
            Err(unserved) => return Ok(Err(unserved)),
        };
        book::catch_up(&self.step.cluster, &track)
            .await
            .map_err(|error| Trouble::from_api(&error, &self.target.place))
    }

    /// What is to blame.
    pub(super) async fn causes(&self) -> Vec<String> {
        let Some(track) = &self.track else {
            return Vec::new();
        };
        let pods: Vec<_> = track.read().pods.values().cloned().collect();
        causes::of_target(&self.step, track.found(), &pods, self.container.as_deref()).await
    }
}
