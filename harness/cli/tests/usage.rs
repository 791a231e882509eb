//! Choosing a cluster, checking files, printing schemas: what needs no cluster, and how it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test crate uses a part of it")]
mod support;

use support::Folder;

const GOOD: &str = "\
scenario: a config map
steps:
  - expect: [{object: configmap/a, absent: from-start}]
";

#[test]
fn an_unknown_cluster_is_told_before_anything_is_made() {
    let folder = Folder::with(GOOD);
    let run = |folder: &Folder| folder.muster(&["run", "scenario.yaml", "--cluster", "prod"]);
    run(&folder).says(2, &["no cluster prod", "no muster.yaml", "`lab`", "--context"]);
    folder.write("muster.yaml", "parallel: 2\n");
    run(&folder).says(2, &["no cluster prod", "muster.yaml names none", "`lab`"]);
    folder.write(
        "muster.yaml",
        "clusters:\n  staging: {context: x}\n  test: {context: y}\n",
    );
    run(&folder).says(2, &["no cluster prod", "muster.yaml has staging, test"]);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn lint_checks_the_run_configuration_too() {
    let folder = Folder::with(GOOD);
    folder
        .muster(&["lint", "scenario.yaml", "--config", "missing.yaml"])
        .says(2, &["missing.yaml"]);
    folder.write("muster.yaml", "clusters:\n  lab: {provder: lab}\n");
    folder
        .muster(&["lint", "scenario.yaml"])
        .says(2, &["muster.yaml:2:9", "provder", "provider"]);
    // What is wrong with both is told in one go.
    folder.write("scenario.yaml", &GOOD.replace("expect:", "expects:"));
    folder
        .muster(&["lint", "scenario.yaml"])
        .says(2, &["provder", "expects"]);
}

#[test]
fn one_scenario_is_one() {
    let ended = Folder::with(GOOD).muster(&["lint", "scenario.yaml"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stdout, "1 scenario, 1 step: no errors\n");
}

#[test]
fn each_file_has_its_schema() {
    let folder = Folder::new();
    let titled = |arguments: &[&str], title: &str| {
        let ended = folder.muster(arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(schema["title"], title, "{arguments:?}");
    };
    titled(&["schema"], "A muster scenario");
    titled(&["schema", "scenario"], "A muster scenario");
    titled(&["schema", "config"], "muster.yaml");
    folder
        .muster(&["schema", "run"])
        .says(2, &["run", "scenario", "config"]);
}

#[test]
fn a_var_for_scenarios_without_variables_is_told() {
    Folder::with(GOOD)
        .muster(&["run", "scenario.yaml", "--var", "colour=red"])
        .says(
            2,
            &["--var colour", "no selected scenario has variables", "`vars:`"],
        );
}

#[test]
fn a_report_of_no_run_names_a_folder_that_a_run_makes() {
    Folder::new()
        .muster(&["report"])
        .says(2, &["runs/latest is not a run folder", "such as runs/"]);
}
