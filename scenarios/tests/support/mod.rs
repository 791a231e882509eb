//! Runs the command line and looks at what it left: the run folder and the cluster.
//!
//! Invariant: a run folder goes away with its test unless the test failed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use muster::args::ClusterArgs;
use muster_cluster::Selector;
use muster_record::Run;
use muster_scenario::Scenario;
use muster_scenario::ast::NamespaceSource;
use tempfile::TempDir;

/// What muster puts on what it makes.
const RUN_LABEL: &str = "muster.dev/run";

/// How a run of the command line ended.
pub(crate) struct Ran {
    /// The exit code; -1 for a signal.
    pub(crate) code: i32,
    /// The run, as its folder tells it; none if there is no folder.
    pub(crate) run: Option<Run>,
    /// What was printed.
    pub(crate) stdout: String,
    /// What was said beside.
    pub(crate) stderr: String,
    out: TempDir,
}

impl Ran {
    /// The run folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.out.path().join("latest")
    }

    /// Keeps the run folder for a person to look at, and says where it is.
    pub(crate) fn keep(mut self) -> (PathBuf, String) {
        self.out.disable_cleanup(true);
        (self.folder(), format!("{}{}", self.stdout, self.stderr))
    }
}

/// Runs one file's scenarios in a process of its own: this binary, whose first argument makes it the command line.
pub(crate) fn run_muster(first: &str, cluster: &str, config: &Path, file: &Path) -> Result<Ran, String> {
    let failed = |error: std::io::Error| error.to_string();
    let out = TempDir::with_prefix("muster-scenarios-").map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    for (name, _) in std::env::vars_os() {
        // Whoever runs the tests may have set muster up in another way.
        if name.to_string_lossy().starts_with("MUSTER_") && name != "MUSTER_CACHE" {
            command.env_remove(name);
        }
    }
    let output = command
        .args([first, "run", "--cluster", cluster, "--config"])
        .arg(config)
        .arg("--out")
        .arg(out.path())
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    let folder = out.path().join("latest");
    let run = if folder.exists() {
        let events = muster_record::read(&folder).map_err(|error| error.to_string())?;
        Some(Run::from_events(&events))
    } else {
        None
    };
    Ok(Ran {
        code: output.status.code().unwrap_or(-1),
        run,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        out,
    })
}

/// That nothing with the run's label is in the cluster any more: no namespace, no CustomResourceDefinition.
pub(crate) fn nothing_left(cluster: &str, config: &Path, run: &Run) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let args = ClusterArgs {
            cluster: Some(cluster.to_owned()),
            ..ClusterArgs::default()
        };
        let config = muster_scenario::Config::load(config).map_err(|_| "the configuration doesn't load")?;
        let connected = muster::connect::connect(&args, Some(&config))
            .await
            .map_err(|error| error.message)?;
        let selector: Selector = [(RUN_LABEL, run.id.as_str())].into_iter().collect();
        for kind in ["namespaces", "customresourcedefinitions"] {
            let kind = connected
                .cluster
                .resolve(kind, None)
                .await
                .map_err(|error| error.to_string())?;
            let left = connected
                .cluster
                .list(&kind, None, &selector)
                .await
                .map_err(|error| error.to_string())?;
            if let Some(object) = left.objects.first() {
                return Err(format!("{} was left in the cluster", object.reference()));
            }
        }
        Ok(())
    })
}

/// Locks between trials that would touch the same namespaces: each runs in a process of its own, where the engine's
/// locks don't reach.
#[derive(Default)]
pub(crate) struct Locks {
    known: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl Locks {
    /// Does something while the scenarios' namespaces, and the names in their `locks`, are locked.
    pub(crate) fn with<T>(&self, scenarios: &[Scenario], work: impl FnOnce() -> T) -> T {
        let names: BTreeSet<String> = scenarios.iter().flat_map(names_of).collect();
        let locks: Vec<_> = names
            .into_iter()
            .map(|name| {
                let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                Arc::clone(known.entry(name).or_default())
            })
            .collect();
        let _held: Vec<_> = locks
            .iter()
            .map(|lock| lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
            .collect();
        work()
    }
}

fn names_of(scenario: &Scenario) -> Vec<String> {
    let mut names: Vec<_> = scenario.locks.iter().map(|lock| format!("lock {lock}")).collect();
    for namespace in &scenario.namespaces {
        if let NamespaceSource::Existing(name) | NamespaceSource::Create { name, .. } = &namespace.source {
            names.extend(name.literal().map(|name| format!("namespace {name}")));
        }
    }
    names
}
