//! Manifests that a scenario names literally: they must be there, and read only the inputs that they are given.
//!
//! Invariant: a missing manifest and a missing input are known before the run.

use std::collections::HashSet;

use muster_model::{Diagnostic, Diagnostics, Place};
use serde_json::Value;

use super::names::unknown;
use super::walk::steps;
use crate::ast::{ActionKind, Apply, Scenario};
use crate::expr::{Program, Tree};
use crate::manifest::{self, Manifest};

/// What an expanded manifest sees.
const ROOTS: &[&str] = &["inputs", "namespace", "namespaces", "cluster", "run"];

/// Loads and checks the manifests of all `apply` actions. Gives the names of the objects in them.
pub(super) fn check(scenario: &Scenario, out: &mut Diagnostics) -> HashSet<String> {
    let mut names = HashSet::new();
    for action in steps(scenario).filter_map(|step| step.action.as_ref()) {
        let ActionKind::Apply(apply) = &action.kind else {
            continue;
        };
        names.extend(apply.objects.iter().filter_map(name_of));
        let literal =
            |file: &crate::expr::Templated<String>| Some((file.literal()?.clone(), file.place().clone()));
        let patterns: Vec<(String, Place)> = apply.files.iter().filter_map(literal).collect();
        match manifest::load(&patterns, &scenario.folder, apply.with.is_some()) {
            Ok(manifests) => {
                names.extend(manifests.iter().filter_map(|manifest| name_of(&manifest.tree)));
                let all = patterns.len() == apply.files.len();
                inputs(apply, &action.place, &manifests, all, out);
            }
            Err(errors) => out.extend(errors),
        }
    }
    names
}

fn name_of(tree: &Tree) -> Option<String> {
    match tree.get("metadata")?.get("name")?.literal()? {
        Value::String(name) => Some(name),
        _ => None,
    }
}

fn inputs(apply: &Apply, place: &Place, manifests: &[Manifest], all: bool, out: &mut Diagnostics) {
    let Some(with) = &apply.with else {
        manifests
            .iter()
            .for_each(|manifest| unexpanded(manifest, place, out));
        return;
    };
    let mut read = HashSet::new();
    for manifest in manifests {
        for program in manifest
            .tree
            .templates()
            .into_iter()
            .flat_map(|template| template.programs())
        {
            check_program(program, apply, with, &mut read, out);
        }
    }
    for (name, place) in apply
        .inputs
        .iter()
        .filter(|(name, _)| all && !read.contains(name))
    {
        out.push(
            Diagnostic::warning(
                "unused-input",
                format!("no manifest reads `inputs.{name}`"),
                place,
            )
            .help("take it out, or write ${{ inputs.... }} into the manifest"),
        );
    }
}

fn check_program(
    program: &Program,
    apply: &Apply,
    with: &Tree,
    read: &mut HashSet<String>,
    out: &mut Diagnostics,
) {
    let references = program.references();
    for mut diagnostic in program.check(ROOTS) {
        if references
            .iter()
            .any(|r| r.place == diagnostic.place && matches!(r.path[0].as_str(), "vars" | "saved"))
        {
            diagnostic = diagnostic.help(
                "a manifest reads only what it is given: pass the value in `with`, read it as `inputs.name`",
            );
        }
        out.push(diagnostic);
    }
    for reference in references
        .iter()
        .filter(|reference| reference.path[0] == "inputs")
    {
        let Some(name) = reference.path.get(1) else {
            // `inputs` as a whole reads them all.
            read.extend(apply.inputs.iter().map(|(name, _)| name.clone()));
            continue;
        };
        read.insert(name.clone());
        match with.get(name) {
            None => {
                let known = apply.inputs.iter().map(|(name, _)| name.as_str());
                out.push(
                    unknown("input", name, &reference.place, known)
                        .related(with.place(), "the inputs are given here"),
                );
            }
            Some(value) => {
                if let Some(value) = value.literal() {
                    super::names::below(&reference.path[1..], &value, &reference.place, out);
                }
            }
        }
    }
}

/// A template in a manifest that is sent as it is.
fn unexpanded(manifest: &Manifest, action: &Place, out: &mut Diagnostics) {
    let Some(text) = manifest.tree.literal().and_then(|value| template_in(&value)) else {
        return;
    };
    let file = &manifest.place.file;
    let start = manifest.place.span.start;
    // A text with escapes isn't found as it is: then the object must do.
    let place = file.text()[start..].find(&text).map_or_else(
        || manifest.place.clone(),
        |at| Place::new(file.clone(), start + at..start + at + text.len()),
    );
    out.push(
        Diagnostic::warning("unexpanded", format!("`{text}` is sent as it is"), &place)
            .related(action, "this action has no `with`")
            .help("manifests are expanded only if the action has `with`"),
    );
}

fn template_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let start = text.find("${{")?;
            let end = text[start..].find("}}")?;
            Some(text[start..start + end + 2].to_owned())
        }
        Value::Array(items) => items.iter().find_map(template_in),
        Value::Object(map) => map.values().find_map(template_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
