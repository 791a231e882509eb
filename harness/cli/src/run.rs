//! `muster run`: scenarios against a cluster, with reports.
//!
//! Invariant: whatever happens after the run folder was made is in its log, and the exit code is the log's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use muster_engine::{Defaults, Keep, Plan, RunOptions};
use muster_model::event::{EventKind, Failure, Scope};
use muster_model::{Emit, Secrets};
use muster_record::{ClusterKey, Ledger, Recorder, RunFolder, new_run_id};
use muster_report::{Terminal, TerminalOptions, Ticker, count};
use muster_scenario::{Config, Scenario};
use tokio_util::sync::CancellationToken;

use crate::args::{KeepArg, RunArgs};
use crate::connect::{Choice, Connected, choose};
use crate::exit::ExitCode;
use crate::report::{Format, write};
use crate::scratch::{self, Scratch};
use crate::{console, load, signals};

/// The reports that every run folder holds.
const JUNIT: &str = "junit.xml";
const HTML: &str = "report.html";
/// How many scenarios run side by side: the work is waiting, not computing.
const PARALLEL: usize = 8;

/// Runs.
pub(crate) async fn command(config: Option<PathBuf>, args: RunArgs) -> ExitCode {
    match run(config, args).await {
        Ok(code) | Err(code) => code,
    }
}

/// The run configuration: the named file, or the nearest `muster.yaml`, or none.
pub(crate) fn configuration(named: Option<PathBuf>) -> Result<Option<Config>, ExitCode> {
    let Some(path) = named.or_else(|| Config::find(Path::new("."))) else {
        return Ok(None);
    };
    match Config::load(&path) {
        Ok(config) => Ok(Some(config)),
        Err(diagnostics) => {
            load::show(&diagnostics);
            Err(ExitCode::Usage)
        }
    }
}

async fn run(config: Option<PathBuf>, args: RunArgs) -> Result<ExitCode, ExitCode> {
    let config = configuration(config)?;
    let scenarios = load::load(&args.paths, &args.selectors)?;
    let vars = variables(&args.vars, &scenarios)?;
    let choice = choose(&args.cluster, config.as_ref()).map_err(|error| {
        console::error(error.message);
        error.code
    })?;
    let session = Session::start(&args)?;
    let number = scenarios.len();
    session.recorder.emit(
        &Scope::run(),
        EventKind::RunStarted {
            run: session.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenarios: number,
        },
    );
    let outcome = session
        .engine(&args, config.as_ref(), scenarios, vars, choice)
        .await;
    let code = outcome.unwrap_or_else(|message| session.not_begun(message, number));
    session.end(args.junit.as_deref());
    Ok(code)
}

/// `--var` as a map; a name that no selected scenario declares is an error.
fn variables(given: &[String], scenarios: &[Scenario]) -> Result<BTreeMap<String, String>, ExitCode> {
    let declared: BTreeSet<&str> = scenarios
        .iter()
        .flat_map(|scenario| scenario.vars.iter().map(|var| var.name.as_str()))
        .collect();
    let mut vars = BTreeMap::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            console::error(format!("--var {text}: write NAME=VALUE"));
            return Err(ExitCode::Usage);
        };
        if !declared.contains(name) {
            let known: Vec<_> = declared.iter().copied().collect();
            console::error(if known.is_empty() {
                format!("--var {name}: no selected scenario has variables; declare it under `vars:`")
            } else {
                format!(
                    "--var {name}: no selected scenario has this variable; they have {}",
                    known.join(", ")
                )
            });
            return Err(ExitCode::Usage);
        }
        let wrong = scenarios
            .iter()
            .flat_map(|scenario| &scenario.vars)
            .filter(|var| var.name == name)
            .find_map(|var| Some((muster_engine::wrong_var(var, value)?, &var.place)));
        if let Some((wrong, place)) = wrong {
            console::error(format!("{wrong} ({place})"));
            return Err(ExitCode::Usage);
        }
        vars.insert(name.to_owned(), value.to_owned());
    }
    Ok(vars)
}

/// The recording of a run, and its view.
struct Session {
    id: String,
    recorder: Arc<Recorder>,
    secrets: Secrets,
    terminal: Arc<Mutex<Terminal<std::io::Stdout>>>,
    ticker: Mutex<Option<Ticker>>,
    interrupt: CancellationToken,
}

impl Session {
    fn start(args: &RunArgs) -> Result<Self, ExitCode> {
        let id = new_run_id();
        let secrets = Secrets::new();
        let failed = |error: muster_record::RecordError| {
            console::error(error.to_string());
            ExitCode::Environment
        };
        let folder = RunFolder::create(&args.out, &id).map_err(failed)?;
        let live = console::out_is_live();
        let options = TerminalOptions {
            colour: live,
            live,
            waits: true,
            stats: args.stats,
            width: console::width(),
            folder: folder.path().display().to_string(),
        };
        let recorder = Arc::new(Recorder::start(folder, secrets.clone()).map_err(failed)?);
        let terminal = Arc::new(Mutex::new(Terminal::new(std::io::stdout(), options)));
        let view = Arc::clone(&terminal);
        recorder.add_sink(Box::new(move |event| {
            if let Ok(mut view) = view.lock() {
                view.event(event);
            }
        }));
        let ticker = live.then(|| Ticker::start(Arc::clone(&terminal)));
        let interrupt = CancellationToken::new();
        if let Err(error) = signals::listen(id.clone(), scratch::path(&id), interrupt.clone()) {
            console::error(format!("signals can't be listened for: {error}"));
            return Err(ExitCode::Environment);
        }
        Ok(Self {
            id,
            recorder,
            secrets,
            terminal,
            ticker: Mutex::new(ticker),
            interrupt,
        })
    }

