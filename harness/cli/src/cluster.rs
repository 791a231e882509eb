//! `muster cluster`: up, status, load, down.
//!
//! Invariant: what is printed on standard output can be used by a script (a path, names); progress goes to standard
//! error.

use std::path::PathBuf;

use muster_provision::{Lab, LabOptions, LabPhase, LabStatus, Progress, ProvisionError};

use crate::args::ClusterCommand;
use crate::console;
use crate::exit::ExitCode;

/// Runs a command.
pub(crate) async fn command(command: ClusterCommand) -> ExitCode {
    let result = match command {
        ClusterCommand::Up {
            provider: _,
            name,
            nodes,
            audit,
        } => up(name, nodes, audit).await,
        ClusterCommand::Status { name } => match named(name) {
            Ok(name) => return status(&name).await,
            Err(error) => Err(error),
        },
        ClusterCommand::Load { archives, name } => match named(name) {
            Ok(name) => load(&name, &archives).await,
            Err(error) => Err(error),
        },
        ClusterCommand::Down { name } => match named(name) {
            Ok(name) => down(&name).await,
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(()) => ExitCode::Passed,
        Err(error) => told(&error),
    }
}

/// The lab that is meant: the named one, or the one of this machine.
fn named(name: Option<String>) -> Result<String, ProvisionError> {
    match name {
        Some(name) => Ok(name),
        None => Ok(Lab::current()?.unwrap_or_else(|| LabOptions::default().name)),
    }
}

fn told(error: &ProvisionError) -> ExitCode {
    console::error(error.to_string());
    match error {
        ProvisionError::BadName { .. } | ProvisionError::BadNodes { .. } => ExitCode::Usage,
        _ => ExitCode::Environment,
    }
}

async fn up(name: String, nodes: u32, audit: bool) -> Result<(), ProvisionError> {
    let options = LabOptions {
        nodes,
        audit,
        ..LabOptions::named(name)
    };
    let tell = |progress: Progress| {
        console::err(format!(
            "{:>6.1}s  {:<10} {}",
            progress.elapsed.as_secs_f64(),
            progress.step,
            progress.detail
        ));
    };
    let up = Lab::up(&options, &tell).await?;
    let how = if up.existed { "is up already" } else { "is up" };
    console::err(format!(
        "lab {} {how}: {} ready in {:.1}s",
        options.name,
        up.nodes.join(", "),
        up.elapsed.as_secs_f64()
    ));
    console::err("use it with `muster run --cluster lab ...`, or with kubectl:");
    console::out(format!("export KUBECONFIG={}", up.kubeconfig.display()));
    Ok(())
}

async fn load(name: &str, archives: &[PathBuf]) -> Result<(), ProvisionError> {
    for image in Lab::load(name, archives).await? {
        console::out(image);
    }
    Ok(())
}

async fn down(name: &str) -> Result<(), ProvisionError> {
    let down = Lab::down(name).await?;
    if down.existed {
        console::err(format!("lab {name} is gone ({:.1}s)", down.elapsed.as_secs_f64()));
    } else {
        console::err(format!("there was no lab {name}"));
    }
    Ok(())
}

async fn status(name: &str) -> ExitCode {
    match Lab::status(name).await {
        Ok(status) => {
            show(&status);
            if status.phase == LabPhase::Ready {
                ExitCode::Passed
            } else {
                ExitCode::Environment
            }
        }
        Err(error) => told(&error),
    }
}

fn show(status: &LabStatus) {
    let phase = match &status.phase {
        LabPhase::Absent => "absent".to_owned(),
        LabPhase::Starting => "starting".to_owned(),
        LabPhase::Interrupted => "interrupted: `up` or `down` takes the remains away".to_owned(),
        LabPhase::Failed => "failed: the logs of the last `up` are left".to_owned(),
        LabPhase::Ready => "ready".to_owned(),
        LabPhase::NotReady(what) => format!("not ready: {what}"),
        LabPhase::HalfDead(gone) => format!("half dead: {} ended; `up` builds it anew", gone.join(", ")),
    };
    console::out(format!("lab {}: {phase}", status.name));
    if status.phase == LabPhase::Absent {
        return;
    }
    console::out(format!("logs: {}", status.state.join("logs").display()));
    if let Some(kubeconfig) = &status.kubeconfig {
        console::out(format!("kubeconfig: {}", kubeconfig.display()));
    }
    for node in &status.nodes {
        let init = node.init.map_or("down".to_owned(), |pid| format!("pid {pid}"));
        console::out(format!("node {} {} {init}", node.name, node.ip));
    }
    for process in &status.processes {
        let alive = if process.alive { "alive" } else { "ended" };
        console::out(format!("process {} pid {} {alive}", process.title, process.pid));
    }
    for image in &status.images {
        console::out(format!("image {image}"));
    }
}
