//! `apply`: server-side apply of manifests.
//!
//! Invariant: what makes others possible comes first (namespaces, CRDs); the rest goes side by side; one object's
//! refusal doesn't hide the others'.

use std::time::Duration;

use futures::StreamExt;
use muster_cluster::{ApplyOptions, Query, ResolveError, Target};
use muster_model::{Object, Place};
use muster_record::Deed;
use muster_scenario::ast::Apply;
use muster_scenario::expr::Scope;
use muster_scenario::manifest;
use serde_json::{Map, Value};

use crate::context::StepContext;
use crate::failure::{self, ActionError, Trouble};
use crate::mark::{Effects, result_key};
use crate::namespaces::RUN_LABEL;
use crate::undo::Write;

/// How many requests of one action are in flight.
const SIDE_BY_SIDE: usize = 8;
/// How long a CRD may take to be served.
const ESTABLISH: Duration = Duration::from_secs(30);

struct Manifest {
    value: Value,
    place: Place,
}

impl Manifest {
    fn kind(&self) -> &str {
        self.value.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.value
            .get("metadata")
            .and_then(|m| m.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Applies.
pub(crate) async fn run(step: &StepContext, apply: &Apply, place: &Place) -> Result<Effects, ActionError> {
    let manifests = load(step, apply)?;
    if manifests.is_empty() {
        return Err(Trouble::failed("there is nothing to apply", place).into());
    }
    let (first, rest): (Vec<_>, Vec<_>) = manifests
        .into_iter()
        .partition(|manifest| matches!(manifest.kind(), "Namespace" | "CustomResourceDefinition"));
    let mut effects = Effects::default();
    let mut objects = apply_all(step, apply, &first).await?;
    for object in objects
        .iter()
        .filter(|object| object.kind() == "CustomResourceDefinition")
    {
        establish(step, object, place).await?;
    }
    objects.extend(apply_all(step, apply, &rest).await?);
    let mut result = Map::new();
    for object in &objects {
        step.wrote(&mut effects, object);
        result.insert(result_key(&object.reference()), object.0.clone());
    }
    let names: Vec<_> = objects
        .iter()
        .map(|object| object.reference().to_string())
        .collect();
    effects.summary = match names.len() {
        0..=4 => format!("applied {}", names.join(", ")),
        more => format!("applied {more} objects: {}, …", names[..3].join(", ")),
    };
    effects.result = Value::Object(result);
    Ok(effects)
}

fn load(step: &StepContext, apply: &Apply) -> Result<Vec<Manifest>, ActionError> {
    let names = step.names();
    let inputs = match &apply.with {
        Some(with) => Some(with.eval(&names).map_err(|error| Trouble::from_eval(&error))?),
        None => None,
    };
    let mut manifests = Vec::new();
    for object in &apply.objects {
        let value = object.eval(&names).map_err(|error| Trouble::from_eval(&error))?;
        manifests.push(Manifest {
            value,
            place: object.place().clone(),
        });
    }
    let mut patterns = Vec::new();
    for file in &apply.files {
        patterns.push((step.value(file)?, file.place().clone()));
    }
    if patterns.is_empty() {
        return Ok(manifests);
    }
    let expand = inputs.is_some();
    let names = manifest_names(&names, inputs);
    let loaded = manifest::load(&patterns, &step.ctx.scenario.folder, expand)
        .map_err(|diagnostics| ActionError::from(unloadable(&diagnostics)))?;
    for manifest in loaded {
        let value = manifest
            .tree
            .eval(&names)
            .map_err(|error| Trouble::from_eval(&error))?;
        manifests.push(Manifest {
            value,
            place: manifest.place,
        });
    }
    Ok(manifests)
}

/// What an expanded manifest sees: its inputs and where it is applied, nothing of the scenario's own.
fn manifest_names(scenario: &Scope, inputs: Option<Value>) -> Scope {
    let mut names = Scope::default();
    for root in ["namespace", "namespaces", "cluster", "run"] {
        if let Some(value) = scenario.get(root) {
            names.set(root, value.clone());
        }
    }
    if let Some(inputs) = inputs {
        names.set("inputs", inputs);
    }
    names
}

fn unloadable(diagnostics: &muster_model::Diagnostics) -> Trouble {
    match diagnostics.list.first() {
        Some(first) => {
            let mut trouble = Trouble::failed(first.message.clone(), &first.place);
            for help in &first.help {
                trouble = trouble.help(help.clone());
            }
            trouble
        }
        None => Trouble::failed("the manifests could not be loaded", &Place::nowhere("manifests")),
    }
}

async fn apply_all(
    step: &StepContext,
    apply: &Apply,
    manifests: &[Manifest],
) -> Result<Vec<Object>, ActionError> {
    let mut requests = Vec::new();
    for manifest in manifests {
        requests.push(apply_one(step, apply, manifest));
    }
    let results: Vec<_> = futures::stream::iter(requests)
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    let mut objects = Vec::new();
    let mut failed: Option<ActionError> = None;
    for result in results {
        match (result, &mut failed) {
            (Ok(object), _) => objects.push(object),
            (Err(error), None) => failed = Some(error),
            (Err(error), Some(first)) => {
                if let (Trouble::Failed(all) | Trouble::Environment(all), Some(other)) =
                    (&mut first.trouble, error.trouble.failure())
                {
                    all.causes.push(other.message.clone());
                }
            }
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(objects),
    }
}

/// A name must be a text: `off`, `1` and `null` are none in YAML.
fn named(manifest: &Manifest) -> Result<(), ActionError> {
    let name = manifest.value.get("metadata").and_then(|m| m.get("name"));
    let kind = match name {
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        _ => return Ok(()),
    };
    let shown = name.map(Value::to_string).unwrap_or_default();
    let message = format!("metadata.name is the {kind} {shown}, as YAML reads it");
    Err(Trouble::failed(message, &manifest.place)
        .help("quote the name")
        .into())
}

async fn apply_one(step: &StepContext, apply: &Apply, manifest: &Manifest) -> Result<Object, ActionError> {
    let place = &manifest.place;
    named(manifest)?;
    let api_version = manifest.value.get("apiVersion").and_then(Value::as_str);
    let kind = step
        .cluster
        .resolve(manifest.kind(), api_version)
        .await
        .map_err(|error| unserved(&error, place))?;
    let own = manifest
        .value
        .get("metadata")
        .and_then(|m| m.get("namespace"))
        .and_then(Value::as_str);
    let namespace = kind.namespaced.then(|| own.unwrap_or(&step.namespace).to_owned());
    let namespace = namespace.as_deref();
    let write = Write {
        deed: Deed::Apply,
        kind: &kind,
        namespace,
        name: manifest.name(),
        revert: &apply.revert,
        place,
    };
    let written = write
        .send(step, |labelled| async move {
            let mut options = ApplyOptions {
                force: step.ctx.forces,
                ..ApplyOptions::default()
            };
            if labelled {
                let run = step.ctx.options.run_id.clone();
                options.extra_labels.insert(RUN_LABEL.to_owned(), run);
            }
            step.cluster.apply(&manifest.value, namespace, &options).await
        })
        .await?;
    Ok(written.object)
}

fn unserved(error: &ResolveError, place: &Place) -> ActionError {
    match error {
        ResolveError::Api(error) => ActionError::from_api(error, place),
        error => Trouble::Failed(failure::at(error.to_string(), place)).into(),
    }
}

/// Waits until a CRD is served, so that objects of its kind can follow.
async fn establish(step: &StepContext, crd: &Object, place: &Place) -> Result<(), ActionError> {
    let kind = step
        .cluster
        .resolve("customresourcedefinitions", Some("apiextensions.k8s.io/v1"))
        .await
        .map_err(|error| unserved(&error, place))?;
    let mut watch = step.cluster.watch(Query {
        kind,
        namespace: None,
        target: Target::Name(crd.name().to_owned()),
    });
    let wait = async {
        loop {
            watch.next().await?;
            if watch
                .objects()
                .any(|crd| crate::pods::condition_is_true(crd, "Established"))
            {
                return Ok(());
            }
        }
    };
    let wait = async {
        let established: Result<(), muster_cluster::ApiError> = wait.await;
        established.map_err(|error| ActionError::from_api(&error, place))?;
        served(step, crd, place).await
    };
    match tokio::time::timeout(ESTABLISH.min(step.remaining()), wait).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::failed(
            format!("{} was not established and served in time", crd.reference()),
            place,
        )
        .into()),
    }
}

/// Waits until discovery knows the kind of a CRD, which is a moment after `Established` is true.
async fn served(step: &StepContext, crd: &Object, place: &Place) -> Result<(), ActionError> {
    let (kind, group) = (crd.text(&["spec", "names", "kind"]), crd.text(&["spec", "group"]));
    for version in crd.list(&["spec", "versions"]) {
        let name = crate::pods::text(version, &["name"]);
        if version.get("served") != Some(&Value::Bool(true)) {
            continue;
        }
        let api_version = format!("{group}/{name}");
        loop {
            match step.cluster.resolve(kind, Some(&api_version)).await {
                Ok(_) => break,
                Err(error) if crate::target::is_unknown(&error) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(unserved(&error, place)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_expanded_manifest_sees_its_inputs_and_its_place_and_nothing_of_the_scenario() {
        let mut scenario = Scope::default();
        for root in [
            "vars",
            "saved",
            "namespace",
            "namespaces",
            "cluster",
            "run",
            "self",
        ] {
            scenario.set(root, json!({}));
        }
        let names = manifest_names(&scenario, Some(json!({"a": 1})));
        let seen: Vec<_> = names.names().collect();
        assert_eq!(seen, ["cluster", "inputs", "namespace", "namespaces", "run"]);
    }
}
