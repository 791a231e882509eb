//! The command line as it is typed.
//!
//! Invariant: nothing here is interpreted; the commands do that.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Declarative end-to-end tests for Kubernetes, Postgres and workload identity.
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
#[command(
    after_help = "Exit codes: 0 all passed, 1 a scenario failed, 2 wrong use or a scenario that doesn't load,\n\
3 the cluster or the environment failed, 4 nothing was selected, 130 interrupted (after clean-up)."
)]
pub struct Cli {
    /// The run configuration; by default muster.yaml of this folder or the nearest one above.
    #[arg(long, global = true, value_name = "FILE", env = "MUSTER_CONFIG")]
    pub config: Option<PathBuf>,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios against a cluster.
    Run(RunArgs),
    /// Check scenarios and the run configuration without a cluster.
    Lint(LintArgs),
    /// List scenarios without a cluster.
    List(ListArgs),
    /// Make reports again from the folder of a run.
    Report(ReportArgs),
    /// Finish the clean-up of a run that was killed or kept.
    Clean(CleanArgs),
    /// Print a JSON Schema, for editors.
    Schema {
        /// Of which file.
        #[arg(value_enum, default_value = "scenario")]
        file: SchemaFile,
    },
    /// Bring clusters up and down.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What muster reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFile {
    /// A scenario file.
    Scenario,
    /// The run configuration, `muster.yaml`.
    Config,
}

/// Which cluster.
#[derive(Debug, Default, Args)]
pub struct ClusterArgs {
    /// A cluster of muster.yaml, or `lab` for the embedded one.
    #[arg(long, value_name = "NAME", env = "MUSTER_CLUSTER", conflicts_with = "context")]
    pub cluster: Option<String>,
    /// A context of the kubeconfig.
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig; by default as kubectl finds it.
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    pub kubeconfig: Option<PathBuf>,
}

/// What stays after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeepArg {
    /// What a failed scenario made.
    OnFailure,
    /// Everything.
    Always,
    /// Nothing.
    Never,
}

/// `muster run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Scenario files and folders.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only scenarios with these labels: `area=datastore`, `severity!=minor`, `slow`; several by comma.
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// A variable's value.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How many scenarios run side by side [default: 8].
    #[arg(long, value_name = "N", env = "MUSTER_PARALLEL", value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: Option<u16>,
    /// The folder for run folders.
    #[arg(long, value_name = "DIR", env = "MUSTER_OUT", default_value = "runs")]
    pub out: PathBuf,
    /// Write a JUnit report too.
    #[arg(long, value_name = "FILE", env = "MUSTER_JUNIT")]
    pub junit: Option<PathBuf>,
    /// What stays in the cluster.
    #[arg(long, value_enum, default_value = "never")]
    pub keep: KeepArg,
    /// Show the API requests of each step.
    #[arg(long)]
    pub stats: bool,
}

/// `muster lint`
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Scenario files and folders.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// `muster list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Scenario files and folders.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only scenarios with these labels.
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR")]
    pub selectors: Vec<String>,
}

/// `muster report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of a run; by default the latest in `runs`.
    #[arg(default_value = "runs/latest", value_name = "RUN")]
    pub run: PathBuf,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write an HTML report.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show the API requests of each step.
    #[arg(long)]
    pub stats: bool,
}

/// `muster clean`
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// The run's id: the name of its folder. Without it, the runs that left something are listed.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// Providers of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProviderArg {
    /// Kubernetes as processes on this machine.
    Lab,
}

/// `muster cluster`
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Bring a cluster up; one that runs is left as it is.
    Up {
        /// Where it comes from.
        #[arg(long, value_enum)]
        provider: ProviderArg,
        /// Its name.
        #[arg(long, default_value = "muster")]
        name: String,
        /// How many nodes.
        #[arg(long, default_value_t = 1)]
        nodes: u32,
        /// Write an audit log of all API requests.
        #[arg(long)]
        audit: bool,
    },
    /// Say what there is of a cluster.
    Status {
        /// Its name; by default the one that there is.
        #[arg(long)]
        name: Option<String>,
    },
    /// Load image archives into every node.
    Load {
        /// Archives as `docker save` writes them.
        #[arg(required = true, value_name = "ARCHIVE")]
        archives: Vec<PathBuf>,
        /// The cluster's name; by default the one that there is.
        #[arg(long)]
        name: Option<String>,
    },
    /// Take a cluster away, without a trace.
    Down {
        /// Its name; by default the one that there is.
        #[arg(long)]
        name: Option<String>,
    },
}
