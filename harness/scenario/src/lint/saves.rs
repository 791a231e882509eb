//! Saved values: each saved once, read only after it is certainly saved.
//!
//! Invariant: `saved.x` in a scenario that loads is there when it is read.

use muster_model::{Diagnostic, Diagnostics, Place};

use super::names::unknown;
use super::walk::{Found, Moment, Site, steps};
use crate::ast::{Expectation, Save, Scenario};

struct Saved<'s> {
    save: &'s Save,
    at: Moment,
    guards: Vec<(&'s str, &'s Place)>,
}

/// Checks what is saved and read.
pub(super) fn check(scenario: &Scenario, found: &[Found<'_>], out: &mut Diagnostics) {
    let saved = saved(scenario);
    for (index, one) in saved.iter().enumerate() {
        if let Some(first) = saved[..index]
            .iter()
            .find(|first| first.save.name == one.save.name)
        {
            out.push(
                Diagnostic::error(
                    "saved-twice",
                    format!("`saved.{}` is saved twice", one.save.name),
                    &one.save.place,
                )
                .label("again here")
                .related(&first.save.place, "first here")
                .help("give it another name: a reader could not say which one is meant"),
            );
        }
    }
    for one in found {
        let Site::Step(at) = one.site else { continue };
        for reference in one
            .references
            .iter()
            .filter(|reference| reference.path[0] == "saved")
        {
            let Some(name) = reference.path.get(1) else {
                continue;
            };
            let Some(source) = saved.iter().find(|saved| saved.save.name == *name) else {
                let known = saved.iter().map(|saved| saved.save.name.as_str());
                out.push(unknown("saved value", name, &reference.place, known).help(
                    "a value is saved by `save: {name: EXPRESSION}` in an expectation or beside an action",
                ));
                continue;
            };
            if source.at >= at {
                out.push(
                    Diagnostic::error(
                        "read-too-early",
                        format!("`saved.{name}` is read before it is saved"),
                        &reference.place,
                    )
                    .related(&source.save.place, "it is saved here"),
                );
            } else if let Some((guard, place)) = source
                .guards
                .iter()
                .find(|(guard, _)| !one.guards.contains(guard))
            {
                out.push(
                    Diagnostic::error(
                        "read-under-other-when",
                        format!("`saved.{name}` is only there if `{guard}` is true"),
                        &reference.place,
                    )
                    .related(place, "under this condition it is saved")
                    .help("put the same `when` where it is read"),
                );
            }
        }
    }
}

fn saved(scenario: &Scenario) -> Vec<Saved<'_>> {
    let mut saved = Vec::new();
    for (index, step) in steps(scenario).enumerate() {
        let guards: Vec<_> = step
            .when
            .iter()
            .map(|when| (when.source(), when.place()))
            .collect();
        let mut at = Moment { step: index, part: 0 };
        saved.extend(step.save.iter().map(|save| Saved {
            save,
            at,
            guards: guards.clone(),
        }));
        for (part, expectation) in step.expect.iter().enumerate() {
            at.part = part + 1;
            of_expectation(expectation, at, guards.clone(), &mut saved);
        }
    }
    saved
}

fn of_expectation<'s>(
    expectation: &'s Expectation,
    at: Moment,
    mut guards: Vec<(&'s str, &'s Place)>,
    saved: &mut Vec<Saved<'s>>,
) {
    guards.extend(expectation.when.iter().map(|when| (when.source(), when.place())));
    saved.extend(expectation.save.iter().map(|save| Saved {
        save,
        at,
        guards: guards.clone(),
    }));
}
