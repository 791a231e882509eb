//! Bad input and bad luck on a real cluster: what the command line says, how it ends, and what it leaves.
//!
//! Needs `MUSTER_TEST_CLUSTER` (the value of `--cluster`, such as `lab`); without it each test is ignored.
//!
//! Invariant: every test works in namespaces that a run made and asks the cluster whether they are gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod restricted;
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use muster_cluster::{Cluster, Selector};
use restricted::Restricted;
use support::{Ended, Folder, run};

const CLUSTER: &str = "MUSTER_TEST_CLUSTER";

/// A test, given the cluster's name.
type Test = fn(&str);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let cluster = std::env::var(CLUSTER).ok().filter(|name| !name.is_empty());
    let tests: [(&str, Test); 18] = [
        (
            "a_kind_unknown_to_the_cluster_is_told_with_the_nearest_one",
            unknown_kind,
        ),
        (
            "a_verb_forbidden_to_the_user_is_told_with_resource_and_namespace",
            forbidden,
        ),
        (
            "one_wrong_word_in_a_log_pattern_shows_the_nearest_line_and_keeps_evidence",
            wrong_word,
        ),
        (
            "a_script_that_outlives_its_step_is_killed_with_all_it_started",
            script_outlives,
        ),
        ("ctrl_c_in_a_wait_cleans_up_and_reports", interrupted_by_int),
        ("sigterm_in_a_wait_cleans_up_and_reports", interrupted_by_term),
        ("ctrl_c_in_a_script_kills_it_and_cleans_up", interrupted_in_script),
        (
            "a_second_ctrl_c_ends_at_once_and_says_how_to_clean_up",
            interrupted_twice,
        ),
        ("a_secret_is_in_no_file_and_on_no_terminal", secrets),
        (
            "a_password_that_only_the_cluster_knows_is_masked_too",
            cluster_secret,
        ),
        ("var_replaces_a_value_with_its_type", var_replaces),
        ("var_of_a_wrong_type_is_told", var_wrong_type),
        ("what_is_kept_can_be_cleaned_later", keep_and_clean),
        (
            "what_existed_before_comes_back_when_it_was_deleted",
            restore_deleted,
        ),
        ("a_requirement_that_is_not_met_is_no_success", requirement),
        ("what_held_before_the_action_is_told", held_before),
        ("what_others_changed_since_is_left_and_told", changed_by_others),
        ("what_a_wait_waits_for_is_told_while_it_waits", waits_are_told),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test)| match cluster.clone() {
            None => Trial::test(name, || Ok(()))
                .with_kind("needs MUSTER_TEST_CLUSTER")
                .with_ignored_flag(true),
            Some(cluster) => Trial::test(name, move || {
                test(&cluster);
                Ok(())
            }),
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// `run scenario.yaml` on the cluster.
fn on(folder: &Folder, cluster: &str, more: &[&str]) -> Ended {
    run(command(folder, cluster, more))
}

fn command(folder: &Folder, cluster: &str, more: &[&str]) -> std::process::Command {
    let mut arguments = vec![
        "run",
        "scenario.yaml",
        "--cluster",
        cluster,
        "--junit",
        "junit.xml",
    ];
    arguments.extend(more);
    folder.command(&arguments)
}

/// Does something with a connection of the test's own.
pub(crate) fn ask<T>(cluster: &str, question: impl AsyncFnOnce(Cluster) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let args = muster::args::ClusterArgs {
            cluster: Some(cluster.to_owned()),
            ..Default::default()
        };
        let connected = muster::connect::connect(&args, None).await;
        let connected = connected.map_err(|error| error.message).unwrap();
        question(connected.cluster).await
    })
}

/// The id of the folder's latest run.
fn run_id(folder: &Folder) -> String {
    let latest = std::fs::canonicalize(folder.path().join("runs/latest")).unwrap();
    latest.file_name().unwrap().to_string_lossy().into_owned()
}

/// The namespaces that the folder's latest run left.
fn namespaces_left(folder: &Folder, cluster: &str) -> Vec<String> {
    let selector: Selector = [("muster.dev/run", run_id(folder))].into_iter().collect();
    ask(cluster, async |cluster| {
        let kind = cluster.resolve("namespaces", Some("v1")).await.unwrap();
        let listing = cluster.list(&kind, None, &selector).await.unwrap();
        listing
            .objects
            .iter()
            .map(|object| object.name().to_owned())
            .collect()
    })
}

