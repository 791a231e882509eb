//! The reader of a run log.
//!
//! Invariant: what a run wrote before it was killed is readable: only a torn last line is dropped.

use std::io;
use std::path::Path;

use muster_model::Event;

use crate::error::RecordError;
use crate::folder::LOG;

/// Reads the events of a run folder. A last line that was not finished is dropped; kinds of a later version are kept
/// as [`muster_model::EventKind::Unknown`].
///
/// # Errors
/// [`RecordError::NoRun`] if there is no log, [`RecordError::Malformed`] for a line before the last that is no event.
pub fn read(folder: &Path) -> Result<Vec<Event>, RecordError> {
    let path = folder.join(LOG);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Err(RecordError::NoRun {
                path: folder.to_owned(),
            });
        }
        Err(source) => return Err(RecordError::Read { path, source }),
    };
    let mut events = Vec::new();
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .peekable();
    while let Some((index, line)) = lines.next() {
        let last = lines.peek().is_none();
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if last => {}
            Err(source) => {
                return Err(RecordError::Malformed {
                    path,
                    line: index + 1,
                    source,
                });
            }
        }
    }
    Ok(events)
}