    /// Records that no scenario could begin.
    fn not_begun(&self, message: String, scenarios: usize) -> ExitCode {
        let code = ExitCode::Environment;
        self.recorder.emit(
            &Scope::run(),
            EventKind::RunFinished {
                exit_code: code as u8,
                passed: 0,
                failed: 0,
                skipped: 0,
                errors: scenarios,
                elapsed_ms: 0,
                failure: Some(Box::new(Failure {
                    message,
                    ..Failure::default()
                })),
            },
        );
        code
    }

    /// Connects and runs; an error is one from before the first scenario.
    async fn engine(
        &self,
        args: &RunArgs,
        config: Option<&Config>,
        scenarios: Vec<Scenario>,
        vars: BTreeMap<String, String>,
        choice: Choice,
    ) -> Result<ExitCode, String> {
        let connected = choice.connect().await.map_err(|error| error.message)?;
        let scratch = Scratch::create(&self.id)?;
        let ledger = Ledger::default_folder()
            .and_then(|folder| Ledger::create(&folder, &self.id))
            .map_err(|error| error.to_string())?;
        ledger
            .on_cluster(key(&connected))
            .map_err(|error| error.to_string())?;
        let ledger = Arc::new(ledger);
        let timeouts = config.map(|config| config.timeouts).unwrap_or_default();
        let usual = Defaults::default();
        let options = RunOptions {
            run_id: self.id.clone(),
            cluster_name: connected.name.clone(),
            parallel: args
                .parallel
                .map(usize::from)
                .or_else(|| config.and_then(|config| config.parallel))
                .unwrap_or(PARALLEL),
            keep: match args.keep {
                KeepArg::Never => Keep::Never,
                KeepArg::OnFailure => Keep::OnFailure,
                KeepArg::Always => Keep::Always,
            },
            vars,
            defaults: Defaults {
                within: timeouts.within.unwrap_or(usual.within),
                step: timeouts.step.unwrap_or(usual.step),
                scenario: timeouts.scenario.unwrap_or(usual.scenario),
            },
            scratch: scratch.path().to_owned(),
            interrupt: self.interrupt.clone(),
        };
        let plan = Plan {
            scenarios: scenarios.into_iter().map(Arc::new).collect(),
            prepare: config.map(|config| config.prepare.clone()).unwrap_or_default(),
            prepare_folder: config.map(|config| config.folder.clone()).unwrap_or_default(),
        };
        let outcome = muster_engine::run(
            plan,
            connected.cluster,
            Arc::clone(&self.recorder),
            self.secrets.clone(),
            Arc::clone(&ledger),
            options,
        )
        .await;
        self.close_ledger(ledger);
        Ok(code(outcome.exit_code()))
    }

    /// The ledger goes once everything was undone; else it says how to go on.
    fn close_ledger(&self, ledger: Arc<Ledger>) {
        let Ok(ledger) = Arc::try_unwrap(ledger) else {
            return;
        };
        let left = ledger.pending(None).len();
        if left > 0 {
            console::err(format!(
                "{} of this run {} still in the cluster: `muster clean --run {}` undoes {}",
                count(left, "change"),
                if left == 1 { "is" } else { "are" },
                self.id,
                if left == 1 { "it" } else { "them" },
            ));
        } else if let Err(error) = ledger.remove() {
            console::error(error.to_string());
        }
    }

    /// Ends the view and writes the reports.
    fn end(&self, junit: Option<&Path>) {
        if let Ok(mut ticker) = self.ticker.lock() {
            *ticker = None;
        }
        if let Ok(mut terminal) = self.terminal.lock() {
            // A closed pipe (`| head`) is no failure of the run.
            let _ = terminal.finish();
        }
        if let Err(error) = self.recorder.finish() {
            console::error(error.to_string());
        }
        let folder = self.recorder.folder().path();
        let events = match muster_record::read(folder) {
            Ok(events) => events,
            Err(error) => return console::error(error.to_string()),
        };
        let own = [
            (folder.join(JUNIT), Format::Junit),
            (folder.join(HTML), Format::Html),
        ];
        let asked = junit.map(|path| (path.to_owned(), Format::Junit));
        for (path, format) in own.into_iter().chain(asked) {
            if let Err(message) = write(&events, &path, format) {
                console::error(message);
            }
        }
    }
}

fn code(number: u8) -> ExitCode {
    match number {
        0 => ExitCode::Passed,
        1 => ExitCode::Failed,
        4 => ExitCode::NothingSelected,
        130 => ExitCode::Interrupted,
        _ => ExitCode::Environment,
    }
}

/// What `muster clean` needs to find the cluster again. A list of kubeconfigs is one only together: then it is to be
/// found by `KUBECONFIG` again.
fn key(connected: &Connected) -> ClusterKey {
    let kubeconfig = match (
        &connected.options.kubeconfig,
        connected.cluster.kubeconfig_paths(),
    ) {
        (Some(named), _) => Some(named),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    ClusterKey {
        name: Some(connected.name.clone()),
        kubeconfig: kubeconfig.map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())),
        context: connected.cluster.context().map(str::to_owned),
        server: connected.cluster.server().to_owned(),
    }
}
