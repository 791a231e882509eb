//! Writes of actions: what existed before is saved, unless it stays or goes with a namespace of the scenario.
//!
//! Invariant: the object as it was is in the ledger before the request is sent.

use std::future::Future;

use muster_cluster::{ApiError, Kind, Written};
use muster_model::Place;
use muster_record::Deed;
use muster_scenario::ast::Revert;

use crate::context::StepContext;
use crate::failure::ActionError;

/// A write of an action.
pub(crate) struct Write<'w> {
    pub(crate) deed: Deed,
    pub(crate) kind: &'w Kind,
    pub(crate) namespace: Option<&'w str>,
    pub(crate) name: &'w str,
    pub(crate) revert: &'w Revert,
    pub(crate) place: &'w Place,
}

impl Write<'_> {
    /// Sends the request. It is told whether the run's label belongs on the object: on what the scenario makes, or has
    /// made, outside its own namespaces.
    ///
    /// # Errors
    /// The API server's, and a ledger that can't be written.
    pub(crate) async fn send<F>(
        &self,
        step: &StepContext,
        request: impl FnOnce(bool) -> F,
    ) -> Result<Written, ActionError>
    where
        F: Future<Output = Result<Written, ApiError>>,
    {
        let api = |error| ActionError::from_api(&error, self.place);
        let own = self
            .namespace
            .is_some_and(|namespace| step.ctx.is_own_namespace(namespace));
        if own || *self.revert != Revert::Yes {
            return request(false).await.map_err(api);
        }
        let before = step
            .cluster
            .get(self.kind, self.namespace, self.name)
            .await
            .map_err(api)?;
        if before.is_none() && self.deed != Deed::Apply {
            // The API server's own words for an object that isn't there.
            return request(false).await.map_err(api);
        }
        let labelled = before
            .as_ref()
            .is_none_or(|before| step.ctx.undo.made(before.uid()));
        let reference = self.kind.reference(self.namespace, self.name);
        step.ctx
            .undo
            .record(self.deed, reference, before, self.place, request(labelled))
            .await
    }
}
