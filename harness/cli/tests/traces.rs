//! What a run shows and leaves on this machine: command lines, files with credentials, and reports when it can't begin.
//!
//! Needs `MUSTER_TEST_CLUSTER` (the value of `--cluster`, such as `lab`); without it each test is ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod support;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, Signal, kill_process};
use support::{Folder, run};

/// A name and a test that takes the cluster.
type Test = (&'static str, fn(&str));

const CLUSTER: &str = "MUSTER_TEST_CLUSTER";

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let cluster = std::env::var(CLUSTER).ok().filter(|name| !name.is_empty());
    let tests: [Test; 5] = [
        ("no_command_line_shows_the_text_of_a_script", command_lines),
        ("a_script_may_be_longer_than_an_argument", long_script),
        (
            "the_files_of_a_script_are_private_and_go_with_it",
            files_of_a_script,
        ),
        ("a_second_ctrl_c_leaves_no_credentials", second_signal),
        ("a_run_without_a_ledger_ends_with_reports", no_ledger),
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

fn arguments(cluster: &str) -> Vec<&str> {
    vec!["run", "scenario.yaml", "--cluster", cluster]
}

/// A scenario of scripts, in a namespace that is there anyway.
fn scripts(scripts: &[&str]) -> Folder {
    let mut text = "\
scenario: scripts
namespaces: {app: {existing: default}}
vars:
  dsn: {value: \"postgres://admin:correct-horse@db\", secret: true}
steps:
"
    .to_owned();
    for script in scripts {
        text.push_str("  - script:\n      run: |\n");
        for line in script.lines() {
            text.push_str(&format!("        {line}\n"));
        }
    }
    text.push_str("    expect: [{object: configmap/kube-root-ca.crt, match: {kind: ConfigMap}}]\n");
    Folder::with(&text)
}

fn command_lines(cluster: &str) {
    // The pattern stands in a file, so that grep's own command line doesn't show it.
    let folder = scripts(&["dsn=\"${{ vars.dsn }}\"
test \"$dsn\" = \"$(cat pattern)\"
if grep -a -l -F -f pattern /proc/[0-9]*/cmdline; then exit 1; fi"]);
    folder.write("pattern", "postgres://admin:correct-horse@db\n");
    folder.muster(&arguments(cluster)).shows(0, &["1 passed"]);
}

fn long_script(cluster: &str) {
    let script = format!(": {}\necho ran >ran", "x".repeat(200 * 1024));
    let folder = scripts(&[&script]);
    folder.muster(&arguments(cluster)).shows(0, &["1 passed"]);
    assert_eq!(folder.read("ran"), "ran\n");
}

/// The folder that `where` names: that of the script's kubeconfig.
fn scratch(folder: &Folder) -> PathBuf {
    PathBuf::from(folder.read("where").trim())
}

fn files_of_a_script(cluster: &str) {
    let look = "dirname \"$KUBECONFIG\" >where
cd \"$(cat where)\"
stat -c '%a' . * >\"$OLDPWD/modes\"
ls >\"$OLDPWD/names\"";
    let folder = scripts(&["true", look]);
    folder.muster(&arguments(cluster)).shows(0, &["1 passed"]);
    assert_eq!(folder.read("modes"), "700\n600\n600\n");
    // What the first step had is gone.
    assert_eq!(folder.read("names"), "kubeconfig-0-1\nscript-0-1\n");
    assert!(!scratch(&folder).exists());
}

fn second_signal(cluster: &str) {
    let folder = scripts(&["dirname \"$KUBECONFIG\" >there\nmv there where\nsleep 60"]);
    let text = folder.read("scenario.yaml");
    folder.write(
        "scenario.yaml",
        &format!("{text}finally:\n  - script: {{run: \"touch ends; sleep 20\"}}\n"),
    );
    let mut child = folder
        .command(&arguments(cluster))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    for name in ["where", "ends"] {
        let end = Instant::now() + Duration::from_secs(60);
        while !folder.path().join(name).exists() {
            assert!(Instant::now() < end, "{name}: the script did not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(scratch(&folder).exists());
        kill_process(pid, Signal::INT).unwrap();
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!scratch(&folder).exists());
}

fn no_ledger(cluster: &str) {
    let folder = scripts(&["true"]);
    // A file where the ledger's folder should be.
    let file = folder.write("state", "");
    let mut command = folder.command(&arguments(cluster));
    command
        .env("XDG_STATE_HOME", &file)
        .args(["--junit", "junit.xml"]);
    run(command).shows(3, &["clean-up ledger", "state", "XDG_STATE_HOME"]);
    assert!(folder.read("junit.xml").contains("<error"));
    assert!(
        folder
            .read("runs/latest/events.jsonl")
            .contains("\"exit_code\":3")
    );
}
