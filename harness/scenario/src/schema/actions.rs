//! The keys of actions.
//!
//! Invariant: see `table`.

use super::table::{Construct, Key, Shape, optional, required, unsupported};

/// The actions: further keys of a step, at most one of them.
pub static ACTIONS: Construct = Construct {
    what: "a step",
    id: "action",
    doc: "What a step does: at most one.",
    keys: &[
        optional("apply", Shape::Of(&APPLY), "Server-side apply of manifests."),
        optional("patch", Shape::Of(&PATCH), "Changes fields of one object."),
        optional(
            "delete",
            Shape::Of(&DELETE),
            "Deletes objects and waits until they are gone (those, not their names).",
        ),
        optional("scale", Shape::Of(&SCALE), "Sets the number of replicas."),
        optional("restart", Shape::Of(&RESTART), "Restarts the pods of a workload."),
        optional("exec", Shape::Of(&EXEC), "Runs a command in a container."),
        optional("script", Shape::Of(&SCRIPT), "Runs a command beside muster."),
        optional("pause", Shape::Of(&PAUSE), "Waits for a fixed time."),
        optional(
            "revert",
            Shape::Words(&["all"]),
            "`all` puts back now what would be put back at the end.",
        ),
        unsupported("create", "Creates an object that must not exist."),
        unsupported("sql", "Sends a statement."),
        unsupported("http", "Sends a request."),
        unsupported("use", "Runs the steps of another file."),
        unsupported("parallel", "Runs branches of steps side by side."),
        unsupported("template", "Processes and applies an OpenShift Template."),
    ],
};

const REVERT: Key = optional(
    "revert",
    Shape::False,
    "`false` leaves the change in place at the end; it needs `because`.",
);
const BECAUSE: Key = optional("because", Shape::Text, "Why `revert` is false.");

/// `apply`.
pub static APPLY: Construct = Construct {
    what: "`apply`",
    id: "apply",
    doc: "Server-side apply with field manager `muster` and strict field validation: CRDs and namespaces first, then the rest side by side. At least one of `files` and `objects`. At the end new objects are deleted and changed ones put back.",
    keys: &[
        optional(
            "files",
            Shape::List(&Shape::Template),
            "Manifests: paths, globs or folders, relative to the scenario's file.",
        ),
        optional(
            "objects",
            Shape::List(&Shape::TreeMap),
            "Manifests written here, with `${{ }}` filled in.",
        ),
        optional(
            "with",
            Shape::TreeMap,
            "The `inputs` of the manifests in `files`. Without it they are sent as they are, with it their `${{ inputs.name }}` are filled in.",
        ),
        unsupported("kustomize", "A folder with a kustomization."),
        REVERT,
        BECAUSE,
    ],
};

/// `patch`.
pub static PATCH: Construct = Construct {
    what: "`patch`",
    id: "patch",
    doc: "Patches one object with exactly one of `merge`, `json`, `strategic`. At the end the changed fields get their first values back.",
    keys: &[
        required("target", Shape::Target, "The object to patch."),
        optional(
            "merge",
            Shape::TreeMap,
            "A merge patch (RFC 7386): `null` removes a field, lists are replaced.",
        ),
        optional("json", Shape::List(&Shape::TreeMap), "A JSON patch (RFC 6902)."),
        optional(
            "strategic",
            Shape::TreeMap,
            "A strategic merge patch, for built-in kinds: keyed lists are merged.",
        ),
        optional("subresource", Shape::Text, "Such as `status`."),
        REVERT,
        BECAUSE,
    ],
};

/// `delete`.
pub static DELETE: Construct = Construct {
    what: "`delete`",
    id: "delete",
    doc: "Deletes and waits until these very objects (by uid) are gone; what a controller makes anew under the same name is not waited for.",
    keys: &[
        required("target", Shape::Target, "The object, or objects by labels."),
        optional(
            "gracePeriod",
            Shape::Duration,
            "The time that pods get to end; theirs by default.",
        ),
        REVERT,
        BECAUSE,
    ],
};

