//! Namespaces of a scenario: existing, created, or leased under a fresh name.
//!
//! Invariant: a namespace that the scenario did not make is never deleted.

use std::time::{Duration, Instant};

use muster_cluster::{ErrorClass, Kind, Query, Target};
use muster_model::event::EventKind;
use muster_model::{ObjectRef, Place};
use muster_record::Deed;
use muster_scenario::ast::NamespaceSource;
use muster_scenario::expr::Templated;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::failure::{ActionError, Trouble};
use crate::undo::await_gone;
use crate::values;

/// The label on everything that a run makes outside its own namespaces, and on these.
pub(crate) const RUN_LABEL: &str = "muster.dev/run";
/// The alias of the namespace of a scenario that names none.
const IMPLIED: &str = "test";
/// How long a namespace of the same name may take to go.
const GOING: Duration = Duration::from_secs(60);
/// How long the default ServiceAccount may take to come: pods can't be created before.
const ACCOUNT: Duration = Duration::from_secs(15);

/// Gives variables their values and makes the namespaces.
pub(crate) async fn set_up(ctx: &Context) -> Result<(), Trouble> {
    // A name that is a literal, or new, can be seen by variables; one made of variables comes after them.
    let mut names: Vec<Option<String>> = Vec::new();
    for namespace in &ctx.scenario.namespaces {
        names.push(match &namespace.source {
            NamespaceSource::Existing(name) | NamespaceSource::Create { name, .. } => name.literal().cloned(),
            NamespaceSource::Lease { .. } => {
                Some(format!("muster-{}-{}", slug(&namespace.alias), values::suffix()))
            }
        });
    }
    if ctx.scenario.namespaces.is_empty() {
        let name = format!("muster-{IMPLIED}-{}", values::suffix());
        values::set_all(ctx, &name, &Map::from_iter([(IMPLIED.to_owned(), json!(name))]))?;
        return create(ctx, IMPLIED, &name, &[], &ctx.scenario.place).await;
    }
    let first = names.first().cloned().flatten().unwrap_or_default();
    let known = ctx
        .scenario
        .namespaces
        .iter()
        .zip(&names)
        .filter_map(|(namespace, name)| Some((namespace.alias.clone(), json!(name.as_ref()?))))
        .collect();
    values::set_all(ctx, &first, &known)?;
    for (namespace, name) in ctx.scenario.namespaces.iter().zip(names) {
        let name = match (name, &namespace.source) {
            (Some(name), _) => name,
            (None, NamespaceSource::Existing(field) | NamespaceSource::Create { name: field, .. }) => field
                .eval(&ctx.names(&first))
                .map_err(|error| Trouble::from_eval(&error))?,
            (None, NamespaceSource::Lease { .. }) => continue,
        };
        match &namespace.source {
            NamespaceSource::Existing(_) => find(ctx, &namespace.alias, &name, &namespace.place).await?,
            NamespaceSource::Create { labels, .. } | NamespaceSource::Lease { labels } => {
                create(ctx, &namespace.alias, &name, labels, &namespace.place).await?;
            }
        }
    }
    Ok(())
}

fn slug(text: &str) -> String {
    let slug: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(30)
        .collect();
    slug.trim_matches('-').to_owned()
}

async fn kind(ctx: &Context, place: &Place) -> Result<Kind, Trouble> {
    ctx.cluster
        .resolve("namespaces", Some("v1"))
        .await
        .map_err(|error| Trouble::Environment(crate::failure::at(error.to_string(), place)))
}

async fn find(ctx: &Context, alias: &str, name: &str, place: &Place) -> Result<(), Trouble> {
    let kind = kind(ctx, place).await?;
    let found = ctx
        .cluster
        .get(&kind, None, name)
        .await
        .map_err(|error| Trouble::from_api(&error, place))?;
    match found {
        Some(object) if object.is_terminating() => Err(Trouble::failed(
            format!("namespace {name} is being deleted"),
            place,
        )),
        Some(_) => {
            ready(ctx, alias, name, false);
            Ok(())
        }
        None => Err(Trouble::failed(format!("namespace {name} does not exist"), place)
            .help("`existing:` names a namespace that must be there; `create:` makes one for the scenario")),
    }
}

