//! The keys of `muster.yaml`.
//!
//! Invariant: see `table`.

use super::table::{Construct, Shape, optional, required, unsupported};

/// `muster.yaml`.
pub static CONFIG: Construct = Construct {
    what: "`muster.yaml`",
    id: "config",
    doc: "How muster runs here: the clusters, what must be on them, default times. It is found in the current folder or the nearest one above; flags win over `MUSTER_*` variables, those over it.",
    keys: &[
        optional(
            "clusters",
            Shape::Map(&Shape::Of(&CLUSTER)),
            "The clusters by name.",
        ),
        optional(
            "cluster",
            Shape::Text,
            "The cluster that is used without `--cluster`; needed if there are several.",
        ),
        optional(
            "prepare",
            Shape::List(&Shape::Of(&PREPARE)),
            "What a cluster must have before scenarios run, in this order: applied once, awaited, left in place.",
        ),
        optional("timeouts", Shape::Of(&TIMEOUTS), "Default times."),
        optional(
            "parallel",
            Shape::Integer,
            "How many scenarios run side by side; 8 by default.",
        ),
        unsupported("values", "Values by platform."),
        unsupported("retries", "How often a failed scenario is tried again."),
        unsupported("flaky", "What a scenario that passed on a retry counts as."),
        unsupported("reports", "Reports to write."),
        unsupported("redact", "Further values to mask."),
    ],
};

/// A cluster.
pub static CLUSTER: Construct = Construct {
    what: "a cluster",
    id: "cluster",
    doc: "A cluster that exists, or muster's own lab.",
    keys: &[
        optional(
            "provider",
            Shape::Words(&["existing", "lab"]),
            "`existing` (the default): reached by a kubeconfig. `lab`: Kubernetes as processes on this machine, by `muster cluster up`.",
        ),
        optional(
            "context",
            Shape::Text,
            "The context in the kubeconfig; its current one by default. With `existing` only.",
        ),
        optional(
            "kubeconfig",
            Shape::Text,
            "The kubeconfig, relative to this file; by default KUBECONFIG, else ~/.kube/config. With `existing` only.",
        ),
    ],
};

/// `prepare`.
pub static PREPARE: Construct = Construct {
    what: "a preparation",
    id: "prepare",
    doc: "Manifests that a cluster must have, and how to know that they work.",
    keys: &[
        required(
            "files",
            Shape::List(&Shape::Text),
            "Manifests: paths, globs or folders, relative to this file. They are sent as they are.",
        ),
        optional(
            "await",
            Shape::List(&Shape::Expectation),
            "What must be seen before scenarios run: `ready` or `object`, with `within` and `namespace` (here its real name).",
        ),
    ],
};

/// `timeouts`.
pub static TIMEOUTS: Construct = Construct {
    what: "the default times",
    id: "timeouts",
    doc: "Default times.",
    keys: &[
        optional(
            "within",
            Shape::Duration,
            "For an expectation without `within`; 30s by default.",
        ),
        optional("step", Shape::Duration, "For a step without `timeout`."),
        optional("scenario", Shape::Duration, "For a scenario without `timeout`."),
    ],
};
