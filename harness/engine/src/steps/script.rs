//! `script`: a local command, with the cluster's kubeconfig at hand.
//!
//! Invariant: when the step ends, nothing that the script started is alive.

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
    let kubeconfig = step
        .ctx
        .options
        .scratch
        .join(format!("kubeconfig-{}", step.ctx.scope.scenario.unwrap_or(0)));
    step.cluster
        .write_kubeconfig(&kubeconfig)
        .await
        .map_err(|error| {
            Trouble::Environment(failure::at(
                format!(
                    "the script's kubeconfig {} could not be written: {error}",
                    kubeconfig.display()
                ),
                place,
            ))
        })?;
    let mut env = vec![
        ("KUBECONFIG".to_owned(), kubeconfig.display().to_string()),
        ("NAMESPACE".to_owned(), step.namespace.clone()),
    ];
    for (key, value) in &script.env {
        env.push((key.clone(), step.value(value)?));
    }
    let time = step.remaining();
    let outcome = child::run(
        &source,
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
