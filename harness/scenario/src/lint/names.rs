//! The names that expressions read: roots, vars, namespaces, connections.
//!
//! Invariant: a name that can't be there at run time is an error before the run, with the nearest known one.

use muster_model::{Diagnostic, Diagnostics, Place};
use serde_json::Value;

use super::walk::{Found, Site, steps};
use crate::ast::{Connection, Expectation, NamespaceSource, Scenario, Subject, Var, VarSource};
use crate::expr::{Reference, Templated};
use crate::suggest;

/// What `cluster` has.
const CLUSTER: &[&str] = &["name", "version", "platform", "nodes"];
/// What `run` has.
const RUN: &[&str] = &["id"];
/// The alias of the namespace that a scenario without `namespaces` gets.
const DEFAULT_NAMESPACE: &str = "test";

/// Checks all names but `saved` (see `saves`) and `inputs` (see `inputs`).
pub(super) fn check(scenario: &Scenario, found: &[Found<'_>], out: &mut Diagnostics) {
    let names = Names::new(scenario);
    for one in found {
        let roots = roots(one);
        for diagnostic in one.program.check(&roots) {
            let root = one
                .references
                .iter()
                .find(|reference| reference.place == diagnostic.place);
            let home = root.and_then(|reference| home(&reference.path[0]));
            out.push(match home {
                Some(home) if diagnostic.code == "unknown-name" => diagnostic.help(home),
                _ => diagnostic,
            });
        }
        for reference in one
            .references
            .iter()
            .filter(|reference| roots.contains(&reference.path[0].as_str()))
        {
            names.member(reference, one.site, out);
        }
    }
    for connection in &scenario.connections {
        names.namespace(connection.postgres.namespace.as_ref(), out);
    }
    for step in steps(scenario) {
        names.namespace(step.namespace.as_ref(), out);
        step.expect
            .iter()
            .for_each(|expectation| names.expectation(expectation, out));
    }
}

/// The root names that an expression sees.
fn roots(found: &Found<'_>) -> Vec<&'static str> {
    let mut roots = match found.site {
        Site::Var(_) => vec!["vars", "namespaces", "namespace", "cluster", "run"],
        Site::Namespace => vec!["vars", "cluster", "run"],
        Site::Connection => vec!["vars", "namespaces", "namespace", "cluster", "run"],
        Site::Step(_) => vec!["vars", "saved", "namespaces", "namespace", "cluster", "run"],
    };
    if found.sees_self {
        roots.push("self");
    }
    roots
}

/// Where a root name that isn't seen here has its place.
fn home(root: &str) -> Option<&'static str> {
    Some(match root {
        "inputs" => {
            "`inputs` is what manifests read that are applied with `with`; a scenario's own values are `vars`"
        }
        "self" => "`self` is what is observed: in `cel`, `save`, `$cel`",
        "saved" => "`saved` is what steps saved: it can't be read before them",
        "each" | "matrix" => "`for_each` and `matrix` are not supported by this version yet",
        _ => return None,
    })
}

/// "there is no {what} `x`", with the nearest of the known ones.
pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    place: &Place,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let mut diagnostic = Diagnostic::error("unknown-name", format!("there is no {what} `{name}`"), place);
    if let Some(near) = suggest::nearest(name, known.clone()) {
        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
    }
    let list = suggest::listed(known);
    diagnostic.help(if list.is_empty() {
        format!("there is no {what} at all")
    } else {
        format!("known here: {list}")
    })
}

struct Names<'s> {
    vars: &'s [Var],
    namespaces: Vec<&'s str>,
    /// Real names that are written in the scenario; `namespace:` takes them too.
    real: Vec<&'s str>,
    /// Namespaces whose names are made from vars, and so after them.
    late: Vec<&'s str>,
    connections: &'s [Connection],
}

