//! Targets: from what a scenario names to a kind, a namespace and names on this cluster.
//!
//! Invariant: a kind that the cluster doesn't serve is an error with suggestions for an action, and "not yet" for an
//! expectation.

use std::time::Duration;

use muster_cluster::{Kind, Query, ResolveError, Selector, Target as QueryTarget};
use muster_model::{ObjectRef, Place};
use muster_scenario::ast::{Select, Target};

use crate::context::StepContext;
use crate::failure::{self, Trouble};

/// How often a kind that isn't served is asked for again.
const DISCOVERY_PAUSE: Duration = Duration::from_millis(500);

/// A target on this cluster.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// `None` for cluster-scoped kinds.
    pub(crate) namespace: Option<String>,
    pub(crate) which: Which,
    pub(crate) place: Place,
}

/// Which objects.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    Name(String),
    Labels(Selector),
}

impl Found {
    /// `pod/spire-server-0`, `pods -l app=x`.
    pub(crate) fn display(&self) -> String {
        match &self.which {
            Which::Name(name) => format!("{}/{name}", self.kind.kind.to_lowercase()),
            Which::Labels(labels) => format!("{} -l {labels}", self.kind.plural),
        }
    }

    /// What to watch.
    pub(crate) fn query(&self) -> Query {
        Query {
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            target: match &self.which {
                Which::Name(name) => QueryTarget::Name(name.clone()),
                Which::Labels(labels) => QueryTarget::Labels(labels.clone()),
            },
        }
    }

    /// The one object, if the target names one.
    pub(crate) fn reference(&self) -> Option<ObjectRef> {
        match &self.which {
            Which::Name(name) => Some(failure::reference(&self.kind, self.namespace.as_deref(), name)),
            Which::Labels(_) => None,
        }
    }

    /// The name, if the target names one object.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.which {
            Which::Name(name) => Some(name),
            Which::Labels(_) => None,
        }
    }
}

/// Finds a target for an action: what the cluster doesn't serve is an error at once.
pub(crate) async fn find(step: &StepContext, target: &Target, namespace: &str) -> Result<Found, Trouble> {
    match resolve(step, target).await {
        Ok(kind) => located(step, target, kind, namespace),
        Err(error) => Err(unserved(&error, &target.place)),
    }
}

/// Finds a target for an expectation: waits for a kind that isn't served yet, until the step's deadline or `within`.
pub(crate) async fn await_kind(
    step: &StepContext,
    target: &Target,
    namespace: &str,
) -> Result<Result<Found, String>, Trouble> {
    match resolve(step, target).await {
        Ok(kind) => located(step, target, kind, namespace).map(Ok),
        Err(error) if is_unknown(&error) => {
            tokio::time::sleep(DISCOVERY_PAUSE).await;
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(unserved(&error, &target.place)),
    }
}

async fn resolve(step: &StepContext, target: &Target) -> Result<Kind, ResolveError> {
    step.cluster
        .resolve(&target.kind, target.api_version.as_deref())
        .await
}

/// Whether the cluster serves no such kind (yet).
pub(crate) fn is_unknown(error: &ResolveError) -> bool {
    matches!(error, ResolveError::Unknown { .. })
}

/// A kind that can't be had: the environment's failure if the cluster could not be asked, else the scenario's.
pub(crate) fn unserved(error: &ResolveError, place: &Place) -> Trouble {
    match error {
        ResolveError::Api(api) => Trouble::from_api(api, place),
        _ => Trouble::failed(error.to_string(), place),
    }
}

fn located(step: &StepContext, target: &Target, kind: Kind, namespace: &str) -> Result<Found, Trouble> {
    let which = match &target.select {
        Select::Name(name) => Which::Name(step.value(name)?),
        Select::Labels(labels) => Which::Labels(step.map(labels)?.into_iter().collect()),
    };
    let namespace = kind.namespaced.then(|| namespace.to_owned());
    Ok(Found {
        kind,
        namespace,
        which,
        place: target.place.clone(),
    })
}
