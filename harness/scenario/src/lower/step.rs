//! Steps.
//!
//! Invariant: a step does or expects something; it has one action at most.

use muster_model::{Diagnostic, Diagnostics};

use super::action::{self, fails};
use super::expectation::{self, expectations};
use super::fields::{Fields, too_many};
use super::read;
use crate::ast::{Save, Step};
use crate::node::{Entry, Node};
use crate::schema::{self, Need};
use crate::suggest;

/// Lowers a step.
pub(super) fn step(node: &Node, out: &mut Diagnostics) -> Option<Step> {
    let fields = Fields::open(node, &node.place, &[&schema::STEP, &schema::ACTIONS], out)?;
    let name = fields.read("name", out, read::text);
    let names: Vec<&str> = schema::ACTIONS.keys.iter().map(|key| key.name).collect();
    let actions = fields.among(&names);
    if actions.len() > 1 {
        let diagnostic = too_many("two-actions", "a step takes only one action".into(), &actions)
            .help("make them two steps: each has its own mark and its own expectations");
        out.push(diagnostic);
    }
    // An action that this version doesn't run has been reported; what belongs to it must not be reported on top.
    let refused = actions.iter().any(|entry| {
        schema::ACTIONS
            .key(&entry.key)
            .is_some_and(|key| key.need == Need::Unsupported)
    });
    let lowered = match actions[..] {
        [entry] if !refused => Some(action::action(entry, out)),
        [] => None,
        // Two actions: their own errors still count.
        _ => {
            for entry in actions.iter().filter(|_| !refused) {
                action::action(entry, out);
            }
            Some(None)
        }
    };
    let expect = fields.read("expect", out, expectations);
    let fails = match fields.get("fails") {
        Some(entry) if actions.is_empty() => {
            out.push(
                Diagnostic::error(
                    "fails-without-action",
                    "`fails` is about the step's action, and there is none",
                    &entry.key_place,
                )
                .help("beside an `sql` subject, `fails` stands in the expectation itself"),
            );
            None
        }
        Some(entry) => match actions.first() {
            Some(action) if !refused => Some(fails(entry, &action.key, out)),
            _ => None,
        },
        None => None,
    };
    let save = fields.read("save", out, saves);
    if let Some(entry) = fields.get("save").filter(|_| actions.is_empty()) {
        out.push(
            Diagnostic::error(
                "save-without-action",
                "`save` takes from the action's result, and there is no action",
                &entry.key_place,
            )
            .help("to save from what is observed, write `save` in the expectation"),
        );
    }
    let when = fields.read("when", out, read::program);
    let timeout = fields.read("timeout", out, read::templated);
    let namespace = fields.read("namespace", out, read::template);
    if actions.is_empty() && !fields.has("expect") {
        if fields.meant(&names) || fields.meant(&["expect"]) {
            return None;
        }
        let known = schema::ACTIONS
            .keys
            .iter()
            .filter(|key| key.need != Need::Unsupported)
            .map(|key| key.name);
        out.push(
            Diagnostic::error(
                "empty-step",
                "this step neither does nor expects anything",
                &node.place,
            )
            .help(format!(
                "give it `expect`, or an action: {}",
                suggest::listed(known)
            )),
        );
        return None;
    }
    let action = match lowered {
        Some(action) => Some(action?),
        None => None,
    };
    let expect = match fields.has("expect") {
        true => expect?,
        false => Vec::new(),
    };
    let fails = match fails {
        Some(fails) => Some(fails?),
        None => None,
    };
    let name = name.unwrap_or_else(|| match (&action, expect.first()) {
        (Some(action), _) => action::summary(action),
        (None, Some(first)) => format!("expect {}", expectation::summary(first)),
        (None, None) => String::new(),
    });
    Some(Step {
        name,
        place: node.place.clone(),
        action,
        expect,
        fails,
        save: save.unwrap_or_default(),
        when,
        timeout,
        namespace,
    })
}

/// `save`: names to programs.
pub(super) fn saves(node: &Node, out: &mut Diagnostics) -> Option<Vec<Save>> {
    read::map("names to CEL expressions over `self`", |entry: &Entry, out| {
        let name = read::identifier(&entry.key, &entry.key_place, "a saved value", out);
        let program = read::program(&entry.value, out);
        Some(Save {
            name: name?,
            place: entry.key_place.clone(),
            program: program?,
        })
    })(node, out)
}
