//! Every method on a real API server.
//!
//! `MUSTER_TEST_KUBECONFIG` names the kubeconfig of a cluster with full rights, whose namespaces `muster-cluster-*` may
//! be made and removed. `MUSTER_TEST_IMAGE` names an image with busybox's `sh` and `nc`
//! that its nodes have or can pull, such as `docker.io/library/busybox:1.36`; without it, what needs running pods is
//! ignored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod objects;
mod pods;
mod watching;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use muster_cluster::{ApplyOptions, Cluster, ConnectOptions, DeleteOptions, Kind, Written};
use serde_json::{Value, json};

/// What a trial works with: a connection, and a namespace of its own.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Ground {
    async fn prepare() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = Cluster::connect(&options()).await.unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("muster-cluster-{}-{number}", std::process::id());
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.create(&manifest, None).await.unwrap();
        Self {
            cluster,
            namespace,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn clear(&self) {
        let kind = self.kind("namespace").await;
        let options = DeleteOptions::default();
        self.cluster
            .delete(&kind, None, &self.namespace, &options)
            .await
            .unwrap();
    }

    pub(crate) fn ns(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    pub(crate) async fn kind(&self, word: &str) -> Kind {
        self.cluster.resolve(word, None).await.unwrap()
    }

    pub(crate) async fn apply(&self, manifest: &Value) -> Written {
        let options = ApplyOptions::default();
        self.cluster.apply(manifest, self.ns(), &options).await.unwrap()
    }

    /// The same cluster as somebody else, by a changed copy of the kubeconfig.
    pub(crate) fn kubeconfig(&self, change: impl FnOnce(&mut Value)) -> ConnectOptions {
        let path = self.folder.path().join("other");
        let text = std::fs::read(self.folder.path().join("admin")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        ConnectOptions {
            kubeconfig: Some(path),
            ..ConnectOptions::default()
        }
    }

    /// The same cluster as a service account that has no rights but those of these rules in the namespace.
    pub(crate) async fn as_somebody(&self, rules: Value) -> Cluster {
        self.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "somebody"}}))
            .await;
        self.apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "somebody"},
            "rules": rules}))
            .await;
        self.apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "somebody"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "somebody"},
            "subjects": [{"kind": "ServiceAccount", "name": "somebody", "namespace": self.namespace}]}))
            .await;
        self.cluster
            .write_kubeconfig(&self.folder.path().join("admin"))
            .await
            .unwrap();
        let user = format!("system:serviceaccount:{}:somebody", self.namespace);
        let options = self.kubeconfig(|config| config["users"][0]["user"]["as"] = user.into());
        Cluster::connect(&options).await.unwrap()
    }
}

fn options() -> ConnectOptions {
    ConnectOptions {
        kubeconfig: std::env::var_os("MUSTER_TEST_KUBECONFIG").map(Into::into),
        ..ConnectOptions::default()
    }
}

pub(crate) fn image() -> String {
    std::env::var("MUSTER_TEST_IMAGE").unwrap()
}

/// Asks until something is so, for at most a minute.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    for _ in 0..600 {
        if let Some(value) = ask().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come true within a minute");
}

/// A trial that is ignored unless all these variables are set.
fn trial<F>(name: &str, needs: &'static [&'static str], run: fn(Arc<Ground>) -> F) -> Trial
where
    F: Future<Output = ()> + Send + 'static,
{
    Trial::ignorable_test(name, move || {
        if let Some(missing) = needs.iter().find(|name| std::env::var_os(name).is_none()) {
            return Ok(Completion::ignored_with(format!("needs {missing}")));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failed::from(error.to_string()))?;
        let result = runtime.block_on(async move {
            let ground = Arc::new(Ground::prepare().await);
            let result = tokio::spawn(run(Arc::clone(&ground))).await;
            ground.clear().await;
            result
        });
        result
            .map(|()| Completion::Completed)
            .map_err(|error| Failed::from(error.to_string()))
    })
}

fn main() -> std::process::ExitCode {
    let mut args = Arguments::from_args();
    // The machine under test is often this one.
    args.test_threads = args.test_threads.or(Some(4));
    const CLUSTER: &[&str] = &["MUSTER_TEST_KUBECONFIG"];
    const PODS: &[&str] = &["MUSTER_TEST_KUBECONFIG", "MUSTER_TEST_IMAGE"];
    let trials = vec![
        trial(
            "the_written_kubeconfig_leads_to_the_same_cluster",
            CLUSTER,
            access::written_kubeconfig,
        ),
        trial(
            "wrong_credentials_and_certificates_are_told_apart",
            CLUSTER,
            access::wrong_credentials,
        ),
        trial(
            "a_forbidden_request_names_what_to_grant",
            CLUSTER,
            access::forbidden,
        ),
        trial("what_is_allowed_is_known_before", CLUSTER, access::allowed),
        trial("a_raw_path_is_read", CLUSTER, access::raw),
        trial(
            "apply_tells_created_from_existing",
            CLUSTER,
            objects::apply_outcomes,
        ),
        trial(
            "apply_refuses_unknown_fields_and_bad_manifests",
            CLUSTER,
            objects::apply_refuses,
        ),
        trial(
            "apply_names_the_other_field_manager",
            CLUSTER,
            objects::apply_conflict,
        ),
        trial("create_refuses_an_existing_name", CLUSTER, objects::create),
        trial("every_patch_language_works", CLUSTER, objects::patch),
        trial("get_and_list_see_what_is_there", CLUSTER, objects::read),
        trial(
            "delete_keeps_to_the_uid_and_tells_gone_from_going",
            CLUSTER,
            objects::delete,
        ),
        trial("scale_returns_the_object_after_it", CLUSTER, objects::scale),
        trial(
            "a_kind_created_after_connecting_is_found",
            CLUSTER,
            objects::new_kind,
        ),
        trial("a_watch_sees_every_change_in_order", CLUSTER, watching::order),
        trial(
            "a_watch_by_label_sees_objects_come_and_go",
            CLUSTER,
            watching::labels,
        ),
        trial("without_the_right_to_watch_it_polls", CLUSTER, watching::polling),
        trial(
            "with_the_right_to_get_only_it_polls_by_name",
            CLUSTER,
            watching::polling_by_get,
        ),
        trial("a_watched_kind_may_come_and_go", CLUSTER, watching::unserved),
        trial("exec_gives_code_and_both_outputs", PODS, pods::exec),
        trial("exec_tells_what_can_not_run", PODS, pods::exec_errors),
        trial("a_log_is_followed_to_its_end_and_read_again", PODS, pods::logs),
        trial("a_silent_log_can_be_followed", PODS, pods::silent_log),
        trial("the_log_of_the_former_run_is_read", PODS, pods::previous_log),
        trial("a_port_is_forwarded", PODS, pods::forward),
        trial("a_closed_port_is_refused", PODS, pods::closed_port),
    ];
    libtest_mimic::run(&args, trials).exit_code()
}
