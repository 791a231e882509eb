//! Running pods: exec, logs, port-forward.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use muster_cluster::{ExecError, LogQuery, LogStream};
use muster_model::Object;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Ground, image, until};

/// A pod that runs a shell script, removed at once when it is deleted.
fn pod(name: &str, script: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 0, "restartPolicy": "Never",
        "containers": [{"name": "main", "image": image(), "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}]}})
}

/// Waits until the pod is as asked.
async fn wait(ground: &Ground, name: &str, what: &str, so: impl Fn(&Object) -> bool) {
    let kind = ground.kind("pod").await;
    until(what, async || {
        ground
            .cluster
            .get(&kind, ground.ns(), name)
            .await
            .unwrap()
            .filter(&so)
    })
    .await;
}

async fn running(ground: &Ground, manifest: &Value) {
    ground.apply(manifest).await;
    let name = manifest["metadata"]["name"].as_str().unwrap();
    wait(ground, name, "the pod runs", |pod| {
        pod.text(&["status", "phase"]) == "Running"
    })
    .await;
}

fn log(ground: &Ground, pod: &str) -> LogQuery {
    LogQuery {
        namespace: ground.namespace.clone(),
        pod: pod.to_owned(),
        ..LogQuery::default()
    }
}

async fn rest(stream: &mut LogStream) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = stream.next().await.unwrap() {
        lines.push(line.text);
    }
    lines
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

pub(crate) async fn exec(ground: Arc<Ground>) {
    running(&ground, &pod("a", "exec sleep 600")).await;
    let ns = &ground.namespace;
    let output = ground
        .cluster
        .exec(ns, "a", Some("main"), &sh("echo out; echo err >&2; exit 3"))
        .await
        .unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice(), output.code),
        (&b"out\n"[..], &b"err\n"[..], 3)
    );
    let output = ground.cluster.exec(ns, "a", None, &sh("exit 0")).await.unwrap();
    assert_eq!((output.stdout.len(), output.code), (0, 0));
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; echo 9876543210 >&2; i=$((i+1)); done";
    let output = ground.cluster.exec(ns, "a", None, &sh(script)).await.unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (220_000, 220_000),
        "nothing is lost"
    );
}

pub(crate) async fn exec_errors(ground: Arc<Ground>) {
    running(&ground, &pod("a", "exec sleep 600")).await;
    let ns = &ground.namespace;
    let error = ground
        .cluster
        .exec(ns, "a", None, &["/no/such/command".into()])
        .await
        .unwrap_err();
    assert!(matches!(error, ExecError::NotRun { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/command"), "{error}");
    let error = ground
        .cluster
        .exec(ns, "a", Some("side"), &sh("true"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("container side"), "{error}");
    let error = ground
        .cluster
        .exec(ns, "none", None, &sh("true"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("exec pod/none in namespace {ns}: pods \"none\" not found")
    );
}

pub(crate) async fn logs(ground: Arc<Ground>) {
    running(
        &ground,
        &pod(
            "a",
            "echo one; sleep 2; echo; sleep 1; echo two >&2; sleep 1; printf three",
        ),
    )
    .await;
    let follow = LogQuery {
        follow: true,
        ..log(&ground, "a")
    };
    let mut stream = ground.cluster.logs(follow).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.text, "one");
    assert_eq!(
        rest(&mut stream).await,
        ["", "two", "three"],
        "it ends when the container ends"
    );
    let tail = LogQuery {
        tail: Some(1),
        ..log(&ground, "a")
    };
    let last = ground
        .cluster
        .logs(tail)
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(last.text, "three");
    assert!((last.time - first.time).total(jiff::Unit::Second).unwrap() > 2.5);
    let since = LogQuery {
        since_time: Some(last.time),
        ..log(&ground, "a")
    };
    let mut since = ground.cluster.logs(since).await.unwrap();
    assert!(
        rest(&mut since).await.contains(&"three".to_owned()),
        "the line of that time is not lost"
    );
    let error = ground.cluster.logs(log(&ground, "none")).await.unwrap_err();
    assert_eq!(error.class, muster_cluster::ErrorClass::NotFound);
}

pub(crate) async fn silent_log(ground: Arc<Ground>) {
    running(&ground, &pod("a", "sleep 13; echo late")).await;
    let follow = LogQuery {
        follow: true,
        ..log(&ground, "a")
    };
    let cluster = ground.cluster.scoped();
    let mut stream = cluster.logs(follow).await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), stream.next())
            .await
            .is_err()
    );
    assert_eq!(
        rest(&mut stream).await,
        ["late"],
        "a cancelled wait is taken up again"
    );
    assert_eq!(cluster.requests().sent, 1, "silence is no reason to ask again");
}

pub(crate) async fn previous_log(ground: Arc<Ground>) {
    let script = "[ -e /kept/ran ] && exec sleep 600; touch /kept/ran; echo first run; exit 1";
    let mut manifest = pod("a", script);
    manifest["spec"]["restartPolicy"] = "Always".into();
    manifest["spec"]["volumes"] = json!([{"name": "kept", "emptyDir": {}}]);
    manifest["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "kept", "mountPath": "/kept"}]);
    ground.apply(&manifest).await;
    let starting = ground.cluster.logs(log(&ground, "a")).await;
    if let Err(error) = starting {
        assert!(error.is_waiting_to_start(), "{error}");
    }
    wait(&ground, "a", "the pod runs for the second time", |pod| {
        pod.list(&["status", "containerStatuses"])
            .iter()
            .any(|status| status["restartCount"] == 1 && status["state"]["running"].is_object())
    })
    .await;
    let previous = LogQuery {
        previous: true,
        container: Some("main".into()),
        ..log(&ground, "a")
    };
    let mut stream = ground.cluster.logs(previous).await.unwrap();
    assert_eq!(rest(&mut stream).await, ["first run"]);
}

/// Answers each line with itself, and ends at `bye`.
const ECHO: &str = r#"
echo 'while read -r line; do [ "$line" = bye ] && exit; echo "$line"; done' >/tmp/echo
exec nc -ll -p 7000 -e sh /tmp/echo
"#;

pub(crate) async fn forward(ground: Arc<Ground>) {
    running(&ground, &pod("a", ECHO)).await;
    let mut stream = until("the port answers", async || {
        let mut stream = ground
            .cluster
            .forward(&ground.namespace, "a", 7000)
            .await
            .unwrap();
        stream.write_all(b"ping\n").await.ok()?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.ok()?;
        assert_eq!(&answer, b"ping\n");
        Some(stream)
    })
    .await;
    // Shutting down its writing side must not cut off what the pod still sends.
    let big = [b'x'; 100_000];
    stream.write_all(&big).await.unwrap();
    stream.write_all(b"\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = vec![0; 100_001];
    stream.read_exact(&mut answer).await.unwrap();
    stream.write_all(b"bye\n").await.unwrap();
    let mut nothing = Vec::new();
    stream.read_to_end(&mut nothing).await.unwrap();
    assert_eq!(nothing.len(), 0, "the pod's end is a clean end");
    let error = ground
        .cluster
        .forward(&ground.namespace, "none", 7000)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("pods \"none\" not found"), "{error}");
}

pub(crate) async fn closed_port(ground: Arc<Ground>) {
    running(&ground, &pod("a", "exec sleep 600")).await;
    let mut stream = ground.cluster.forward(&ground.namespace, "a", 9).await.unwrap();
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    let start = format!("forward port 9 of pod/a in namespace {}: ", ground.namespace);
    assert!(error.to_string().starts_with(&start), "{error}");
}
