//! Targets of actions: one object by name, or those that labels choose.
//!
//! Invariant: an action never acts on nothing without saying so.

use std::sync::Arc;

use muster_model::{Object, Place};
use muster_scenario::ast::Target;

use crate::context::StepContext;
use crate::failure::{ActionError, FailureFacts, Trouble};
use crate::pods::{self, PodWatch};
use crate::target::{Found, Which, find, unserved};

/// The one object that a target names.
pub(crate) async fn named(step: &StepContext, target: &Target) -> Result<(Found, String), ActionError> {
    let found = find(step, target, &step.namespace).await?;
    match found.name().map(str::to_owned) {
        Some(name) => Ok((found, name)),
        None => {
            Err(Trouble::failed("this action takes one object by name, not labels", &target.place).into())
        }
    }
}

/// The objects that a target means now; none is a failure like the API server's 404.
pub(crate) async fn existing(step: &StepContext, found: &Found) -> Result<Vec<Arc<Object>>, ActionError> {
    let namespace = found.namespace.as_deref();
    let api = |error| ActionError::from_api(&error, &found.place);
    let objects = match &found.which {
        Which::Name(name) => step
            .cluster
            .get(&found.kind, namespace, name)
            .await
            .map_err(api)?
            .map(Arc::new)
            .into_iter()
            .collect(),
        Which::Labels(selector) => {
            step.cluster
                .list(&found.kind, namespace, selector)
                .await
                .map_err(api)?
                .objects
        }
    };
    if objects.is_empty() {
        return Err(missing(step, found, &found.place));
    }
    for object in &objects {
        step.ctx.saw(object.reference());
    }
    Ok(objects)
}

fn missing(step: &StepContext, found: &Found, place: &Place) -> ActionError {
    let message = match &found.namespace {
        Some(namespace) => format!("{} does not exist in namespace {namespace}", found.display()),
        None => format!("{} does not exist", found.display()),
    };
    ActionError {
        facts: Box::new(FailureFacts {
            reason: Some("NotFound".to_owned()),
            status: Some(404),
            message: Some(message.clone()),
            ..FailureFacts::default()
        }),
        trouble: Trouble::failed(message, place).help(crate::causes::look_hint(step, found)),
    }
}

/// The pods that belong to a target now: itself, or those of an owner or a selector.
pub(crate) async fn pods_of(step: &StepContext, found: &Found) -> Result<Vec<Arc<Object>>, ActionError> {
    if !PodWatch::can_own_pods(&found.kind) {
        return Err(
            Trouble::failed(format!("{} has no pods", found.display()), &found.place)
                .help("name a pod, a Deployment, StatefulSet, DaemonSet, ReplicaSet or Job")
                .into(),
        );
    }
    let kind = step
        .cluster
        .resolve("pods", Some("v1"))
        .await
        .map_err(|error| unserved(&error, &found.place))?;
    let mut watch = PodWatch::new(&step.cluster, kind, found.clone());
    watch
        .next()
        .await
        .map_err(|error| ActionError::from_api(&error, &found.place))?;
    Ok(watch.pods())
}

/// A pod to run a command in: ready, else running.
pub(crate) fn choose(pods: &[Arc<Object>]) -> Option<&Arc<Object>> {
    pods.iter().find(|pod| pods::is_ready(pod)).or_else(|| {
        pods.iter()
            .find(|pod| !pod.is_terminating() && pod.text(&["status", "phase"]) == "Running")
    })
}
