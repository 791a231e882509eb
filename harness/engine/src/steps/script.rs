//! `script`: a local command, with the cluster's kubeconfig at hand.
//!
//! Invariant: when the step ends, nothing that the script started is alive, and no file with a credential is left.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use muster_model::Place;
use muster_scenario::ast::Script;

use crate::child::{self, Ended};
use crate::context::StepContext;
use crate::failure::{self, ActionError, Trouble};
use crate::mark::Effects;
use crate::steps::exec::{ended, outlived};

/// Runs the script.
pub(crate) async fn run(step: &StepContext, script: &Script, place: &Place) -> Result<Effects, ActionError> {
    let source = step.value(&script.run)?;
    let scope = &step.scope;
    let owner = format!("{}-{}", scope.scenario.unwrap_or(0), scope.step.unwrap_or(0));
    let kubeconfig = Passing::new(step, &format!("kubeconfig-{owner}"));
    step.cluster
        .write_kubeconfig(&kubeconfig.0)
        .await
        .map_err(|error| kubeconfig.unwritten("kubeconfig", &error, place))?;
    let file = Passing::new(step, &format!("script-{owner}"));
    file.write(&source)
        .map_err(|error| file.unwritten("text", &error, place))?;
    let mut env = vec![
        ("KUBECONFIG".to_owned(), kubeconfig.0.display().to_string()),
        ("NAMESPACE".to_owned(), step.namespace.clone()),
    ];
    for (key, value) in &script.env {
        env.push((key.clone(), step.value(value)?));
    }
    let time = step.remaining();
    let outcome = child::run(
        &file.0,
        &env,
        &step.ctx.scenario.folder,
        time,
        &step.ctx.interrupt(),
    )
    .await;
    match outcome {
        Ok(Ended::Interrupted) => Err(Trouble::Interrupted.into()),
        Ok(Ended::OutOfTime { stderr }) => Err(outlived("the script", time, &stderr, place)),
        Ok(Ended::Code { code, stdout, stderr }) => ended("the script", code, stdout, stderr, place),
        Err(error) => Err(Trouble::Environment(failure::at(
            format!("the script could not be started: {error}"),
            place,
        ))
        .into()),
    }
}

/// A file of the scratch folder that only its owner can read and that goes with this value.
struct Passing(PathBuf);

impl Passing {
    fn new(step: &StepContext, name: &str) -> Self {
        Self(step.ctx.options.scratch.join(name))
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&self.0)?;
        file.write_all(text.as_bytes())
    }

    fn unwritten(&self, what: &str, error: &std::io::Error, place: &Place) -> Trouble {
        Trouble::Environment(failure::at(
            format!(
                "the script's {what} could not be written to {}: {error}",
                self.0.display()
            ),
            place,
        ))
        .help("make room there, or set TMPDIR to another folder")
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
