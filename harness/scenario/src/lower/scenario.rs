//! A document as a scenario.
//!
//! Invariant: see `lower`.

use std::collections::BTreeMap;
use std::path::Path;

use muster_model::{Diagnostic, Diagnostics};

use super::fields::Fields;
use super::{read, setup, step};
use crate::ast::{Requires, Scenario};
use crate::node::Node;
use crate::schema;

/// Lowers a document whose paths are relative to `folder`. `None` if anything in it is an error.
pub fn scenario(node: &Node, folder: &Path, out: &mut Diagnostics) -> Option<Scenario> {
    let before = out.errors();
    let fields = Fields::open(node, &node.place, &[&schema::SCENARIO], out)?;
    let title = fields.require("scenario", out, read::text);
    let labels = fields.read("labels", out, labels);
    let requires = fields.read("requires", out, requires);
    let timeout = fields.read("timeout", out, read::duration);
    let namespaces = fields.read("namespaces", out, read::map("namespaces", setup::namespace));
    if let Some(entry) = fields
        .get("namespaces")
        .filter(|entry| entry.value.entries().is_some_and(<[_]>::is_empty))
    {
        out.push(
            Diagnostic::error(
                "empty-list",
                "expected at least one namespace, found an empty map",
                &entry.value.place,
            )
            .help("leave `namespaces` out for a fresh namespace named `test`"),
        );
    }
    let vars = fields.read("vars", out, read::map("vars", setup::var));
    let connections = fields.read("connections", out, read::map("connections", setup::connection));
    let locks = fields.read("locks", out, read::list("locks", read::text));
    let steps = fields.require("steps", out, read::list("steps", step::step));
    let finally = fields.read("finally", out, read::list("steps", step::step));
    if out.errors() > before {
        return None;
    }
    let steps = steps?;
    if !steps
        .iter()
        .any(|step| !step.expect.is_empty() || step.fails.is_some())
    {
        let place = fields
            .get("steps")
            .map_or(fields.place(), |entry| &entry.key_place);
        out.push(
            Diagnostic::error(
                "checks-nothing",
                "this scenario expects nothing, so it would always pass",
                place,
            )
            .help("add `expect` to a step: what must be seen after its action?"),
        );
        return None;
    }
    let place = fields
        .get("scenario")
        .map_or(fields.place(), |entry| &entry.value.place)
        .clone();
    Some(Scenario {
        title: title?,
        place,
        folder: folder.to_owned(),
        labels: labels.unwrap_or_default(),
        requires: requires.unwrap_or_default(),
        timeout,
        timeout_place: fields.get("timeout").map(|entry| entry.value.place.clone()),
        namespaces: namespaces.unwrap_or_default(),
        vars: vars.unwrap_or_default(),
        connections: connections.unwrap_or_default(),
        locks: locks.unwrap_or_default(),
        steps,
        finally: finally.unwrap_or_default(),
    })
}

fn labels(node: &Node, out: &mut Diagnostics) -> Option<BTreeMap<String, String>> {
    let labels = read::map("labels", |entry, out| {
        Some((entry.key.clone(), read::text(&entry.value, out)?))
    })(node, out)?;
    Some(labels.into_iter().collect())
}

fn requires(node: &Node, out: &mut Diagnostics) -> Option<Requires> {
    let fields = Fields::open(node, &node.place, &[&schema::REQUIRES], out)?;
    let crds = fields.read(
        "crds",
        out,
        read::list("names of CRDs", |node, out| {
            let name = read::text(node, out)?;
            if !name.contains('.') {
                let message = format!("`{name}` is no name of a CRD");
                out.push(
                    Diagnostic::error("bad-name", message, &node.place)
                        .help("write plural.group, such as spireservers.operator.openshift.io"),
                );
                return None;
            }
            Some((name, node.place.clone()))
        }),
    );
    Some(Requires {
        crds: crds.unwrap_or_default(),
    })
}
