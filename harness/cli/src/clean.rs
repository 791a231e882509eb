//! `muster clean`: finishes the clean-up of a run that was killed, or kept on purpose.
//!
//! Invariant: it works on the cluster that the run worked on, known by its server's address, and on no other.

use std::sync::Arc;

use muster_cluster::{Cluster, ConnectOptions};
use muster_record::Ledger;

use crate::args::CleanArgs;
use crate::console;
use crate::exit::ExitCode;

/// Cleans, or lists what there is to clean.
pub(crate) async fn command(args: &CleanArgs) -> ExitCode {
    let result = match &args.run {
        Some(run) => clean(run).await,
        None => list(),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            console::error(message);
            ExitCode::Environment
        }
    }
}

fn list() -> Result<ExitCode, String> {
    let folder = Ledger::default_folder().map_err(|error| error.to_string())?;
    let runs = Ledger::left_over(&folder).map_err(|error| error.to_string())?;
    if runs.is_empty() {
        console::err("no run left anything");
    }
    for run in runs {
        console::out(run);
    }
    Ok(ExitCode::Passed)
}

async fn clean(run: &str) -> Result<ExitCode, String> {
    let folder = Ledger::default_folder().map_err(|error| error.to_string())?;
    let ledger = Ledger::open(&folder, run).map_err(|error| error.to_string())?;
    let Some(key) = ledger.cluster() else {
        // Nothing was done before the cluster was written down.
        return ledger
            .remove()
            .map(|()| ExitCode::Passed)
            .map_err(|error| error.to_string());
    };
    let options = ConnectOptions {
        kubeconfig: key.kubeconfig.clone(),
        context: key.context.clone(),
        ..ConnectOptions::default()
    };
    let cluster = Cluster::connect(&options).await.map_err(|error| {
        format!(
            "the cluster of run {run} ({}) can't be reached: {error}",
            key.server
        )
    })?;
    if cluster.server() != key.server {
        return Err(format!(
            "run {run} worked on {}, but its kubeconfig leads to {} now: nothing was touched; set KUBECONFIG as it was then",
            key.server,
            cluster.server()
        ));
    }
    let ledger = Arc::new(ledger);
    let failed = muster_engine::clean(&cluster, Arc::clone(&ledger), &|line| console::out(line)).await;
    if failed > 0 {
        return Err(format!(
            "{} could not be cleaned up; run `muster clean --run {run}` again",
            muster_report::count(failed, "object")
        ));
    }
    match Arc::try_unwrap(ledger) {
        Ok(ledger) => ledger
            .remove()
            .map(|()| ExitCode::Passed)
            .map_err(|error| error.to_string()),
        Err(_) => Ok(ExitCode::Passed),
    }
}
