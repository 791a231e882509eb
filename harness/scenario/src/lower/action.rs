//! Actions.
//!
//! Invariant: see `lower`.

use muster_model::{Diagnostic, Diagnostics};

use super::fields::Fields;
use super::read;
use super::target::{Use, target};
use crate::ast::{
    Action, ActionKind, Apply, Delete, Exec, Fails, Patch, PatchBody, Pause, Restart, RestartBy, Revert,
    Scale, Script, Select, Target,
};
use crate::expr::{Reading, Tree};
use crate::node::{Entry, Node};
use crate::schema;
use crate::suggest;

/// Lowers the action of a step.
pub(super) fn action(entry: &Entry, out: &mut Diagnostics) -> Option<Action> {
    let kind = match entry.key.as_str() {
        "apply" => ActionKind::Apply(apply(entry, out)?),
        "patch" => ActionKind::Patch(patch(entry, out)?),
        "delete" => ActionKind::Delete(delete(entry, out)?),
        "scale" => ActionKind::Scale(scale(entry, out)?),
        "restart" => ActionKind::Restart(restart(entry, out)?),
        "exec" => ActionKind::Exec(exec(entry, out)?),
        "script" => ActionKind::Script(script(entry, out)?),
        "pause" => ActionKind::Pause(pause(entry, out)?),
        "revert" => revert_all(entry, out)?,
        _ => return None,
    };
    Some(Action {
        place: entry.key_place.clone(),
        kind,
    })
}

/// What a step without a name is called.
pub(super) fn summary(action: &Action) -> String {
    match &action.kind {
        ActionKind::Apply(apply) => match (&apply.files[..], &apply.objects[..]) {
            ([], objects) => format!("apply {} objects", objects.len()),
            ([one], []) => format!("apply {}", one.show()),
            (files, _) => format!("apply {} files", files.len()),
        },
        ActionKind::Patch(patch) => format!("patch {}", describe(&patch.target)),
        ActionKind::Delete(delete) => format!("delete {}", describe(&delete.target)),
        ActionKind::Scale(scale) => format!("scale {}", describe(&scale.target)),
        ActionKind::Restart(restart) => format!("restart {}", describe(&restart.target)),
        ActionKind::Exec(exec) => format!("exec in {}", describe(&exec.target)),
        ActionKind::Script(_) => "script".to_owned(),
        ActionKind::Pause(pause) => format!("pause {}", pause.duration.show()),
        ActionKind::RevertAll => "revert all".to_owned(),
    }
}

/// A target in few words, templates as they are written.
pub(super) fn describe(target: &Target) -> String {
    match &target.select {
        Select::Name(name) => format!("{}/{}", target.kind, name.show()),
        Select::Labels(labels) => {
            let labels: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}={}", value.show()))
                .collect();
            format!("{} with {}", target.kind, labels.join(","))
        }
    }
}

fn apply(entry: &Entry, out: &mut Diagnostics) -> Option<Apply> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::APPLY], out)?;
    let files = fields.read("files", out, read::list("files", read::template));
    let objects = fields.read("objects", out, read::list("objects", object));
    let with = fields.read("with", out, read::tree_map(Reading::Scenario));
    let given = fields
        .get("with")
        .and_then(|entry| entry.value.entries())
        .unwrap_or_default();
    let inputs = given
        .iter()
        .map(|entry| (entry.key.clone(), entry.key_place.clone()))
        .collect();
    let revert = revert(&fields, out);
    if !fields.has("files") && !fields.has("objects") {
        out.push(
            Diagnostic::error(
                "missing-key",
                "`apply` needs `files` or `objects`",
                &entry.key_place,
            )
            .help("`files: [manifest.yaml]`, relative to this file; or manifests written here as `objects`"),
        );
        return None;
    }
    if let Some(with) = fields.get("with").filter(|_| !fields.has("files")) {
        out.push(
            Diagnostic::error(
                "conflict",
                "`with` gives inputs to `files`, and there are none",
                &with.key_place,
            )
            .help("`objects` written here read `vars` and `saved` directly"),
        );
    }
    // A list that couldn't be read has been reported.
    if (fields.has("files") && files.is_none()) || (fields.has("objects") && objects.is_none()) {
        return None;
    }
    Some(Apply {
        files: files.unwrap_or_default(),
        objects: objects.unwrap_or_default(),
        with,
        inputs,
        revert: revert?,
    })
}

