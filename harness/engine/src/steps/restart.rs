//! `restart`: by a rollout or by deleting the pods.
//!
//! Invariant: the pods that ran before never satisfy what the step expects afterwards; a pod that nothing would make
//! anew is never deleted.

use jiff::Timestamp;
use muster_cluster::{DeleteOptions, Deletion, FIELD_MANAGER, Patch};
use muster_model::{Object, Place};
use muster_scenario::ast::{Restart, RestartBy};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::failure::{ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::target::{existing, named, pods_of};
use crate::target::{find, unserved};
use crate::undo::await_gone;

/// Restarts.
pub(crate) async fn run(step: &StepContext, restart: &Restart) -> Result<Effects, ActionError> {
    match restart.by {
        RestartBy::Rollout => rollout(step, restart).await,
        RestartBy::Delete => delete(step, restart).await,
    }
}

/// As `kubectl rollout restart`: an annotation on the pod template with the time
/// (k8s.io/kubectl/pkg/polymorphichelpers/objectrestarter.go).
async fn rollout(step: &StepContext, restart: &Restart) -> Result<Effects, ActionError> {
    let place = &restart.target.place;
    let (found, name) = named(step, &restart.target).await?;
    if !matches!(
        found.kind.kind.as_str(),
        "Deployment" | "StatefulSet" | "DaemonSet"
    ) {
        return Err(Trouble::failed(
            format!("{} can't be restarted by a rollout", found.display()),
            place,
        )
        .help("only a Deployment, StatefulSet or DaemonSet can; `by: delete` deletes the pods")
        .into());
    }
    for object in existing(step, &found).await? {
        rolls(&object, place)?;
    }
    let before = pods_of(step, &found).await?;
    let patch = Patch::Merge(json!({"spec": {"template": {"metadata": {"annotations": {
        "kubectl.kubernetes.io/restartedAt": Timestamp::now().to_string(),
    }}}}}));
    let written = step
        .cluster
        .patch(
            &found.kind,
            found.namespace.as_deref(),
            &name,
            &patch,
            None,
            FIELD_MANAGER,
        )
        .await
        .map_err(|error| ActionError::from_api(&error, place))?;
    let mut effects = Effects::default();
    step.wrote(&mut effects, &written.object);
    effects
        .removed
        .extend(before.iter().map(|pod| pod.uid().to_owned()));
    effects.summary = format!("restarted {} by a rollout", found.display());
    effects.result = written.object.0;
    Ok(effects)
}

/// Whether a change of the template replaces the pods.
fn rolls(object: &Object, place: &Place) -> Result<(), Trouble> {
    let reference = object.reference();
    if object.text(&["spec", "updateStrategy", "type"]) == "OnDelete" {
        let message =
            format!("{reference} has the update strategy OnDelete: a rollout replaces none of its pods");
        return Err(Trouble::failed(message, place).help("use `by: delete`"));
    }
    if object.at(&["spec", "paused"]) == Some(&Value::Bool(true)) {
        let message = format!("{reference} is paused: a rollout replaces none of its pods");
        return Err(Trouble::failed(message, place)
            .help("resume it first: `patch` with `merge: {spec: {paused: false}}`, or use `by: delete`"));
    }
    Ok(())
}

/// Whether something makes the pod anew.
fn comes_back(pod: &Object, place: &Place) -> Result<(), Trouble> {
    let controlled = pod
        .list(&["metadata", "ownerReferences"])
        .iter()
        .any(|owner| owner.get("controller") == Some(&Value::Bool(true)));
    if controlled {
        return Ok(());
    }
    let message = format!(
        "{} has no controller: nothing would make it anew",
        pod.reference()
    );
    Err(Trouble::failed(message, place)
        .help("restart what owns pods; `delete` deletes a pod, and one that was there before is made again at the end"))
}

async fn delete(step: &StepContext, restart: &Restart) -> Result<Effects, ActionError> {
    let place = &restart.target.place;
    let found = find(step, &restart.target, &step.namespace).await?;
    existing(step, &found).await?;
    let pods = pods_of(step, &found).await?;
    if pods.is_empty() {
        return Err(Trouble::failed(format!("{} has no pods to restart", found.display()), place).into());
    }
    for pod in &pods {
        comes_back(pod, place)?;
    }
    let kind = step
        .cluster
        .resolve("pods", Some("v1"))
        .await
        .map_err(|error| unserved(&error, place))?;
    let deletions = pods.iter().map(|pod| {
        let (kind, pod) = (&kind, pod);
        async move {
            let uid = pod.uid().to_owned();
            let options = DeleteOptions {
                uid: Some(uid.clone()),
                ..DeleteOptions::default()
            };
            let answer = step
                .cluster
                .delete(kind, pod.namespace(), pod.name(), &options)
                .await
                .map_err(|error| ActionError::from_api(&error, place))?;
            if let Deletion::Terminating { uid } = answer {
                await_gone(&step.cluster, kind, &pod.reference(), &uid, step.deadline)
                    .await
                    .map_err(|why| Trouble::failed(why, place))?;
            }
            Ok::<_, ActionError>(uid)
        }
    });
    let mut effects = Effects::default();
    let all = futures::future::join_all(deletions);
    let uids = tokio::select! {
        () = step.ctx.interrupted() => return Err(Trouble::Interrupted.into()),
        uids = all => uids,
    };
    for uid in uids {
        effects.removed.insert(uid?);
    }
    let names: Vec<_> = pods.iter().map(|pod| pod.name().to_owned()).collect();
    effects.summary = format!("restarted {}: deleted {}", found.display(), names.join(", "));
    Ok(effects)
}
