//! The keys of a scenario and of what stands around its steps.
//!
//! Invariant: see `table`.

use super::actions::FAILS;
use super::table::{Construct, Shape, optional, required, unsupported};

/// A scenario: one document of a file.
pub static SCENARIO: Construct = Construct {
    what: "a scenario",
    id: "scenario",
    doc: "One story: what it needs, what it does, what must then be seen. Each document of a file is a scenario.",
    keys: &[
        required("scenario", Shape::Text, "The title, as reports show it."),
        optional(
            "labels",
            Shape::Map(&Shape::Text),
            "Free labels, for `-l key=value`.",
        ),
        optional(
            "requires",
            Shape::Of(&REQUIRES),
            "What the cluster must have; if it doesn't, the scenario is skipped with the reason.",
        ),
        optional(
            "timeout",
            Shape::Duration,
            "The longest time for all steps, clean-up not included.",
        ),
        optional(
            "namespaces",
            Shape::Map(&Shape::Of(&NAMESPACE)),
            "The namespaces by the names that the scenario gives them; the first is the default. Without it: a fresh one named `test`.",
        ),
        optional(
            "vars",
            Shape::Map(&Shape::Either(&[
                Shape::Template,
                Shape::List(&Shape::Tree),
                Shape::Of(&VAR),
            ])),
            "Values by name, read as `${{ vars.name }}`; a var may read those above it.",
        ),
        optional(
            "connections",
            Shape::Map(&Shape::Of(&CONNECTION)),
            "Databases that `sql` asks, by name.",
        ),
        optional(
            "locks",
            Shape::List(&Shape::Text),
            "Scenarios with a common lock don't run side by side. Existing namespaces and cluster-scoped objects are locked anyway.",
        ),
        required(
            "steps",
            Shape::List(&Shape::Of(&STEP)),
            "The steps, in order; the first that fails ends the scenario.",
        ),
        optional(
            "finally",
            Shape::List(&Shape::Of(&STEP)),
            "Steps that run at the end in any case, before clean-up.",
        ),
        unsupported("matrix", "Runs the scenario once for each row."),
        unsupported("known", "The scenario is known to fail at a step."),
        unsupported("always", "Expectations that are watched beside the steps."),
        unsupported("cluster", "The cluster that the scenario runs on."),
        unsupported("collect", "What more to keep as evidence."),
    ],
};

/// `requires`.
pub static REQUIRES: Construct = Construct {
    what: "the requirements",
    id: "requires",
    doc: "What a cluster must have for the scenario to run there.",
    keys: &[
        optional(
            "crds",
            Shape::List(&Shape::Text),
            "Names of CustomResourceDefinitions, such as `spireservers.operator.openshift.io`.",
        ),
        unsupported("version", "The least version of Kubernetes."),
        unsupported("platform", "The platform."),
    ],
};

/// A namespace.
pub static NAMESPACE: Construct = Construct {
    what: "a namespace",
    id: "namespace",
    doc: "Where a namespace comes from: exactly one of `existing`, `create`, `lease`.",
    keys: &[
        optional(
            "existing",
            Shape::Template,
            "The name of a namespace that must exist; it is never deleted.",
        ),
        optional(
            "create",
            Shape::Template,
            "The name of a namespace that must not exist; it is deleted at the end.",
        ),
        optional(
            "lease",
            Shape::Of(&LEASE),
            "A namespace with a fresh name, deleted at the end. `{}` for one without labels.",
        ),
        optional(
            "labels",
            Shape::Texts,
            "Labels of a created namespace, with `create` only.",
        ),
    ],
};

/// `lease`.
pub static LEASE: Construct = Construct {
    what: "a lease",
    id: "lease",
    doc: "A namespace with a fresh name.",
    keys: &[optional("labels", Shape::Texts, "Its labels.")],
};

/// A var that is more than a plain value.
pub static VAR: Construct = Construct {
    what: "a var",
    id: "var",
    doc: "Where a var's value comes from: exactly one of `value`, `random`, `env`. A plain value or list can be written without this map.",
    keys: &[
        optional(
            "value",
            Shape::Tree,
            "A value; needed for maps, and beside `secret`.",
        ),
        optional(
            "random",
            Shape::Integer,
            "So many characters of `[A-Za-z0-9]`, new for each attempt.",
        ),
        optional(
            "env",
            Shape::Text,
            "The name of an environment variable of the muster process; unset is an error.",
        ),
        optional(
            "secret",
            Shape::Boolean,
            "Whether the value is masked wherever it would be shown. It must have 8 characters or more.",
        ),
        unsupported("default", "A value with exceptions by platform."),
        unsupported("on", "The exceptions by platform."),
        unsupported("ca", "A fresh certificate authority."),
        unsupported("certificate", "A fresh certificate."),
    ],
};

