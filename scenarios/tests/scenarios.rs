//! The shipped scenarios as tests: each file is linted, and, where `MUSTER_TEST_CLUSTER` names a cluster (the value of
//! `--cluster`, such as `lab`), run by the real command line in a process of its own.
//!
//! Invariant: listing the tests touches no cluster; a verdict is read from the run folder, not from what was printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use libtest_mimic::{Arguments, Failed, Trial};
use muster_model::Severity;
use muster_model::event::{Failure, Verdict};
use muster_record::Run;
use muster_record::run::Scenario;
use muster_scenario::load_paths;
use muster_scenarios::{Demand, Shipped, shipped};
use support::{Locks, Ran, nothing_left, run_muster};

/// The first argument that makes this binary the command line.
const MUSTER: &str = "__muster";
/// The variable that names the cluster.
const CLUSTER: &str = "MUSTER_TEST_CLUSTER";
/// How many scenarios run side by side unless `--test-threads` says otherwise: they mostly wait.
const THREADS: usize = 5;

fn main() -> std::process::ExitCode {
    muster::enter_if_child();
    let mut arguments = std::env::args_os();
    let program = arguments.next();
    if std::env::args().nth(1).as_deref() == Some(MUSTER) {
        return muster::main_from(program.into_iter().chain(arguments.skip(1))).into();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = match shipped(root) {
        Ok(all) => all,
        Err(error) => panic!("{error}"),
    };
    let mut trials: Vec<Trial> = all.iter().cloned().map(lint_trial).collect();
    let cluster = std::env::var(CLUSTER).ok().filter(|name| !name.is_empty());
    let shared = Arc::new(Shared::default());
    // Those that need a machine to themselves come last.
    let (alone, beside): (Vec<_>, Vec<_>) = all.into_iter().partition(is_exclusive);
    trials.extend(
        beside
            .into_iter()
            .chain(alone)
            .map(|file| cluster_trial(file, cluster.clone(), &shared)),
    );
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What trials in this process share.
#[derive(Default)]
struct Shared {
    locks: Locks,
    exclusive: RwLock<()>,
}

/// Scenarios that change what all share: the one SPIRE of a cluster.
fn is_exclusive(file: &Shipped) -> bool {
    file.name.starts_with("spire/")
}

fn lint_trial(file: Shipped) -> Trial {
    Trial::test(format!("lint::{}", file.name), move || lint(&file))
}

fn lint(file: &Shipped) -> Result<(), Failed> {
    let loaded = load_paths(std::slice::from_ref(&file.path));
    // What must fail may look doubtful.
    let doubts_count = matches!(file.demand, Demand::Pass);
    let told: Vec<_> = loaded
        .diagnostics
        .list
        .iter()
        .filter(|diagnostic| doubts_count || diagnostic.severity == Severity::Error)
        .map(|diagnostic| format!("{}: {}", diagnostic.place, diagnostic.message))
        .collect();
    if !told.is_empty() {
        return Err(told.join("\n").into());
    }
    if loaded.scenarios.is_empty() {
        return Err("no scenario in it".into());
    }
    Ok(())
}

fn cluster_trial(file: Shipped, cluster: Option<String>, shared: &Arc<Shared>) -> Trial {
    let name = format!("run::{}", file.name);
    match cluster {
        None => Trial::test(name, || Ok(()))
            .with_kind("needs MUSTER_TEST_CLUSTER")
            .with_ignored_flag(true),
        Some(cluster) => {
            let shared = Arc::clone(shared);
            Trial::test(name, move || run(&file, &cluster, &shared))
        }
    }
}

fn run(file: &Shipped, cluster: &str, shared: &Shared) -> Result<(), Failed> {
    let scenarios = load_paths(std::slice::from_ref(&file.path)).scenarios;
    let exclusive = is_exclusive(file);
    let _alone = exclusive.then(|| {
        shared
            .exclusive
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    });
    let _beside = (!exclusive).then(|| {
        shared
            .exclusive
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    });
    let config = config(file);
    let ran = shared
        .locks
        .with(&scenarios, || run_muster(MUSTER, cluster, &config, &file.path))?;
    match check(file, &ran).and_then(|run| nothing_left(cluster, &config, run)) {
        Ok(()) => Ok(()),
        Err(why) => {
            let (folder, printed) = ran.keep();
            Err(format!("{why}\nrun folder: {}\n{printed}", folder.display()).into())
        }
    }
}

/// What the SPIRE scenarios stand on is prepared by the repository's own configuration; the others need nothing.
fn config(file: &Shipped) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if is_exclusive(file) {
        root.join("../muster.yaml")
    } else {
        root.join("conformance/muster.yaml")
    }
}

fn check<'a>(file: &Shipped, ran: &'a Ran) -> Result<&'a Run, String> {
    let Some(run) = &ran.run else {
        return Err(format!("exit code {} and no run folder", ran.code));
    };
    if run.scenarios.is_empty() {
        return Err("no scenario ran".to_owned());
    }
    for scenario in run.scenarios.values() {
        if let Some((object, why)) = scenario.cleanup_failures().next() {
            return Err(format!("clean-up of {object} failed: {why}"));
        }
    }
    match &file.demand {
        Demand::Pass => check_passed(ran, run),
        Demand::FailAt { step, pattern } => {
            check_failed(ran, run, |scenario| failed_at(scenario, step), pattern)
        }
        Demand::NotStart { pattern } => check_failed(ran, run, did_not_start, pattern),
    }?;
    Ok(run)
}