/// A manifest written in the scenario.
fn object(node: &Node, out: &mut Diagnostics) -> Option<Tree> {
    if node.entries().is_some()
        && let Some(missing) = crate::manifest::missing_key(node)
    {
        out.push(
            Diagnostic::error(
                "bad-manifest",
                format!("this object has no `{missing}`"),
                &node.place,
            )
            .help("a manifest has apiVersion, kind and metadata.name"),
        );
        return None;
    }
    read::tree_map(Reading::Manifest)(node, out)
}

fn patch(entry: &Entry, out: &mut Diagnostics) -> Option<Patch> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::PATCH], out)?;
    let target = fields.require("target", out, one_target);
    let body = fields
        .exactly_one(&["merge", "json", "strategic"], out)
        .and_then(|body| match body.key.as_str() {
            "merge" => read::tree_map(Reading::Scenario)(&body.value, out).map(PatchBody::Merge),
            "strategic" => read::tree_map(Reading::Scenario)(&body.value, out).map(PatchBody::Strategic),
            _ => json_patch(&body.value, out).map(PatchBody::Json),
        });
    let subresource = fields.read("subresource", out, read::text);
    let revert = revert(&fields, out);
    Some(Patch {
        target: target?,
        body: body?,
        subresource,
        revert: revert?,
    })
}

fn json_patch(node: &Node, out: &mut Diagnostics) -> Option<Tree> {
    const OPERATIONS: &[&str] = &["add", "remove", "replace", "move", "copy", "test"];
    read::list(
        "operations, such as {op: replace, path: /spec/replicas, value: 2}",
        |item: &Node, out| {
            if item.entries().is_none() {
                out.push(read::wrong_type(
                    "an operation such as {op: replace, path: /spec/replicas, value: 2}",
                    item,
                ));
                return None;
            }
            for key in ["op", "path"] {
                if item.get(key).is_none() {
                    let message = format!("an operation of a JSON patch needs `{key}`");
                    out.push(
                        Diagnostic::error("missing-key", message, &item.place)
                            .help("such as {op: replace, path: /spec/replicas, value: 2}"),
                    );
                    return None;
                }
            }
            if let Some(op) = item
                .get("op")
                .filter(|op| op.scalar().is_some_and(|op| !op.contains("${{")))
                && !op.scalar().is_some_and(|op| OPERATIONS.contains(&op))
            {
                let words = OPERATIONS.iter().copied();
                out.push(read::wrong_type(
                    &format!("one of {}", suggest::listed(words)),
                    op,
                ));
                return None;
            }
            Some(())
        },
    )(node, out)?;
    read::tree(node, out)
}

fn one_target(node: &Node, out: &mut Diagnostics) -> Option<Target> {
    let target = target(Use::Act)(node, out)?;
    if matches!(target.select, Select::Labels(_)) {
        out.push(
            Diagnostic::error(
                "bad-target",
                "this acts on one object, not on labels",
                &node.place,
            )
            .help("write kind/name"),
        );
        return None;
    }
    Some(target)
}

fn delete(entry: &Entry, out: &mut Diagnostics) -> Option<Delete> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::DELETE], out)?;
    let target = fields.require("target", out, target(Use::Act));
    let grace_period = fields.read("gracePeriod", out, read::templated);
    let revert = revert(&fields, out);
    Some(Delete {
        target: target?,
        grace_period,
        revert: revert?,
    })
}

fn scale(entry: &Entry, out: &mut Diagnostics) -> Option<Scale> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::SCALE], out)?;
    let target = fields.require("target", out, one_target);
    let replicas = fields.require("replicas", out, at_least(0));
    let revert = revert(&fields, out);
    Some(Scale {
        target: target?,
        replicas: replicas?,
        revert: revert?,
    })
}

/// An integer that, if it is literal, is not below a bound.
pub(super) fn at_least(
    least: i64,
) -> impl FnOnce(&Node, &mut Diagnostics) -> Option<crate::expr::Templated<i64>> {
    move |node, out| {
        let number = read::templated::<i64>(node, out)?;
        if number.literal().is_some_and(|number| *number < least) {
            out.push(read::wrong_type(&format!("a number from {least} up"), node));
            return None;
        }
        Some(number)
    }
}

fn restart(entry: &Entry, out: &mut Diagnostics) -> Option<Restart> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::RESTART], out)?;
    let target = fields.require("target", out, target(Use::Act));
    let by = match fields.has("by") {
        true => fields.read(
            "by",
            out,
            read::word(&[("rollout", RestartBy::Rollout), ("delete", RestartBy::Delete)]),
        ),
        false => Some(RestartBy::Rollout),
    };
    Some(Restart {
        target: target?,
        by: by?,
    })
}

