//! The keys of expectations: the common ones, the subjects, and each subject's checks.
//!
//! Invariant: see `table`; no subject's check has the name of a common key or of a subject, but for `fails`.

use super::actions::FAILS;
use super::table::{Construct, Shape, optional, required, unsupported};

/// The keys that every expectation may have.
pub static COMMON: Construct = Construct {
    what: "an expectation",
    id: "expectation",
    doc: "Exactly one subject (what to look at), its checks beside it, and any of these common keys. With labels the checks must hold for every selected object, of which there must be at least one.",
    keys: &[
        optional("name", Shape::Text, "What reports call it; by default a summary."),
        optional(
            "within",
            Shape::Duration,
            "It must become true before this time is over; 30s by default.",
        ),
        optional(
            "for",
            Shape::Duration,
            "It must stay true for this time; the hold must begin within `within`.",
        ),
        optional(
            "never",
            Shape::Duration,
            "It must not become true during this time; not with `within` or `for`.",
        ),
        optional(
            "every",
            Shape::Duration,
            "How often what can only be asked (`sql`) is asked; 1s by default.",
        ),
        optional(
            "edge",
            Shape::Boolean,
            "`true`: it must be seen false at or after the mark, then true. Where a `revert` had nothing to put back it asks for nothing more than true.",
        ),
        optional(
            "any",
            Shape::Boolean,
            "`true`: one of the selected objects is enough.",
        ),
        optional("when", Shape::Cel, "It is checked only if this is true."),
        optional(
            "namespace",
            Shape::Template,
            "The namespace, by its name in this scenario; the step's by default.",
        ),
        optional(
            "save",
            Shape::Programs,
            "Names for values of the observation that satisfied it, bare CEL over `self`, read later as `saved.name`.",
        ),
        optional(
            "fails_on",
            Shape::Expectation,
            "An expectation that ends the wait at once, with a failure, when it holds.",
        ),
        unsupported("cluster", "The cluster to look at."),
    ],
};

/// The subjects: the first key of each is the subject itself, the others are the checks beside it.
pub static SUBJECTS: &[&Construct] = &[&OBJECT, &READY, &CRASH, &LOG, &SQL];

/// The subjects that this version doesn't observe.
pub static UNSUPPORTED_SUBJECTS: Construct = Construct {
    what: "an expectation",
    id: "unsupported-subject",
    doc: "Subjects of the language that this version doesn't observe yet.",
    keys: &[
        unsupported("event", "Kubernetes events."),
        unsupported("connects", "Whether a connection can be made."),
        unsupported("tls", "A server's certificate and TLS version."),
        unsupported("http", "The answer to a request."),
        unsupported(
            "exec",
            "The output of a command in a container, repeated until it matches.",
        ),
        unsupported(
            "script",
            "The output of a local command, repeated until it matches.",
        ),
        unsupported("metrics", "Prometheus samples."),
    ],
};

/// The subject and checks of `object`.
pub static OBJECT: Construct = Construct {
    what: "`object`",
    id: "object",
    doc: "At least one check.",
    keys: &[
        required("object", Shape::Target, "Any object, or objects by labels."),
        optional(
            "match",
            Shape::Pattern,
            "What the object must look like; what isn't written is not looked at.",
        ),
        optional("cel", Shape::Cel, "Bare CEL over `self` that must be true."),
        optional(
            "absent",
            Shape::Either(&[Shape::Boolean, Shape::Words(&["from-start"])]),
            "`true`: it is gone, and was seen earlier in this scenario. `from-start`: it needn't have been seen. Not with other checks.",
        ),
        optional(
            "count",
            Shape::Pattern,
            "How many objects are selected; for labels only.",
        ),
        optional(
            "condition",
            Shape::Condition,
            "A condition in `status.conditions`: `Ready=True`.",
        ),
        unsupported("changed", "Paths that changed since the mark."),
        unsupported("unchanged", "Paths that stayed as they were since the mark."),
        unsupported(
            "since",
            "The step whose mark counts for `changed` and `unchanged`.",
        ),
    ],
};

