//! Bad input that needs no cluster: each is told with its place and what to do, and has its exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Folder, run};

const GOOD: &str = "\
scenario: a config map
labels: {area: test}
vars: {colour: red, number: 3}
steps:
  - apply: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {colour: \"${{ vars.colour }}\", number: \"${{ vars.number }}\"}}]}
    expect:
      - object: configmap/a
        match: {data: {colour: red}}
";

/// The same with one text replaced by another.
fn with(from: &str, to: &str) -> Folder {
    assert!(GOOD.contains(from));
    Folder::with(&GOOD.replace(from, to))
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    with("    expect:", "    expects:")
        .muster(&["run", "scenario.yaml"])
        .says(
            2,
            &[
                "scenario.yaml:6:5",
                "no key `expects`",
                "^^^^^^^",
                "did you mean `expect`?",
            ],
        );
}

#[test]
fn an_unknown_variable_is_told_with_the_nearest_known_one() {
    with("vars.colour", "vars.color")
        .muster(&["run", "scenario.yaml"])
        .says(2, &["scenario.yaml:5:", "color", "^^^", "`vars.colour`"]);
}

#[test]
fn a_wrong_type_is_told_with_the_right_one() {
    with("labels: {area: test}", "labels: [area]")
        .muster(&["run", "scenario.yaml"])
        .says(2, &["scenario.yaml:2:9", "a map of labels", "a list", "^^^"]);
}

#[test]
fn a_duplicate_key_is_told_with_both_places() {
    with(
        "labels: {area: test}",
        "labels: {area: test}\nlabels: {area: more}",
    )
    .muster(&["run", "scenario.yaml"])
    .says(2, &["scenario.yaml:3:1", "`labels`", "first here", "again here"]);
}

#[test]
fn a_missing_manifest_is_told_where_it_is_named() {
    with("objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {colour: \"${{ vars.colour }}\", number: \"${{ vars.number }}\"}}]", "files: [missing.yaml]")
        .muster(&["run", "scenario.yaml"])
        .says(2, &["scenario.yaml:5:21", "missing.yaml", "^^^"]);
}

#[test]
fn all_errors_of_all_files_are_told_at_once() {
    let folder = with("    expect:", "    expects:");
    folder.write("other.yaml", &GOOD.replace("vars.colour", "vars.color"));
    folder
        .muster(&["run", "."])
        .says(2, &["expects", "vars.color", "2 errors"]);
}

#[test]
fn a_var_that_no_scenario_has_is_told_with_those_that_there_are() {
    let folder = Folder::with(GOOD);
    folder
        .muster(&["run", "scenario.yaml", "--var", "color=green"])
        .says(2, &["--var color", "colour"]);
    folder
        .muster(&["run", "scenario.yaml", "--var", "colour"])
        .says(2, &["--var colour", "NAME=VALUE"]);
}

#[test]
fn nothing_selected_is_no_success() {
    let folder = Folder::with(GOOD);
    folder
        .muster(&["run", "scenario.yaml", "-l", "area=another"])
        .says(4, &["no scenario was selected", "area=another"]);
    folder
        .muster(&["list", "scenario.yaml", "-l", "area=another"])
        .says(4, &["no scenario was selected"]);
    folder
        .muster(&["run", "scenario.yaml", "-l", "=x"])
        .says(2, &["=x"]);
}

#[test]
fn a_folder_without_a_scenario_is_no_success() {
    Folder::new().muster(&["run", "."]).says(4, &["no scenario"]);
    Folder::new().muster(&["lint", "."]).says(4, &["no scenario"]);
}

#[test]
fn a_path_that_is_not_there_is_told() {
    Folder::new()
        .muster(&["run", "no/such.yaml"])
        .says(2, &["no/such.yaml"]);
    Folder::with(GOOD)
        .muster(&["run", "scenario.yaml", "other"])
        .says(2, &["other"]);
}

#[test]
fn a_manifest_named_as_a_scenario_is_told() {
    let folder = Folder::new();
    folder.write("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    folder
        .muster(&["run", "pod.yaml"])
        .says(2, &["pod.yaml", "scenario"]);
}

#[test]
fn wrong_use_is_told_with_the_usage() {
    let folder = Folder::with(GOOD);
    folder.muster(&["rum", "scenario.yaml"]).says(2, &["rum", "run"]);
    folder.muster(&["run"]).says(2, &["PATH"]);
    folder
        .muster(&["run", "scenario.yaml", "--parallel", "0"])
        .says(2, &["--parallel", "0"]);
}

#[test]
fn a_wrong_run_configuration_is_told_with_its_place() {
    let folder = Folder::with(GOOD);
    folder.write("muster.yaml", "clusters:\n  lab: {provder: lab}\n");
    folder
        .muster(&["run", "scenario.yaml"])
        .says(2, &["muster.yaml:2:9", "provder", "provider"]);
    folder
        .muster(&["run", "scenario.yaml", "--config", "missing.yaml"])
        .says(2, &["missing.yaml"]);
}

#[test]
fn an_unknown_cluster_is_told_with_those_that_there_are() {
    let folder = Folder::with(GOOD);
    folder.write("muster.yaml", "clusters:\n  staging: {context: x}\n");
    folder
        .muster(&["run", "scenario.yaml", "--cluster", "prod"])
        .shows(2, &["no cluster prod", "staging", "lab"]);
}

/// A kubeconfig for a server.
fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\", insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: u, user: {{token: abc}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u}}}}, {{name: there, context: {{cluster: c, user: u}}}}]\n"
    )
}

