//! Signals: the first one asks for an orderly end, the second forces one.
//!
//! Invariant: after the first signal clean-up has its grace; after the second, or when the grace is used up, muster
//! ends with 130 and says how to finish the clean-up.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::console;

/// How long an interrupted run may take to clean up: `finally`, evidence and clean-up have their own budgets in it.
const GRACE: Duration = Duration::from_secs(60 + 120 + 30);

/// Listens for SIGINT and SIGTERM. `last` is called before a forced end.
pub(crate) fn listen(run: String, interrupt: CancellationToken) -> std::io::Result<()> {
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        console::err("interrupted: cleaning up (once more to stop at once)");
        interrupt.cancel();
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            () = tokio::time::sleep(GRACE) => {}
        }
        console::err(format!(
            "stopped before clean-up was done: `muster clean --run {run}` finishes it"
        ));
        std::process::exit(130);
    });
    Ok(())
}
