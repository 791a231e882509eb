//! Loading whole files: the good ones load without a word, the wrong ones say what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use muster_scenario::{Loaded, load_file, load_paths};

#[test]
fn the_flagship_loads_without_a_diagnostic() {
    let loaded = load_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good/flagship.yaml"));
    assert_eq!(loaded.diagnostics.list, []);
    let scenario = &loaded.scenarios[0];
    assert_eq!(scenario.steps.len(), 7);
    assert_eq!(scenario.namespaces[0].alias, "spire");
}

#[test]
fn every_key_of_the_language_loads_without_a_diagnostic() {
    let loaded = load_file(Path::new("tests/good/every-key.yaml"));
    assert_eq!(loaded.diagnostics.list, []);
    let files = loaded.scenarios[0].source_files();
    assert_eq!(
        files,
        ["tests/good/every-key.yaml", "tests/good/manifests/postgres.yaml"].map(PathBuf::from)
    );
}

#[test]
fn a_folder_gives_its_scenarios_in_order_and_passes_over_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let scenario =
        |title: &str| format!("scenario: {title}\nsteps:\n  - expect:\n      - ready: deployment/web\n");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for number in 0..40 {
        write(
            &format!("many/{number:02}.yaml"),
            &scenario(&format!("many {number}")),
        );
    }
    write(
        "a.yaml",
        &format!("{}---\n{}", scenario("first"), scenario("second")),
    );
    write(
        "manifest.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  scenario: no\n",
    );
    write(".hidden/x.yaml", &scenario("hidden"));
    let loaded = load_paths(&[folder.path().to_owned()]);
    assert_eq!(loaded.diagnostics.list, []);
    let titles: Vec<_> = loaded
        .scenarios
        .iter()
        .map(|scenario| scenario.title.clone())
        .collect();
    let many = (0..40).map(|number| format!("many {number}"));
    let expected: Vec<_> = ["first", "second"]
        .into_iter()
        .map(str::to_owned)
        .chain(many)
        .collect();
    assert_eq!(titles, expected);
}

#[test]
fn what_is_named_is_loaded_or_an_error_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.yaml");
    fs::write(
        &scenario,
        "scenario: s\nsteps:\n  - expect:\n      - ready: deployment/web\n",
    )
    .unwrap();
    let nowhere = folder.path().join("nowhere");
    let loaded = load_paths(&[scenario.clone(), folder.path().to_owned(), nowhere]);
    assert_eq!(loaded.scenarios.len(), 1);
    assert_eq!(codes(&loaded), ["file-missing"]);
}

#[test]
fn a_misspelt_scenario_key_is_not_passed_over_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("s.yaml"),
        "scenaro: s\nsteps:\n  - expect:\n      - ready: deployment/web\n",
    )
    .unwrap();
    assert_eq!(codes(&load_paths(&[folder.path().to_owned()])), ["unknown-key"]);
}

#[test]
fn two_scenarios_of_one_title_are_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let text = "scenario: s\nsteps:\n  - expect:\n      - ready: deployment/web\n";
    fs::write(folder.path().join("s.yaml"), format!("{text}---\n{text}")).unwrap();
    let loaded = load_paths(&[folder.path().to_owned()]);
    assert_eq!(codes(&loaded), ["same-title"]);
    assert_eq!(loaded.scenarios.len(), 2);
}

fn codes(loaded: &Loaded) -> Vec<&str> {
    loaded
        .diagnostics
        .list
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}
