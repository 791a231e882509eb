//! A watch on the objects of a target, from the resolution of its kind to its current set.
//!
//! Invariant: until the kind is served nothing was observed: the set is unknown, not empty.

use std::sync::Arc;

use muster_cluster::{Change, Watch};
use muster_model::Object;
use muster_scenario::ast::Target;

use crate::context::StepContext;
use crate::failure::Trouble;
use crate::target::{Found, await_kind};

/// The objects of a target as they change.
pub(crate) struct Watched {
    step: Arc<StepContext>,
    target: Target,
    namespace: String,
    found: Option<Found>,
    watch: Option<Watch>,
}

/// What a look gave.
pub(crate) enum Look {
    /// The current set can be read.
    Seen {
        /// What happened in between is unknown.
        gap: bool,
    },
    /// The kind isn't served (yet).
    Unserved(String),
}

impl Watched {
    /// Watches a target. No request is sent before the first look.
    pub(crate) fn new(step: &Arc<StepContext>, target: &Target, namespace: String) -> Self {
        Self {
            step: Arc::clone(step),
            target: target.clone(),
            namespace,
            found: None,
            watch: None,
        }
    }

    /// The first call lists; later ones wait for a change.
    pub(crate) async fn next(&mut self) -> Result<Look, Trouble> {
        if self.watch.is_none() {
            match self.find().await? {
                Ok(found) => self.watch = Some(self.step.cluster.watch(found.query())),
                Err(unserved) => return Ok(Look::Unserved(unserved)),
            }
        }
        let Some(watch) = self.watch.as_mut() else {
            return Ok(Look::Seen { gap: false });
        };
        let change = watch
            .next()
            .await
            .map_err(|error| Trouble::from_api(&error, &self.target.place))?;
        match change {
            Change::Applied(object) | Change::Deleted(object) => self.step.ctx.saw(object.reference()),
            Change::Synced => {
                for object in watch.objects() {
                    self.step.ctx.saw(object.reference());
                }
            }
            Change::Relisted => return Ok(Look::Seen { gap: true }),
            Change::Unserved => {
                return Ok(Look::Unserved(format!(
                    "the cluster does not serve {}",
                    self.target.kind
                )));
            }
        }
        Ok(Look::Seen { gap: false })
    }

    /// Lists anew.
    pub(crate) async fn fresh(&mut self) -> Result<Look, Trouble> {
        self.watch = None;
        self.next().await
    }

    async fn find(&mut self) -> Result<Result<Found, String>, Trouble> {
        if let Some(found) = &self.found {
            return Ok(Ok(found.clone()));
        }
        let found = await_kind(&self.step, &self.target, &self.namespace).await?;
        if let Ok(found) = &found {
            self.found = Some(found.clone());
        }
        Ok(found)
    }

    /// The current set, by name.
    pub(crate) fn objects(&self) -> Vec<Arc<Object>> {
        let mut objects: Vec<_> = self
            .watch
            .as_ref()
            .map(|watch| watch.objects().cloned().collect())
            .unwrap_or_default();
        objects.sort_by(|a: &Arc<Object>, b| a.name().cmp(b.name()));
        objects
    }

    /// The target on this cluster, once its kind is known.
    pub(crate) fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// What the target is called.
    pub(crate) fn display(&self) -> String {
        match &self.found {
            Some(found) => found.display(),
            None => describe(&self.target),
        }
    }

    /// The step.
    pub(crate) fn step(&self) -> &Arc<StepContext> {
        &self.step
    }
}

/// What a target is called before its kind is known: its text in the file.
pub(crate) fn describe(target: &Target) -> String {
    match &target.select {
        muster_scenario::ast::Select::Name(name) => match name.literal() {
            Some(name) => format!("{}/{name}", target.kind),
            None => format!(
                "{}/{}",
                target.kind,
                name.place().text().rsplit('/').next().unwrap_or_default()
            ),
        },
        muster_scenario::ast::Select::Labels(labels) => {
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| match value.literal() {
                    Some(value) => format!("{key}={value}"),
                    None => format!("{key}={}", value.place().text()),
                })
                .collect();
            format!("{} -l {}", target.kind, labels.join(","))
        }
    }
}
