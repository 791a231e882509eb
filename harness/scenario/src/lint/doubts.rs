//! Doubts: scenarios that run but may not say what was meant.
//!
//! Invariant: each with its reason and a way out; only what any element could satisfy is an error.

use std::collections::HashSet;

use muster_model::{Diagnostic, Diagnostics};

use super::walk::{Found, steps};
use crate::ast::{
    Absent, Action, ActionKind, Expectation, ObjectCheck, Scenario, Select, Step, Subject, Target,
};

/// Checks. `applied` holds the names of the objects that manifests make.
pub(super) fn check(
    scenario: &Scenario,
    found: &[Found<'_>],
    applied: &HashSet<String>,
    out: &mut Diagnostics,
) {
    steps(scenario).for_each(|step| stale_ready(step, out));
    steps(scenario).for_each(|step| unkeyed(step, out));
    unseen(scenario, applied, out);
    unused(scenario, found, out);
}

/// An element of `containers`, `conditions` and the like that doesn't say which one is meant: any could match.
fn unkeyed(step: &Step, out: &mut Diagnostics) {
    for expectation in &step.expect {
        if let Subject::Object(subject) = &expectation.subject {
            for check in &subject.checks {
                if let ObjectCheck::Match(pattern) = check {
                    pattern.lint_keyed(out);
                }
            }
        }
    }
}

/// `ready: X` after a patch of something else: X may not have noticed yet and still be ready from before.
fn stale_ready(step: &Step, out: &mut Diagnostics) {
    let Some(Action {
        kind: ActionKind::Patch(patch),
        place,
    }) = &step.action
    else {
        return;
    };
    let Some(patched) = name(&patch.target) else {
        return;
    };
    for expectation in &step.expect {
        match &expectation.subject {
            // Lines and ends since the mark show that something happened.
            Subject::Log(_) | Subject::Crash(_) => return,
            _ if expectation.edge => return,
            Subject::Ready(ready) => {
                let Some(watched) = name(&ready.target) else {
                    continue;
                };
                // The pods of what was patched, or itself.
                let own = watched == patched || watched.starts_with(&format!("{patched}-"));
                if !own {
                    out.push(
                        Diagnostic::warning(
                            "stale-ready",
                            format!("`{}/{watched}` may be ready from before: it is not what this step patches", ready.target.kind),
                            &ready.target.place,
                        )
                        .related(place, format!("this patches {}/{patched}", patch.target.kind))
                        .help("with an operator in between, the change arrives later; `edge: true` waits until it was seen unready first")
                        .help("or expect before it what the change must cause: an object's field, a log line"),
                    );
                }
            }
            Subject::Object(_) | Subject::Sql(_) => {}
        }
    }
}

/// `absent: true` and `never` about a name that nothing mentions before: a misspelt name would pass, or never can.
fn unseen(scenario: &Scenario, applied: &HashSet<String>, out: &mut Diagnostics) {
    let mut mentioned: HashSet<&str> = applied.iter().map(String::as_str).collect();
    // What a template in a manifest or a kustomization makes can't be known.
    for step in steps(scenario) {
        if let Some(target) = step.action.as_ref().and_then(acted_on) {
            mentioned.extend(name(target));
        }
        for expectation in &step.expect {
            let target = target_of(&expectation.subject);
            let unknown = target.and_then(name).filter(|name| !known(&mentioned, name));
            if let (Some(target), Some(name)) = (target, unknown) {
                doubt_unseen(expectation, target, name, out);
            }
            if expectation.never.is_none() {
                mentioned.extend(target.and_then(name));
            }
        }
    }
}

/// A pod's name begins with its owner's.
fn known(mentioned: &HashSet<&str>, name: &str) -> bool {
    mentioned.contains(name)
        || mentioned
            .iter()
            .any(|known| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('-')))
}

fn doubt_unseen(expectation: &Expectation, target: &Target, name: &str, out: &mut Diagnostics) {
    let absent = matches!(&expectation.subject, Subject::Object(object)
        if object.checks.iter().any(|check| matches!(check, ObjectCheck::Absent(Absent::AfterSeen))));
    if absent {
        out.push(
            Diagnostic::warning(
                "unseen",
                format!("nothing before this has to do with `{}/{name}`, so it may never have been there", target.kind),
                &target.place,
            )
            .help("`absent: true` holds only for what was seen earlier in this scenario; check the name, or write `absent: from-start`"),
        );
    } else if expectation.never.is_some() {
        out.push(
            Diagnostic::warning(
                "unseen",
                format!("nothing before this shows that `{}/{name}` exists", target.kind),
                &target.place,
            )
            .help("a misspelt name would never do anything either; expect something of it first, such as `ready`"),
        );
    }
}

fn unused(scenario: &Scenario, found: &[Found<'_>], out: &mut Diagnostics) {
    let reads = |root: &str, name: &str| {
        found.iter().flat_map(|one| &one.references).any(|reference| {
            reference.path[0] == root && reference.path.get(1).is_none_or(|member| member == name)
        })
    };
    // A secret may be there only to be masked.
    for var in scenario
        .vars
        .iter()
        .filter(|var| !var.secret && !reads("vars", &var.name))
    {
        out.push(
            Diagnostic::warning(
                "unused-var",
                format!("nothing reads `vars.{}`", var.name),
                &var.place,
            )
            .help("take it out"),
        );
    }
    let asked = |name: &str| {
        let mut expectations = steps(scenario).flat_map(|step| &step.expect);
        expectations.any(|expectation| matches!(&expectation.subject, Subject::Sql(sql) if sql.on == name))
    };
    for connection in scenario
        .connections
        .iter()
        .filter(|connection| !asked(&connection.name))
    {
        let message = format!("nothing asks the connection `{}`", connection.name);
        out.push(Diagnostic::warning("unused-connection", message, &connection.place).help("take it out"));
    }
}

fn acted_on(action: &Action) -> Option<&Target> {
    match &action.kind {
        ActionKind::Patch(patch) => Some(&patch.target),
        ActionKind::Delete(delete) => Some(&delete.target),
        ActionKind::Scale(scale) => Some(&scale.target),
        ActionKind::Restart(restart) => Some(&restart.target),
        ActionKind::Exec(exec) => Some(&exec.target),
        ActionKind::Apply(_) | ActionKind::Script(_) | ActionKind::Pause(_) | ActionKind::RevertAll => None,
    }
}

fn target_of(subject: &Subject) -> Option<&Target> {
    match subject {
        Subject::Object(object) => Some(&object.target),
        Subject::Ready(ready) => Some(&ready.target),
        Subject::Crash(crash) => Some(&crash.target),
        Subject::Log(log) => Some(&log.target),
        Subject::Sql(_) => None,
    }
}

/// A literal name.
fn name(target: &Target) -> Option<&str> {
    match &target.select {
        Select::Name(name) => name.literal().map(String::as_str),
        Select::Labels(_) => None,
    }
}