fn exec(entry: &Entry, out: &mut Diagnostics) -> Option<Exec> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::EXEC], out)?;
    let target = fields.require("in", out, target(Use::Pods));
    let container = fields.read("container", out, read::template);
    let command = fields.require("command", out, |node, out| {
        if let Some(text) = node.scalar().filter(|_| !node.is_null()) {
            out.push(
                read::wrong_type("a list: the program and its arguments", node)
                    .help(format!("for a shell write [sh, -c, {:?}]", text.trim())),
            );
            return None;
        }
        read::list("words of the command", read::templated)(node, out)
    });
    Some(Exec {
        target: target?,
        container,
        command: command?,
    })
}

fn script(entry: &Entry, out: &mut Diagnostics) -> Option<Script> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::SCRIPT], out)?;
    let run = fields.require("run", out, read::template);
    let env = fields.read("env", out, read::texts);
    Some(Script {
        run: run?,
        env: env.unwrap_or_default(),
    })
}

fn pause(entry: &Entry, out: &mut Diagnostics) -> Option<Pause> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::PAUSE], out)?;
    let duration = fields.require("for", out, read::templated);
    let because = fields.require("because", out, read::text);
    Some(Pause {
        duration: duration?,
        because: because?,
    })
}

fn revert_all(entry: &Entry, out: &mut Diagnostics) -> Option<ActionKind> {
    let text = read::text(&entry.value, out)?;
    match text.as_str() {
        "all" => Some(ActionKind::RevertAll),
        "false" | "true" => {
            out.push(
                read::wrong_type("`all`", &entry.value).help(
                    "to leave a change in place, write `revert: false` and `because` inside the action",
                ),
            );
            None
        }
        _ => {
            let message = "putting back a single step is not supported by this version yet";
            out.push(
                Diagnostic::error("unsupported", message, &entry.value.place).help("write `revert: all`"),
            );
            None
        }
    }
}

fn revert(fields: &Fields<'_>, out: &mut Diagnostics) -> Option<Revert> {
    let because = fields.read("because", out, read::text);
    match fields.get("revert") {
        None => {
            if let Some(because) = fields.get("because") {
                let message = "`because` gives the reason for `revert: false`, which isn't there";
                out.push(Diagnostic::error("conflict", message, &because.key_place));
            }
            Some(Revert::Yes)
        }
        Some(entry) => {
            if read::boolean(&entry.value, out)? {
                let message = "`revert: true` is what happens anyway";
                out.push(Diagnostic::error("conflict", message, &entry.key_place).help("take it out"));
                return None;
            }
            if !fields.has("because") {
                out.push(
                    Diagnostic::error("missing-key", "`revert: false` needs `because`", &entry.key_place)
                        .label("a change that stays behind needs its reason")
                        .help("add `because: ...` beside it"),
                );
                return None;
            }
            Some(Revert::No { because: because? })
        }
    }
}

/// `fails` of an action or of an `sql` subject.
pub(super) fn fails(entry: &Entry, of: &str, out: &mut Diagnostics) -> Option<Fails> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::FAILS], out)?;
    let meaningful: &[&str] = match of {
        "exec" | "script" => &["code", "stdout", "stderr"],
        "sql" => &["sqlstate", "message", "kind"],
        "pause" | "revert" => &[],
        _ => &["reason", "status", "message"],
    };
    if meaningful.is_empty() {
        out.push(
            Diagnostic::error("conflict", format!("`{of}` can't fail"), &entry.key_place)
                .help("take `fails` out"),
        );
        return None;
    }
    let all: Vec<&str> = schema::FAILS.keys.iter().map(|key| key.name).collect();
    let written = fields.among(&all);
    for key in written
        .iter()
        .filter(|key| !meaningful.contains(&key.key.as_str()))
    {
        let message = format!("a failure of `{of}` has no `{}`", key.key);
        out.push(
            Diagnostic::error("conflict", message, &key.key_place)
                .help(format!("it has {}", suggest::listed(meaningful.iter().copied()))),
        );
    }
    if written.is_empty() {
        out.push(
            Diagnostic::error("checks-nothing", "`fails` must say how", &entry.key_place).help(format!(
                "with one or more of {}",
                suggest::listed(meaningful.iter().copied())
            )),
        );
        return None;
    }
    Some(Fails {
        place: entry.key_place.clone(),
        reason: fields.read("reason", out, read::pattern),
        status: fields.read("status", out, read::pattern),
        message: fields.read("message", out, read::pattern),
        code: fields.read("code", out, read::pattern),
        stdout: fields.read("stdout", out, read::pattern),
        stderr: fields.read("stderr", out, read::pattern),
        sqlstate: fields.read("sqlstate", out, read::pattern),
        kind: fields.read("kind", out, read::pattern),
    })
}
