//! `exec`: a command in a container.
//!
//! Invariant: it is sent once; a lost connection is a failure, never a second run.

use muster_cluster::ExecError;
use muster_model::Place;
use muster_scenario::ast::Exec;
use serde_json::json;

use crate::causes::main_container;
use crate::context::StepContext;
use crate::failure::{self, ActionError, FailureFacts, Trouble};
use crate::mark::Effects;
use crate::steps::target::{choose, pods_of};
use crate::target::find;
use crate::wait::human;

/// How many characters of a command are shown.
const COMMAND: usize = 120;

/// Runs the command.
pub(crate) async fn run(step: &StepContext, exec: &Exec) -> Result<Effects, ActionError> {
    let place = &exec.target.place;
    let found = find(step, &exec.target, &step.namespace).await?;
    let pods = pods_of(step, &found).await?;
    let Some(pod) = choose(&pods) else {
        return Err(
            Trouble::failed(format!("no running pod to exec in: {}", found.display()), place)
                .help("expect it to be ready first")
                .into(),
        );
    };
    let container = step
        .optional(exec.container.as_ref())?
        .or_else(|| main_container(pod));
    let command = exec
        .command
        .iter()
        .map(|word| step.value(word))
        .collect::<Result<Vec<_>, _>>()?;
    let namespace = pod.namespace().unwrap_or_default();
    let run = step
        .cluster
        .exec(namespace, pod.name(), container.as_deref(), &command);
    let answer = tokio::select! {
        () = step.ctx.interrupted() => return Err(Trouble::Interrupted.into()),
        answer = tokio::time::timeout(step.remaining(), run) => answer,
    };
    let shown = shortened(&command.join(" "));
    let output = match answer {
        Err(_) => {
            return Err(Trouble::failed(
                format!(
                    "`{shown}` in {} did not end within the step's time",
                    pod.reference()
                ),
                place,
            )
            .into());
        }
        Ok(Err(ExecError::Api(error))) => return Err(ActionError::from_api(&error, place)),
        Ok(Err(error)) => {
            return Err(ActionError {
                facts: Box::new(FailureFacts {
                    message: Some(error.to_string()),
                    ..FailureFacts::default()
                }),
                trouble: Trouble::failed(error.to_string(), place),
            });
        }
        Ok(Ok(output)) => output,
    };
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    ended(
        &format!("`{shown}` in {}", pod.reference()),
        i64::from(output.code),
        stdout,
        stderr,
        place,
    )
}

/// The effects of a command that ended: any code but 0 is a failure.
pub(super) fn ended(
    what: &str,
    code: i64,
    stdout: String,
    stderr: String,
    place: &Place,
) -> Result<Effects, ActionError> {
    if code == 0 {
        return Ok(Effects {
            summary: format!("{what} succeeded"),
            result: json!({"code": code, "stdout": stdout, "stderr": stderr}),
            ..Effects::default()
        });
    }
    let mut failed = failure::at(format!("{what} ended with exit code {code}"), place);
    "exit code 0".clone_into(&mut failed.expected);
    for (name, text) in [("stderr", &stderr), ("stdout", &stdout)] {
        for line in last_lines(text) {
            failed.causes.push(format!("{name}: {line}"));
        }
    }
    Err(ActionError {
        facts: Box::new(FailureFacts {
            message: Some(failed.message.clone()),
            code: Some(code),
            stdout: Some(stdout),
            stderr: Some(stderr),
            ..FailureFacts::default()
        }),
        trouble: Trouble::Failed(failed),
    })
}

/// A command as a report shows it: one line, not too long.
fn shortened(command: &str) -> String {
    let line = command.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= COMMAND {
        return line;
    }
    line.chars().take(COMMAND).chain(['…']).collect()
}

fn last_lines(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].to_vec()
}

/// The error of a command that outlived its time.
pub(super) fn outlived(what: &str, time: std::time::Duration, stderr: &str, place: &Place) -> ActionError {
    // What is left of a step's time is a little less than what was written, which is what the user knows.
    let unit = if time.as_secs() > 0 { 1000 } else { 100 };
    let time = std::time::Duration::from_millis((time.as_millis() as u64).div_ceil(unit) * unit);
    let mut failed = failure::at(
        format!("{what} did not end within {} and was killed", human(time)),
        place,
    );
    failed.causes = last_lines(stderr)
        .into_iter()
        .map(|line| format!("stderr: {line}"))
        .collect();
    failed
        .help
        .push("give the step a longer `timeout`, or make the command end".to_owned());
    Trouble::Failed(failed).into()
}
