//! The command line of muster: arguments to options, one file per command, exit codes.
//!
//! Invariant: the libraries below never see the command line, the environment's `MUSTER_*` or `muster.yaml`; what they
//! need is passed to them as values.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod args;
mod clean;
mod cluster;
pub mod connect;
pub mod console;
pub mod exit;
mod lint;
mod list;
mod load;
mod report;
pub mod run;
mod scratch;
mod signals;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use args::{Cli, Command, SchemaFile};
use exit::ExitCode;

/// Hidden helpers of muster's own process: every main calls this first.
pub fn enter_if_child() {
    muster_engine::child::enter_if_child();
    muster_provision::enter_if_child();
}

/// Parses the process's arguments, runs the command, gives the exit code.
pub fn main() -> ExitCode {
    main_from(std::env::args_os())
}

/// As [`main`], with given arguments; the first is the program's name.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            let _ = error.print();
            return if wrong { ExitCode::Usage } else { ExitCode::Passed };
        }
    };
    init_tracing();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            console::error(format!("the runtime could not be started: {error}"));
            return ExitCode::Environment;
        }
    };
    let code = runtime.block_on(dispatch(cli));
    // Credential plugins may hang in blocking threads.
    runtime.shutdown_background();
    code
}

/// For muster's developers: `MUSTER_LOG=muster_cluster=debug`.
fn init_tracing() {
    if let Ok(filter) = std::env::var("MUSTER_LOG") {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .try_init();
    }
}

async fn dispatch(cli: Cli) -> ExitCode {
    let config = cli.config;
    match cli.command {
        Command::Run(args) => run::command(config, args).await,
        Command::Lint(args) => lint::command(config, &args),
        Command::List(args) => list::command(&args),
        Command::Report(args) => report::command(&args),
        Command::Clean(args) => clean::command(&args).await,
        Command::Schema { file } => {
            let schema = match file {
                SchemaFile::Scenario => muster_scenario::schema::json_schema(),
                SchemaFile::Config => muster_scenario::schema::config_schema(),
            };
            console::out(format!("{schema:#}"));
            ExitCode::Passed
        }
        Command::Cluster(command) => cluster::command(command).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "muster", &mut std::io::stdout());
            ExitCode::Passed
        }
    }
}