/// The subject and checks of `ready`.
pub static READY: Construct = Construct {
    what: "`ready`",
    id: "ready",
    doc: "The desired number of pods are Ready, at the current revision and not terminating. Pods that the step's action removed don't count.",
    keys: &[
        required(
            "ready",
            Shape::Target,
            "A workload, pod, job, claim, service or anything with a Ready or Available condition: rollout status as kubectl has it *and* counted from its pods.",
        ),
        optional(
            "replicas",
            Shape::Integer,
            "The desired number; needed where it is 0.",
        ),
    ],
};

/// The subject and checks of `crash`.
pub static CRASH: Construct = Construct {
    what: "`crash`",
    id: "crash",
    doc: "Counted per pod by restarts; ends of pods that are being deleted don't count.",
    keys: &[
        required(
            "crash",
            Shape::Target,
            "A container (init containers too) that ended since the mark: of a pod, an owner of pods, or labels.",
        ),
        optional("container", Shape::Template, "The container; any by default."),
        optional("code", Shape::Pattern, "The exit code."),
        optional("reason", Shape::Pattern, "Such as `Error` or `OOMKilled`."),
        optional("times", Shape::Integer, "How often, at least; 1 by default."),
    ],
};

/// The subject and checks of `log`.
pub static LOG: Construct = Construct {
    what: "`log`",
    id: "log",
    doc: "Exactly one of `line` and `lines`. A text must be contained in the raw line; a map matches the fields of a structured line (JSON, logfmt, klog); `{$matches: ...}` is a regular expression on the raw line.",
    keys: &[
        required(
            "log",
            Shape::Target,
            "Log lines since the mark: of a pod, an owner of pods, or labels.",
        ),
        optional("line", Shape::Pattern, "A line."),
        optional(
            "lines",
            Shape::List(&Shape::Pattern),
            "Lines in this order, from one start of a container.",
        ),
        optional(
            "container",
            Shape::Template,
            "The container; needed where there are several and no default.",
        ),
        optional("count", Shape::Pattern, "How many lines match; with `line` only."),
        optional(
            "from",
            Shape::Words(&["any-pod", "every-pod"]),
            "`any-pod` (the default), or `every-pod`: each pod of the owner, at least the desired number.",
        ),
        optional(
            "across",
            Shape::Words(&["restarts"]),
            "`restarts`: `lines` may come from several starts of one pod's container.",
        ),
    ],
};

/// What `sql` asks.
pub static SQL_ASK: Construct = Construct {
    what: "`sql`",
    id: "sql-ask",
    doc: "Exactly one of `query` and `tables`.",
    keys: &[
        required("on", Shape::Text, "The connection's name."),
        optional(
            "query",
            Shape::Template,
            "A statement that reads. It is asked again until the checks hold. What `${{ }}` inserts is not quoted: use `params`.",
        ),
        optional("params", Shape::List(&Shape::Tree), "The values of `$1`, `$2`..."),
        optional(
            "tables",
            Shape::Template,
            "A schema: the names of its tables, one row each.",
        ),
        unsupported("file", "A file with the statement."),
    ],
};

/// The subject and checks of `sql`.
pub static SQL: Construct = Construct {
    what: "`sql`",
    id: "sql",
    doc: "Exactly one of `rows`, `value` and `fails`.",
    keys: &[
        required("sql", Shape::Of(&SQL_ASK), "The answer of a database."),
        optional(
            "rows",
            Shape::Pattern,
            "The whole result, rows in any order; `{$contains: [...]}` for a part.",
        ),
        optional("ordered", Shape::Boolean, "`true`: `rows` in this order."),
        optional("value", Shape::Pattern, "The only column of the only row."),
        optional("fails", Shape::Of(&FAILS), "The query must fail in this way."),
        unsupported("changed", "The result changed since the mark."),
        unsupported("unchanged", "The result stayed as it was since the mark."),
    ],
};