fn check_passed(ran: &Ran, run: &Run) -> Result<(), String> {
    for scenario in run.scenarios.values() {
        if scenario.verdict != Some(Verdict::Passed) {
            return Err(format!("{:?}: {}", scenario.verdict, scenario.title));
        }
    }
    if ran.code != 0 {
        return Err(format!("exit code {}, and all passed", ran.code));
    }
    Ok(())
}

fn check_failed<'a>(
    ran: &Ran,
    run: &'a Run,
    failure_of: impl Fn(&'a Scenario) -> Result<Vec<&'a Failure>, String>,
    pattern: &regex::Regex,
) -> Result<(), String> {
    if ran.code != 1 {
        return Err(format!("exit code {}, expected 1", ran.code));
    }
    for scenario in run.scenarios.values() {
        if scenario.verdict != Some(Verdict::Failed) {
            return Err(format!("{:?}: {}", scenario.verdict, scenario.title));
        }
        let failures = failure_of(scenario)?;
        let told: Vec<String> = failures.iter().flat_map(|failure| lines(failure)).collect();
        if !told.iter().any(|line| pattern.is_match(line)) {
            return Err(format!("nothing matches /{pattern}/ in\n{}", told.join("\n")));
        }
        for failure in failures {
            if failure.place.is_none() || failure.source.is_empty() {
                return Err(format!("the failure has no place: {}", failure.message));
            }
        }
    }
    let junit = std::fs::read_to_string(ran.folder().join("junit.xml")).map_err(|error| error.to_string())?;
    if !junit.contains("<failure") {
        return Err("the JUnit report has no failure".to_owned());
    }
    Ok(())
}

/// The failures of the one step that failed first, which has left evidence.
fn failed_at<'a>(scenario: &'a Scenario, name: &str) -> Result<Vec<&'a Failure>, String> {
    let failed = scenario
        .steps
        .iter()
        .find(|step| step.verdict == Some(Verdict::Failed))
        .ok_or("no step failed")?;
    if failed.name != name {
        return Err(format!("the step that failed is {:?}, not {name:?}", failed.name));
    }
    if scenario.evidence.is_empty() && failed.all_evidence().next().is_none() {
        return Err("no evidence was taken".to_owned());
    }
    Ok(failed.failures())
}

fn did_not_start(scenario: &Scenario) -> Result<Vec<&Failure>, String> {
    if let Some(step) = scenario
        .steps
        .iter()
        .find(|step| step.verdict != Some(Verdict::Skipped))
    {
        return Err(format!("the step {:?} ran", step.name));
    }
    let failure = scenario.failure.as_deref().ok_or("it did not say why")?;
    Ok(vec![failure])
}

/// All that a failure says.
fn lines(failure: &Failure) -> Vec<String> {
    let mut lines = vec![failure.message.clone(), failure.nearest.clone()];
    lines.extend(failure.causes.iter().cloned());
    lines.extend(failure.help.iter().cloned());
    lines.extend(failure.mismatches.iter().map(ToString::to_string));
    lines.extend(
        failure
            .mismatches
            .iter()
            .filter_map(|mismatch| mismatch.hint.clone()),
    );
    lines.extend(failure.history.iter().map(|transition| transition.seen.clone()));
    lines
}
