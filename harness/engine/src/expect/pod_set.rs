//! A watch on the pods of a target from within a step.
//!
//! Invariant: until the kind is served nothing was observed.

use std::sync::Arc;

use muster_scenario::ast::Target;

use crate::context::StepContext;
use crate::expect::watched::describe;
use crate::failure::Trouble;
use crate::pods::{PodChange, PodWatch};
use crate::target::{Found, await_kind, unserved};

/// The pods of a target as they change.
pub(crate) struct PodSet {
    step: Arc<StepContext>,
    target: Target,
    namespace: String,
    found: Option<Found>,
    watch: Option<PodWatch>,
}

impl PodSet {
    /// No request is sent before the first look.
    pub(crate) fn new(step: &Arc<StepContext>, target: &Target, namespace: String) -> Self {
        Self {
            step: Arc::clone(step),
            target: target.clone(),
            namespace,
            found: None,
            watch: None,
        }
    }

    /// Finds the kind; an error text if it isn't served yet.
    pub(crate) async fn find(&mut self) -> Result<Result<Found, String>, Trouble> {
        if self.found.is_none() {
            match await_kind(&self.step, &self.target, &self.namespace).await? {
                Ok(found) => self.found = Some(found),
                Err(unserved) => return Ok(Err(unserved)),
            }
        }
        match &self.found {
            Some(found) => Ok(Ok(found.clone())),
            None => Ok(Err(format!("the cluster does not serve {}", self.target.kind))),
        }
    }

    /// The first call lists; later ones wait for a change. True: what happened in between is unknown.
    pub(crate) async fn next(&mut self) -> Result<bool, Trouble> {
        if self.watch.is_none()
            && let Some(found) = self.found.clone()
        {
            let pod_kind = self
                .step
                .cluster
                .resolve("pods", Some("v1"))
                .await
                .map_err(|error| unserved(&error, &self.target.place))?;
            self.watch = Some(PodWatch::new(&self.step.cluster, pod_kind, found));
        }
        let Some(watch) = self.watch.as_mut() else {
            return Ok(false);
        };
        let change = watch
            .next()
            .await
            .map_err(|error| Trouble::from_api(&error, &self.target.place))?;
        Ok(change == PodChange::Gap)
    }

    /// Forgets what was seen, so that the next look lists anew.
    pub(crate) fn reset(&mut self) {
        self.watch = None;
    }

    /// The watch, once it was looked at.
    pub(crate) fn watch(&self) -> Option<&PodWatch> {
        self.watch.as_ref()
    }

    /// The target on this cluster, once its kind is known.
    pub(crate) fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// What the target is called.
    pub(crate) fn display(&self) -> String {
        self.found
            .as_ref()
            .map_or_else(|| describe(&self.target), Found::display)
    }

    /// The step.
    pub(crate) fn step(&self) -> &Arc<StepContext> {
        &self.step
    }
}