/// `scale`.
pub static SCALE: Construct = Construct {
    what: "`scale`",
    id: "scale",
    doc: "Sets `spec.replicas` by the scale subresource. At the end the first number comes back.",
    keys: &[
        required(
            "target",
            Shape::Target,
            "A Deployment, StatefulSet, ReplicaSet or anything else with a scale subresource.",
        ),
        required("replicas", Shape::Integer, "The number of replicas."),
        REVERT,
        BECAUSE,
    ],
};

/// `restart`.
pub static RESTART: Construct = Construct {
    what: "`restart`",
    id: "restart",
    doc: "Restarts the pods of a workload.",
    keys: &[
        required(
            "target",
            Shape::Target,
            "A Deployment, StatefulSet or DaemonSet; with `by: delete` pods too.",
        ),
        optional(
            "by",
            Shape::Words(&["rollout", "delete"]),
            "`rollout` (the default) sets the annotation that `kubectl rollout restart` sets; `delete` deletes the pods.",
        ),
    ],
};

/// `exec`.
pub static EXEC: Construct = Construct {
    what: "`exec`",
    id: "exec",
    doc: "Runs a command in a container; any exit code but 0 fails the step, unless `fails` expects it. It is never sent twice.",
    keys: &[
        required(
            "in",
            Shape::Target,
            "A pod, or an owner or labels of pods: then a ready one is taken.",
        ),
        optional(
            "container",
            Shape::Template,
            "The container; needed where there are several and no default.",
        ),
        required(
            "command",
            Shape::List(&Shape::Template),
            "The program and its arguments. There is no shell: `[sh, -c, \"...\"]` for one.",
        ),
    ],
};

/// `script`.
pub static SCRIPT: Construct = Construct {
    what: "`script`",
    id: "script",
    doc: "Runs a command beside muster in its own process group, killed whole at its deadline. KUBECONFIG and NAMESPACE are set; the folder is the scenario's.",
    keys: &[
        required("run", Shape::Template, "Given to `sh -eu -c`."),
        optional(
            "env",
            Shape::Texts,
            "Further environment variables. Use these for values: what `${{ }}` inserts into `run` is not quoted for the shell.",
        ),
    ],
};

/// `pause`.
pub static PAUSE: Construct = Construct {
    what: "`pause`",
    id: "pause",
    doc: "Waits for a fixed time. An expectation is nearly always better: it ends as soon as it holds and says what it saw.",
    keys: &[
        required("for", Shape::Duration, "How long."),
        required("because", Shape::Text, "Why nothing can be expected instead."),
    ],
};

/// `fails`.
pub static FAILS: Construct = Construct {
    what: "`fails`",
    id: "fails",
    doc: "How something must fail; all that is written must match. API requests have `reason`, `status`, `message`; `exec` and `script` have `code`, `stdout`, `stderr`; `sql` has `sqlstate`, `message`, `kind`.",
    keys: &[
        optional(
            "reason",
            Shape::Pattern,
            "The API's reason: `Forbidden`, `Invalid`, `AlreadyExists`, `NotFound`, `Conflict`.",
        ),
        optional("status", Shape::Pattern, "The HTTP status code."),
        optional(
            "message",
            Shape::Pattern,
            "The message of the API or of the database.",
        ),
        optional(
            "code",
            Shape::Pattern,
            "The exit code. A negative check (`{$ne: 0}`) never matches 126 or 127: the command wasn't run.",
        ),
        optional("stdout", Shape::Pattern, "The standard output."),
        optional("stderr", Shape::Pattern, "The standard error output."),
        optional(
            "sqlstate",
            Shape::Pattern,
            "The five characters of SQLSTATE, such as `\"42P01\"`.",
        ),
        optional(
            "kind",
            Shape::Pattern,
            "Why no connection could be made: `dns`, `timeout`, `refused`, `reset`, `tls-refused`, `auth`, `no-database`...",
        ),
    ],
};