fn ready(ctx: &Context, alias: &str, name: &str, created: bool) {
    ctx.add_namespace(alias, name, created);
    ctx.emit(EventKind::NamespaceReady {
        alias: alias.to_owned(),
        name: name.to_owned(),
        created,
    });
}

async fn create(
    ctx: &Context,
    alias: &str,
    name: &str,
    labels: &[(String, Templated<String>)],
    place: &Place,
) -> Result<(), Trouble> {
    let kind = kind(ctx, place).await?;
    let mut all = Map::new();
    for (key, field) in labels {
        let value = field
            .eval(&ctx.names(name))
            .map_err(|error| Trouble::from_eval(&error))?;
        all.insert(key.clone(), Value::String(value));
    }
    all.insert(RUN_LABEL.to_owned(), json!(ctx.options.run_id));
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": all},
    });
    let reference = kind.reference(None, name);
    let mut made = post(ctx, &reference, &manifest, place).await;
    if let Err(error) = &made
        && error.facts.reason.as_deref() == Some("AlreadyExists")
    {
        await_former(ctx, &kind, &reference, place).await?;
        made = post(ctx, &reference, &manifest, place).await;
    }
    made.map_err(|error| error.trouble)?;
    ready(ctx, alias, name, true);
    await_account(ctx, name, place).await
}

async fn post(
    ctx: &Context,
    reference: &ObjectRef,
    manifest: &Value,
    place: &Place,
) -> Result<(), ActionError> {
    let request = ctx.cluster.create(manifest, None);
    ctx.undo
        .record(Deed::Create, reference.clone(), None, place, request)
        .await
        .map(|_| ())
}

/// A namespace of this name exists: if it is going, waits until it is gone.
async fn await_former(
    ctx: &Context,
    kind: &Kind,
    reference: &ObjectRef,
    place: &Place,
) -> Result<(), Trouble> {
    let name = &reference.name;
    let found = ctx
        .cluster
        .get(kind, None, name)
        .await
        .map_err(|error| Trouble::from_api(&error, place))?;
    let Some(former) = found else { return Ok(()) };
    if !former.is_terminating() {
        let mut trouble = Trouble::failed(format!("namespace {name} exists already"), place)
            .help("`create:` makes a namespace of its own and deletes it at the end; `existing:` uses one that is there");
        if let Some(run) = former.label(RUN_LABEL) {
            trouble = trouble.help(format!(
                "it was left by run {run}: `kubectl delete namespace {name}` removes it"
            ));
        }
        return Err(trouble);
    }
    await_gone(
        &ctx.cluster,
        kind,
        reference,
        former.uid(),
        Instant::now() + GOING,
    )
    .await
    .map_err(|why| Trouble::failed(format!("namespace {name} is still being deleted: {why}"), place))
}

async fn await_account(ctx: &Context, namespace: &str, place: &Place) -> Result<(), Trouble> {
    let kind = ctx
        .cluster
        .resolve("serviceaccounts", Some("v1"))
        .await
        .map_err(|error| Trouble::Environment(crate::failure::at(error.to_string(), place)))?;
    let mut watch = ctx.cluster.watch(Query {
        kind,
        namespace: Some(namespace.to_owned()),
        target: Target::Name("default".to_owned()),
    });
    let wait = async {
        loop {
            watch.next().await?;
            if watch.objects().next().is_some() {
                return Ok::<(), muster_cluster::ApiError>(());
            }
        }
    };
    tokio::select! {
        () = ctx.interrupted() => Err(Trouble::Interrupted),
        waited = tokio::time::timeout(ACCOUNT, wait) => match waited {
            Ok(Ok(())) => Ok(()),
            // Who may not read service accounts may still run scenarios without pods.
            Ok(Err(error)) if error.class == ErrorClass::Forbidden => Ok(()),
            Ok(Err(error)) => Err(Trouble::from_api(&error, place)),
            Err(_) => Err(Trouble::Environment(crate::failure::at(
                format!(
                    "serviceaccount/default of namespace {namespace} did not appear within {}: does the cluster's controller manager run?",
                    crate::wait::human(ACCOUNT)
                ),
                place,
            ))),
        },
    }
}
