//! Signals: the first one asks for an orderly end, the second forces one.
//!
//! Invariant: after the first signal `finally`, evidence and clean-up run, each within its own budget; after the second
//! muster ends at once with 130, says how to finish the clean-up, and leaves no credentials behind.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::console;

/// Listens for SIGINT and SIGTERM. `scratch` is the folder that the second one removes.
pub(crate) fn listen(run: String, scratch: PathBuf, interrupt: CancellationToken) -> std::io::Result<()> {
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
        }
        console::err(format!(
            "stopped before clean-up was done: `muster clean --run {run}` finishes it"
        ));
        let _ = std::fs::remove_dir_all(scratch);
        std::process::exit(130);
    });
    Ok(())
}