impl<'s> Names<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        let mut namespaces: Vec<&str> = scenario
            .namespaces
            .iter()
            .map(|namespace| namespace.alias.as_str())
            .collect();
        if namespaces.is_empty() {
            namespaces.push(DEFAULT_NAMESPACE);
        }
        let real = scenario
            .namespaces
            .iter()
            .filter_map(|namespace| match &namespace.source {
                NamespaceSource::Existing(name) | NamespaceSource::Create { name, .. } => {
                    name.literal().map(String::as_str)
                }
                NamespaceSource::Lease { .. } => None,
            });
        let late = scenario
            .namespaces
            .iter()
            .filter(|namespace| match &namespace.source {
                NamespaceSource::Existing(name) | NamespaceSource::Create { name, .. } => {
                    name.literal().is_none()
                }
                NamespaceSource::Lease { .. } => false,
            });
        Self {
            late: late.map(|namespace| namespace.alias.as_str()).collect(),
            vars: &scenario.vars,
            namespaces,
            real: real.collect(),
            connections: &scenario.connections,
        }
    }

    fn member(&self, reference: &Reference, site: Site, out: &mut Diagnostics) {
        let Some(name) = reference.path.get(1) else { return };
        let place = &reference.place;
        match reference.path[0].as_str() {
            "vars" => self.var(reference, name, site, out),
            "namespaces" if !self.namespaces.contains(&name.as_str()) => {
                out.push(unknown("namespace", name, place, self.namespaces.iter().copied()));
            }
            "namespaces" if matches!(site, Site::Var(_)) && self.late.contains(&name.as_str()) => {
                let message =
                    format!("the namespace `{name}` gets its name from vars, so a var can't read it");
                out.push(Diagnostic::error("read-too-early", message, place));
            }
            "cluster" if !CLUSTER.contains(&name.as_str()) => {
                out.push(unknown(
                    "fact about the cluster",
                    name,
                    place,
                    CLUSTER.iter().copied(),
                ));
            }
            "run" if !RUN.contains(&name.as_str()) => {
                out.push(unknown("fact about the run", name, place, RUN.iter().copied()));
            }
            _ => {}
        }
    }

    fn var(&self, reference: &Reference, name: &str, site: Site, out: &mut Diagnostics) {
        let place = &reference.place;
        let Some(index) = self.vars.iter().position(|var| var.name == name) else {
            let known = self.vars.iter().map(|var| var.name.as_str());
            out.push(
                unknown("var", name, place, known)
                    .help("vars are declared under `vars:` at the top of the scenario"),
            );
            return;
        };
        if let Site::Var(reader) = site
            && index >= reader
        {
            let message = match index == reader {
                true => format!("the var `{name}` reads itself"),
                false => format!("the var `{name}` stands below the one that reads it"),
            };
            out.push(
                Diagnostic::error("read-too-early", message, place)
                    .related(&self.vars[index].place, "it stands here")
                    .help("a var may read those above it"),
            );
            return;
        }
        let literal = match &self.vars[index].source {
            VarSource::Value(tree) => tree.literal(),
            VarSource::Random(_) | VarSource::Env(_) => Some(Value::String(String::new())),
        };
        if let Some(value) = literal {
            below(&reference.path[1..], &value, place, out);
        }
    }

    fn namespace(&self, alias: Option<&Templated<String>>, out: &mut Diagnostics) {
        let Some((alias, place)) = alias.and_then(|alias| Some((alias.literal()?, alias.place()))) else {
            return;
        };
        if !self.namespaces.contains(&alias.as_str()) && !self.real.contains(&alias.as_str()) {
            out.push(
                unknown("namespace", alias, place, self.namespaces.iter().copied())
                    .help("a namespace is named as the scenario calls it under `namespaces:`"),
            );
        }
    }

    fn expectation(&self, expectation: &Expectation, out: &mut Diagnostics) {
        self.namespace(expectation.namespace.as_ref(), out);
        if let Subject::Sql(sql) = &expectation.subject
            && !self
                .connections
                .iter()
                .any(|connection| connection.name == sql.on)
        {
            let known = self.connections.iter().map(|connection| connection.name.as_str());
            out.push(
                unknown("connection", &sql.on, &sql.on_place, known)
                    .help("connections are declared under `connections:` at the top of the scenario"),
            );
        }
        if let Some(fails_on) = &expectation.fails_on {
            self.expectation(fails_on, out);
        }
    }
}

/// Follows the members of a chain in a value that is known before the run. `path[0]` names the value.
pub(super) fn below(path: &[String], value: &Value, place: &Place, out: &mut Diagnostics) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let Some(member) = rest.first() else { return };
    match value {
        Value::Object(map) => match map.get(member) {
            Some(value) => below(rest, value, place, out),
            None => {
                let known = map.keys().map(String::as_str);
                out.push(unknown(
                    &format!("member of `{name}` called"),
                    member,
                    place,
                    known,
                ));
            }
        },
        Value::Array(_) => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let message = format!("`{name}` is no map: it has no `{member}`");
            out.push(Diagnostic::error("unknown-name", message, place));
        }
    }
}