#[test]
fn an_unreachable_cluster_is_an_error_of_the_environment_and_in_the_reports() {
    // A port that was free a moment ago, on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let folder = Folder::with(GOOD);
    folder.write("kubeconfig", &kubeconfig(&format!("https://127.0.0.1:{port}")));
    let began = std::time::Instant::now();
    let ended = folder.muster(&[
        "run",
        "scenario.yaml",
        "--kubeconfig",
        "kubeconfig",
        "--junit",
        "junit.xml",
    ]);
    ended.shows(3, &[&format!("127.0.0.1:{port}"), "refused", "context here"]);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let junit = folder.read("junit.xml");
    assert!(junit.contains("<error") && junit.contains("refused"), "{junit}");
    assert!(
        folder
            .read("runs/latest/events.jsonl")
            .contains("\"exit_code\":3")
    );
}

#[test]
fn a_missing_kubeconfig_is_told_with_its_path() {
    let folder = Folder::with(GOOD);
    folder
        .muster(&["run", "scenario.yaml", "--kubeconfig", "no/such"])
        .shows(3, &["no/such"]);
    let mut nowhere = folder.command(&["run", "scenario.yaml"]);
    nowhere.env("HOME", folder.path());
    run(nowhere).shows(3, &["kubeconfig", "cluster up --provider lab"]);
}

#[test]
fn an_unknown_context_is_told_with_those_that_there_are() {
    let folder = Folder::with(GOOD);
    folder.write("kubeconfig", &kubeconfig("https://127.0.0.1:1"));
    folder
        .muster(&[
            "run",
            "scenario.yaml",
            "--kubeconfig",
            "kubeconfig",
            "--context",
            "their",
        ])
        .shows(3, &["their", "here", "there"]);
}

#[test]
fn a_kubeconfig_that_is_none_is_told_with_its_path() {
    let folder = Folder::with(GOOD);
    folder.write("kubeconfig", "clusters: 7\n");
    folder
        .muster(&["run", "scenario.yaml", "--kubeconfig", "kubeconfig"])
        .shows(3, &["kubeconfig"]);
}

#[test]
fn the_lab_needs_root_and_says_so() {
    let folder = Folder::new();
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_muster"))
        .args(["cluster", "up", "--provider", "lab", "--name", "rootless"])
        .env("HOME", folder.path())
        .env_remove("MUSTER_CACHE");
    if !am_root() {
        command = folder.command(&["cluster", "up", "--provider", "lab", "--name", "rootless"]);
    }
    run(command).says(3, &["root"]);
}

#[test]
fn the_lab_names_the_package_that_is_missing() {
    if !am_root() {
        // The lack of rights is told first.
        return;
    }
    let folder = Folder::new();
    // In a mount namespace of its own containerd is hidden, and so is a lab that runs on this machine.
    let hide = "for dir in /var/lib/muster /run/muster; do mkdir -p $dir; mount -t tmpfs tmpfs $dir; done
        if there=$(command -v containerd); then mount --bind /dev/null \"$there\"; fi
        exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", hide, "sh", env!("CARGO_BIN_EXE_muster")])
        .args(["cluster", "up", "--provider", "lab", "--name", "bare"])
        .env("HOME", folder.path());
    run(command).says(3, &["program containerd", "apt-get install -y containerd"]);
}

fn am_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| {
        use std::os::unix::fs::MetadataExt;
        metadata.uid() == 0
    })
}

#[test]
fn a_report_of_no_run_is_told() {
    Folder::new().muster(&["report", "nowhere"]).says(2, &["nowhere"]);
}