/// A connection.
pub static CONNECTION: Construct = Construct {
    what: "a connection",
    id: "connection",
    doc: "A database, opened at first use and opened again when it is lost.",
    keys: &[required(
        "postgres",
        Shape::Of(&POSTGRES),
        "A Postgres behind a Service.",
    )],
};

/// `postgres`.
pub static POSTGRES: Construct = Construct {
    what: "a Postgres connection",
    id: "postgres",
    doc: "A Postgres reached by a port-forward to a ready pod behind a Service. The server sees it come from 127.0.0.1.",
    keys: &[
        required("through", Shape::Target, "The Service: `service/name`."),
        optional("port", Shape::Integer, "The Service's port; 5432 by default."),
        optional(
            "namespace",
            Shape::Template,
            "The namespace of the Service and of the Secrets, by its name in this scenario; the first one by default.",
        ),
        required("database", Shape::Credential, "The database."),
        required("user", Shape::Credential, "The user."),
        optional("password", Shape::Credential, "The password."),
        required(
            "sslmode",
            Shape::OpenWords(SSLMODES),
            "libpq's word. There is no default: libpq says `prefer`, other drivers `require`.",
        ),
        optional(
            "sslrootcert",
            Shape::Credential,
            "The certificates to trust, as PEM, for `verify-ca` and `verify-full`.",
        ),
    ],
};

/// libpq's words for `sslmode`, in the order of its documentation (libpq, "SSL Mode Descriptions").
pub const SSLMODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// `{secret, key}`.
pub static SECRET_KEY: Construct = Construct {
    what: "a Secret's key",
    id: "secret-key",
    doc: "A key of a Secret in the connection's namespace, read at each connect.",
    keys: &[
        required("secret", Shape::Template, "The Secret's name."),
        required("key", Shape::Template, "The key in its data."),
    ],
};

/// The long form of a target.
pub static TARGET: Construct = Construct {
    what: "a target",
    id: "target",
    doc: "One object by its name or several by their labels. The short form is `kind/name`.",
    keys: &[
        optional(
            "kind",
            Shape::Text,
            "The kind as kubectl takes it: `deployment`, `deploy`, `deployments.apps`. Where only pods make sense, `pod` by default.",
        ),
        optional("name", Shape::Template, "The name; not with `labels`."),
        optional(
            "labels",
            Shape::Texts,
            "All of these labels; not with `name`. In an expectation, `{}` is every object of the kind.",
        ),
        optional(
            "apiVersion",
            Shape::Text,
            "Which one, if several API groups serve the kind.",
        ),
        unsupported("files", "The objects of manifests."),
    ],
};

/// A step; an action's key (`ACTIONS`) stands beside these.
pub static STEP: Construct = Construct {
    what: "a step",
    id: "step",
    doc: "At most one action, then any number of expectations. Actions change the world, expectations observe it.",
    keys: &[
        optional(
            "name",
            Shape::Text,
            "What reports call it; by default a summary of the action.",
        ),
        optional(
            "expect",
            Shape::List(&Shape::Expectation),
            "What must be seen, checked in this order. Observing begins before the action is sent.",
        ),
        optional(
            "fails",
            Shape::Of(&FAILS),
            "The action must fail, in this way. Succeeding, or failing otherwise, fails the step.",
        ),
        optional(
            "save",
            Shape::Programs,
            "Names for values of the action's result, bare CEL over `self`, read later as `saved.name`.",
        ),
        optional(
            "when",
            Shape::Cel,
            "The step runs only if this is true; else it is skipped.",
        ),
        optional("timeout", Shape::Duration, "The longest time for the step."),
        optional(
            "namespace",
            Shape::Template,
            "The namespace of the step, by its name in this scenario.",
        ),
        unsupported("retry", "Repeats the step."),
        unsupported("for_each", "Runs the step for each value of a list."),
        unsupported("cluster", "The cluster that the step runs on."),
        unsupported("collect", "What more to keep as evidence."),
    ],
};
