//! Loading whole files: the good ones load without a word, the wrong ones say what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use muster_scenario::load_file;

#[test]
fn the_flagship_loads_without_a_diagnostic() {
    let loaded = load_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good/flagship.yaml"));
    assert_eq!(loaded.diagnostics.list, []);
    let scenario = &loaded.scenarios[0];
    assert_eq!(scenario.steps.len(), 7);
    assert_eq!(scenario.namespaces[0].alias, "spire");
}