#[track_caller]
fn assert_clean(folder: &Folder, cluster: &str) {
    assert_eq!(namespaces_left(folder, cluster), Vec::<String>::new());
}

fn unknown_kind(cluster: &str) {
    let folder = Folder::with(
        "scenario: a kind\nsteps:\n  - expect:\n      - ready: deploymnt/web\n        within: 1s\n",
    );
    on(&folder, cluster, &[]).shows(
        1,
        &[
            "deploymnt",
            "did you mean Deployment?",
            "scenario.yaml:4:9",
            "- ready: deploymnt/web",
        ],
    );
    assert_clean(&folder, cluster);
}

fn forbidden(cluster: &str) {
    let account = Restricted::create(cluster);
    let namespace = account.namespace.clone();
    let scenario = |steps: &str| {
        format!("scenario: rights\nnamespaces: {{app: {{existing: {namespace}}}}}\nsteps:\n{steps}")
    };
    let cases = [
        // An action.
        (
            "  - apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}\n    expect: [{object: configmap/a, absent: from-start}]\n",
            ["patch", "configmaps", "is forbidden"],
        ),
        (
            "  - delete: {target: configmap/kube-root-ca.crt}\n    expect: [{object: configmap/a, absent: from-start}]\n",
            ["delete", "configmaps", "is forbidden"],
        ),
        // An expectation: at once, not at its deadline.
        (
            "  - expect: [{object: secret/a, match: {type: Opaque}, within: 10m}]\n",
            ["list", "secrets", "is forbidden"],
        ),
        (
            "  - exec: {in: {labels: {app: x}}, command: [\"true\"]}\n    expect: [{object: configmap/a, absent: from-start}]\n",
            ["list", "pods", "is forbidden"],
        ),
    ];
    for (steps, words) in cases {
        let folder = Folder::with(&scenario(steps));
        folder.write("kubeconfig", &account.kubeconfig);
        let began = Instant::now();
        let ended = folder.muster(&["run", "scenario.yaml", "--kubeconfig", "kubeconfig"]);
        ended.shows(1, &words);
        ended.shows(1, &[&namespace, "muster-test", "scenario.yaml:4:"]);
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    // A namespace of its own can't be made.
    let folder =
        Folder::with("scenario: rights\nsteps:\n  - expect: [{object: configmap/a, absent: from-start}]\n");
    folder.write("kubeconfig", &account.kubeconfig);
    folder
        .muster(&["run", "scenario.yaml", "--kubeconfig", "kubeconfig"])
        .shows(1, &["create", "namespaces", "is forbidden"]);
}

const TALKER: &str = "\
scenario: a server that complains
steps:
  - name: deploy
    apply:
      objects:
        - apiVersion: v1
          kind: Pod
          metadata: {name: server}
          spec:
            terminationGracePeriodSeconds: 0
            containers:
              - name: main
                image: docker.io/library/busybox:1.36
                command: [sh, -c, 'echo ''level=error msg=\"Fatal run error\" error=\"datastore-sql: pq: SSL is not enabled on the server\"''; sleep 3600']
    expect:
      - ready: pod/server
        within: 1m
  - name: the reason
    expect:
      - log: pod/server
        line: {level: error, error: {$matches: \"pq: TLS is not enabled on the server\"}}
        within: 2s
";

fn wrong_word(cluster: &str) {
    let folder = Folder::with(TALKER);
    let ended = on(&folder, cluster, &[]);
    ended.shows(
        1,
        &[
            "✓ deploy",
            "✗ the reason",
            "scenario.yaml:20:9",
            "pq: TLS is not enabled on the server",
            "nearest",
            "datastore-sql: pq: SSL is not enabled on the server",
            "evidence",
        ],
    );
    let evidence = find(&folder.path().join("runs/latest/evidence"));
    assert!(
        evidence
            .iter()
            .any(|(path, text)| path.contains("server") && text.contains("SSL is not enabled")),
        "{evidence:?}"
    );
    assert!(folder.read("junit.xml").contains("<failure"));
    assert_clean(&folder, cluster);
    Folder::with(&TALKER.replace("TLS", "SSL"))
        .muster(&["run", "scenario.yaml", "--cluster", cluster])
        .shows(0, &["✓ the reason"]);
}

/// All files below a folder, with their text.
fn find(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }
    found
}

fn script_outlives(cluster: &str) {
    let folder = Folder::with(
        "scenario: a script\nsteps:\n  - name: endless\n    timeout: 2s\n    script:\n      run: |\n        sleep 600 & echo $! >child\n        sh -c 'sleep 600 & echo $! >grandchild; wait' &\n        setsid sh -c 'echo $$ >session; exec sleep 600' &\n        echo nearly done >&2\n        wait\n    expect: [{object: configmap/a, absent: from-start}]\n",
    );
    let began = Instant::now();
    on(&folder, cluster, &[]).shows(
        1,
        &[
            "✗ endless",
            "the script did not end within 2s and was killed",
            "nearly done",
            "timeout",
        ],
    );
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    for name in ["child", "grandchild", "session"] {
        assert_gone(folder.read(name).trim(), name);
    }
    assert_clean(&folder, cluster);
}

#[track_caller]
fn assert_gone(pid: &str, name: &str) {
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(
        !command.contains("sleep"),
        "the {name} {pid} is alive: {command:?}"
    );
}

const WAITS: &str = "\
scenario: a wait without an end
steps:
  - name: never comes
    apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}
    expect:
      - object: configmap/a
        match: {data: {ready: \"yes\"}}
        within: 10m
    timeout: 10m
  - name: never reached
    expect: [{object: configmap/a, absent: from-start}]
finally:
  - name: last words
    expect: [{object: configmap/a, match: {metadata: {name: a}}}]
";

/// Starts a run and waits until a line that it prints has a text.
fn start_until(folder: &Folder, cluster: &str, text: &str) -> Child {
    let mut child = command(folder, cluster, &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "it ended before {text:?}:\n{seen}"
        );
        seen.push_str(&line);
        if line.contains(text) {
            break;
        }
    }
    // What follows is read to its end, so that nothing blocks.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    child
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

fn wait_for(mut child: Child, limit: Duration) -> i32 {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn interrupted_by_int(cluster: &str) {
    interrupted(cluster, rustix::process::Signal::INT);
}

fn interrupted_by_term(cluster: &str) {
    interrupted(cluster, rustix::process::Signal::TERM);
}

fn interrupted(cluster: &str, how: rustix::process::Signal) {
    let folder = Folder::with(WAITS);
    let child = start_until(&folder, cluster, "waits up to");
    signal(&child, how);
    assert_eq!(wait_for(child, Duration::from_secs(60)), 130);
    assert_clean(&folder, cluster);
    let events = folder.read("runs/latest/events.jsonl");
    assert!(
        events.contains("\"verdict\":\"interrupted\"") && events.contains("\"exit_code\":130"),
        "{events}"
    );
    let report = folder.muster(&["report"]);
    report.shows(0, &["never comes", "interrupted", "finally: last words"]);
    let junit = folder.read("junit.xml");
    assert!(
        junit.contains("never comes") && junit.contains("interrupted"),
        "{junit}"
    );
}

fn interrupted_in_script(cluster: &str) {
    let folder = Folder::with(
        "scenario: a script\nsteps:\n  - name: before\n    expect: [{object: configmap/a, absent: from-start}]\n  - name: endless\n    script: {run: \"sleep 600 & echo $! >child; wait\"}\n    expect: [{object: configmap/a, absent: from-start}]\n",
    );
    let child = start_until(&folder, cluster, "✓ before");
    let end = Instant::now() + Duration::from_secs(10);
    while !folder.path().join("child").exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&child, rustix::process::Signal::INT);
    assert_eq!(wait_for(child, Duration::from_secs(60)), 130);
    assert_gone(folder.read("child").trim(), "child");
    assert_clean(&folder, cluster);
}

fn interrupted_twice(cluster: &str) {
    // `finally` takes its time, so that the second signal comes in the middle of it.
    let folder = Folder::with(&WAITS.replace(
        "    expect: [{object: configmap/a, match: {metadata: {name: a}}}]\n",
        "    pause: {for: 20s, because: the second signal must find it}\n",
    ));
    let mut child = start_until(&folder, cluster, "waits up to");
    let stderr = child.stderr.take().unwrap();
    signal(&child, rustix::process::Signal::INT);
    let mut lines = BufReader::new(stderr).lines();
    let told = lines.next().unwrap().unwrap();
    assert!(told.contains("cleaning up"), "{told}");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, rustix::process::Signal::INT);
    assert_eq!(wait_for(child, Duration::from_secs(5)), 130);
    let last = lines.next().unwrap().unwrap();
    let id = run_id(&folder);
    assert!(last.contains(&format!("muster clean --run {id}")), "{last}");
    assert_eq!(namespaces_left(&folder, cluster).len(), 1);
    folder
        .muster(&["clean", "--run", &id])
        .shows(0, &["muster-test-"]);
    assert_clean(&folder, cluster);
}

/// A value that must not be found, as it is and as base64 at each offset.
fn forms(secret: &str) -> Vec<String> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let mut forms = vec![secret.to_owned()];
    for offset in 0..3 {
        let encoded = engine.encode(format!("{}{secret}", "\0".repeat(offset)));
        // The ends depend on what stands beside.
        forms.push(encoded[4..encoded.len() - 4].to_owned());
    }
    forms
}

#[track_caller]
fn assert_nowhere(secret: &str, folder: &Folder, ended: &Ended) {
    let mut texts = find(&folder.path().join("runs"));
    texts.push(("junit".to_owned(), folder.read("junit.xml")));
    texts.push(("stdout".to_owned(), ended.stdout.clone()));
    texts.push(("stderr".to_owned(), ended.stderr.clone()));
    assert!(texts.len() > 8, "there is too little to look at: {}", texts.len());
    for form in forms(secret) {
        for (name, text) in &texts {
            if let Some(at) = text.find(&form) {
                let line = text[..at].matches('\n').count() + 1;
                panic!("{form} is in {name}:{line}");
            }
        }
    }
}

const SECRETS: &str = "\
scenario: secrets
vars:
  token: {env: TOKEN_OF_THE_TEST, secret: true}
steps:
  - name: everywhere
    apply:
      objects:
        - {apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {token: \"${{ vars.token }}\", dsn: \"a://b:${{ vars.token }}@c\"}}
        - {apiVersion: v1, kind: ConfigMap, metadata: {name: token}, data: {dsn: \"postgresql://admin:${{ vars.token }}@host\"}}
        - apiVersion: v1
          kind: Pod
          metadata: {name: loud, annotations: {dsn: \"x${{ vars.token }}x\"}}
          spec:
            terminationGracePeriodSeconds: 0
            containers:
              - name: main
                image: docker.io/library/busybox:1.36
                command: [sh, -c, \"echo token is ${{ vars.token }} here; sleep 3600\"]
    expect:
      - log: pod/loud
        line: {$matches: \"token is (.*) here\"}
        within: 1m
        save: {line: self.line}
      - ready: pod/loud
  - name: in commands
    exec: {in: pod/loud, command: [sh, -c, \"echo ${{ vars.token }}; echo ${{ vars.token }} | base64; echo err ${{ vars.token }} >&2\"]}
  - name: in scripts
    script: {run: \"echo out ${{ vars.token }}; echo ${{ vars.token }} >&2; exit 3\"}
    fails: {code: 3}
  - name: in what differs
    expect:
      - object: configmap/token
        match: {data: {dsn: {$matches: \"^mysql://${{ vars.token }}\"}}}
        cel: self.data.dsn == saved.line + vars.token
        within: 1s
";

fn secrets(cluster: &str) {
    let secret = "Zq7Xw2Lk9Pv4Rt6Y";
    let folder = Folder::with(SECRETS);
    let mut command = command(&folder, cluster, &[]);
    command.env("TOKEN_OF_THE_TEST", secret);
    let ended = run(command);
    ended.shows(1, &["✗ in what differs", "postgresql://admin:"]);
    assert_nowhere(secret, &folder, &ended);
    assert_clean(&folder, cluster);
}

/// The password is read from a Secret that something else made; the scenario never says that it is secret.
const CLUSTER_SECRET: &str = "\
scenario: a password of the cluster
connections:
  db:
    postgres: {through: service/db, database: sampledb, sslmode: disable, user: {secret: db, key: user}, password: {secret: db, key: password}}
steps:
  - name: deploy
    apply: {files: [postgres.yaml], with: {password: PASSWORD}}
    expect:
      - ready: deployment/db
        within: 2m
      - sql: {on: db, query: select 1 as one}
        value: 1
  - name: told by the pod
    exec: {in: deployment/db, command: [sh, -c, \"echo password is $POSTGRES_PASSWORD; exit 1\"]}
    expect:
      - ready: deployment/db
";

fn cluster_secret(cluster: &str) {
    let secret = "hV8nB3mK5jD1sF7gQ";
    let manifest = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/manifests/conformance/postgres.yaml"
    );
    // The scenario's own text would be shown as the source line of a failure: the value comes by the environment.
    let folder = Folder::with(
        &CLUSTER_SECRET
            .replace("PASSWORD}", "\"${{ vars.password }}\"}")
            .replace(
                "connections:",
                "vars: {password: {env: PASSWORD_OF_THE_TEST}}\nconnections:",
            ),
    );
    folder.write("postgres.yaml", &std::fs::read_to_string(manifest).unwrap());
    let mut command = command(&folder, cluster, &[]);
    command.env("PASSWORD_OF_THE_TEST", secret);
    let ended = run(command);
    ended.shows(1, &["✗ told by the pod", "password is "]);
    assert_nowhere(secret, &folder, &ended);
    assert_clean(&folder, cluster);
}

const VARS: &str = "\
scenario: vars
vars: {colour: red, number: 3, flag: false}
steps:
  - apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {colour: \"${{ vars.colour }}\"}}]}
    expect:
      - object: configmap/a
        cel: self.data.colour == 'green' && vars.number + 1 == 8 && vars.flag
        within: 1s
";

fn var_replaces(cluster: &str) {
    let folder = Folder::with(VARS);
    on(
        &folder,
        cluster,
        &["--var", "colour=green", "--var", "number=7", "--var", "flag=true"],
    )
    .shows(0, &["1 passed"]);
    on(&folder, cluster, &["--var", "colour=green"]).shows(1, &["vars.number"]);
}

fn var_wrong_type(cluster: &str) {
    let folder = Folder::with(VARS);
    on(&folder, cluster, &["--var", "number=seven"])
        .says(2, &["--var number=seven", "no number", "scenario.yaml:2:21"]);
}

const KEPT: &str = "\
scenario: kept
steps:
  - apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}
    expect:
      - object: configmap/a
        match: {data: {x: \"y\"}}
        within: 1s
";

fn keep_and_clean(cluster: &str) {
    let folder = Folder::with(KEPT);
    let ended = on(&folder, cluster, &["--keep", "on-failure"]);
    let id = run_id(&folder);
    ended.shows(1, &[&format!("muster clean --run {id}")]);
    let left = namespaces_left(&folder, cluster);
    assert_eq!(left.len(), 1);
    folder.muster(&["clean"]).shows(0, &[&id]);
    folder.muster(&["clean", "--run", &id]).shows(0, &[&left[0]]);
    assert_clean(&folder, cluster);
    folder.muster(&["clean", "--run", &id]).shows(3, &[&id]);
}

fn restore_deleted(cluster: &str) {
    // One run makes an object in a namespace that is there anyway, and leaves it.
    let maker = Folder::with(
        "scenario: makes\nnamespaces: {app: {existing: kube-public}}\nsteps:\n  - apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: muster-cli-test}, data: {colour: red}}]}\n    expect: [{object: configmap/muster-cli-test, match: {data: {colour: red}}}]\n",
    );
    on(&maker, cluster, &["--keep", "always"]).shows(0, &[]);
    // Another changes it, then deletes it.
    let other = Folder::with(
        "scenario: deletes\nnamespaces: {app: {existing: kube-public}}\nsteps:\n  - patch: {target: configmap/muster-cli-test, merge: {data: {colour: green, taste: sweet}}}\n    expect: [{object: configmap/muster-cli-test, match: {data: {colour: green}}}]\n  - delete: {target: configmap/muster-cli-test}\n    expect: [{object: configmap/muster-cli-test, absent: true}]\n",
    );
    on(&other, cluster, &[]).shows(0, &[]);
    let colour = ask(cluster, async |cluster| {
        let kind = cluster.resolve("configmaps", Some("v1")).await.unwrap();
        let object = cluster
            .get(&kind, Some("kube-public"), "muster-cli-test")
            .await
            .unwrap();
        object.map(|object| object.0["data"].to_string())
    });
    assert_eq!(colour.as_deref(), Some(r#"{"colour":"red"}"#));
    // What comes back is another object (its uid is new), which the first run must not take for its own.
    maker.muster(&["clean", "--run", &run_id(&maker)]);
    ask(cluster, async |cluster| {
        let kind = cluster.resolve("configmaps", Some("v1")).await.unwrap();
        let options = muster_cluster::DeleteOptions::default();
        cluster
            .delete(&kind, Some("kube-public"), "muster-cli-test", &options)
            .await
            .unwrap();
    });
}

fn requirement(cluster: &str) {
    let folder = Folder::with(
        "scenario: needs a kind\nrequires: {crds: [fruits.nobody.muster.dev]}\nsteps:\n  - expect: [{object: configmap/a, absent: from-start}]\n",
    );
    on(&folder, cluster, &[]).shows(4, &["fruits.nobody.muster.dev", "skipped"]);
}

fn changed_by_others(cluster: &str) {
    let folder = Folder::with(
        "scenario: not alone\nnamespaces: {app: {existing: kube-public}}\nsteps:\n  - name: two labels\n    patch: {target: serviceaccount/default, merge: {metadata: {labels: {muster.dev/a: \"1\", muster.dev/b: \"1\"}}}}\n    expect: [{object: serviceaccount/default, match: {metadata: {labels: {muster.dev/b: \"1\"}}}}]\n  - name: somebody else\n    expect: [{object: serviceaccount/default, match: {metadata: {labels: {muster.dev/b: \"2\"}}}}]\n",
    );
    let child = start_until(&folder, cluster, "waits up to");
    let labels = |patch: serde_json::Value| {
        ask(cluster, async |cluster| {
            let kind = cluster.resolve("serviceaccounts", Some("v1")).await.unwrap();
            let patch = muster_cluster::Patch::Merge(serde_json::json!({"metadata": {"labels": patch}}));
            let written = cluster
                .patch(
                    &kind,
                    Some("kube-public"),
                    "default",
                    &patch,
                    None,
                    "somebody-else",
                )
                .await
                .unwrap();
            written.object.0["metadata"]["labels"].to_string()
        })
    };
    labels(serde_json::json!({"muster.dev/b": "2"}));
    assert_eq!(wait_for(child, Duration::from_secs(60)), 0);
    // Taking the label away shows what was left beside it: nothing.
    assert_eq!(labels(serde_json::json!({"muster.dev/b": null})), "null");
    let events = folder.read("runs/latest/events.jsonl");
    assert!(
        events.contains("changed by others since") && events.contains("metadata.labels.muster.dev/b"),
        "{events}"
    );
}

fn held_before(cluster: &str) {
    let folder = Folder::with(
        "scenario: stale truth\nsteps:\n  - apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: \"1\"}}]}\n    expect: [{object: configmap/a, match: {data: {x: \"1\"}}}]\n  - patch: {target: configmap/a, merge: {data: {y: \"2\"}}}\n    expect:\n      - {name: old, object: configmap/a, match: {data: {x: \"1\"}}}\n",
    );
    let ended = on(&folder, cluster, &[]);
    ended.shows(0, &["held before the action"]);
    assert_eq!(
        ended.stdout.matches("held before the action").count(),
        1,
        "{}",
        ended.stdout
    );
    assert!(
        folder
            .read("runs/latest/events.jsonl")
            .contains("\"held_before\":true")
    );
}

fn waits_are_told(cluster: &str) {
    let folder = Folder::with(
        &WAITS
            .replace("within: 10m", "within: 2s")
            .replace("timeout: 10m", "timeout: 1m"),
    );
    on(&folder, cluster, &[]).shows(
        1,
        &[
            "waits up to 2s for object configmap/a",
            "did not come true within 2s",
            "never reached",
            "skipped",
        ],
    );
}
