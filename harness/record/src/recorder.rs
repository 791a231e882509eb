//! The recorder: the one writer of a run's log and its evidence.
//!
//! Invariant: `seq` has no gaps and grows with time; each line is redacted before it exists as text, written by one
//! write, and handed to the sinks after it is on disk. A file is whole before the event that names it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use jiff::{Timestamp, Unit};
use muster_model::event::FORMAT;
use muster_model::{Emit, Event, EventKind, Scope, Secrets};
use serde_json::{Value, json};

use crate::error::RecordError;
use crate::evidence::{numbered, sanitise, write_whole};
use crate::folder::{LOG, RunFolder};
use crate::limit;
use crate::redaction::{redact_bytes, redact_line};

/// Takes each redacted event after it was recorded. It runs under the recorder's lock: it must neither block for
/// long nor emit.
pub type Sink = Box<dyn FnMut(&Event) + Send>;

/// Records a run.
pub struct Recorder {
    folder: RunFolder,
    secrets: Secrets,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    log: File,
    next: u64,
    sinks: Vec<Sink>,
    names: HashSet<String>,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Starts the log of a run folder. What `secrets` holds at the time of an event is masked in it.
    ///
    /// # Errors
    /// [`RecordError::Write`] if the log can't be made.
    pub fn start(folder: RunFolder, secrets: Secrets) -> Result<Self, RecordError> {
        let path = folder.path().join(LOG);
        let log = open_log(&path).map_err(|source| RecordError::Write {
            deed: "create the run log",
            path,
            source,
        })?;
        Ok(Self {
            folder,
            secrets,
            began: Instant::now(),
            state: Mutex::new(State {
                log,
                next: 0,
                sinks: Vec::new(),
                names: HashSet::new(),
                failed: None,
            }),
        })
    }

    /// Adds a sink for all later events.
    pub fn add_sink(&self, sink: Sink) {
        self.lock().sinks.push(sink);
    }

    /// The run folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Writes a file of evidence below `evidence/` of the run folder, redacted, and records it. The path is made
    /// safe ([`sanitise`]) and unique. Returns the path in the run folder.
    ///
    /// # Errors
    /// [`RecordError::Write`]; then no event names the file.
    pub fn evidence(
        &self,
        scope: &Scope,
        path: &str,
        what: &str,
        bytes: &[u8],
    ) -> Result<String, RecordError> {
        let wanted = format!("evidence/{}", sanitise(&self.secrets.redact(path)));
        let relative = {
            let mut state = self.lock();
            let mut n = 1;
            while !state.names.insert(numbered(&wanted, n)) {
                n += 1;
            }
            numbered(&wanted, n)
        };
        let path = self.folder.path().join(&relative);
        write_whole(&path, &redact_bytes(&self.secrets, bytes)).map_err(|source| RecordError::Write {
            deed: "write evidence to",
            path,
            source,
        })?;
        self.emit(
            scope,
            EventKind::EvidenceTaken {
                path: relative.clone(),
                what: what.to_owned(),
            },
        );
        Ok(relative)
    }

    /// Ends the recording: searches all files of the run folder for secrets that were registered after they had been
    /// written, masks and notes them, and syncs the log.
    ///
    /// # Errors
    /// The first failure to write the log since [`start`](Self::start), or one of the scan's.
    pub fn finish(&self) -> Result<(), RecordError> {
        if let Some(warning) = self.folder.warning() {
            self.note(warning.to_owned());
        }
        let mut files = Vec::new();
        list_files(self.folder.path(), &mut files)?;
        for path in files {
            let masked = if path.file_name().is_some_and(|name| name == LOG) {
                self.scan_log(&path)?
            } else {
                self.scan_file(&path)?
            };
            if masked {
                let name = path.strip_prefix(self.folder.path()).unwrap_or(&path);
                self.note(format!(
                    "{} held a secret that became known only later; it was masked",
                    name.display()
                ));
            }
        }
        let mut state = self.lock();
        if let Err(error) = state.log.sync_all() {
            state.failed.get_or_insert(error);
        }
        match state.failed.take() {
            Some(source) => Err(RecordError::Write {
                deed: "write the run log",
                path: self.folder.path().join(LOG),
                source,
            }),
            None => Ok(()),
        }
    }

    fn note(&self, message: String) {
        self.emit(&Scope::run(), EventKind::Noted { message, place: None });
    }

    fn scan_file(&self, path: &Path) -> Result<bool, RecordError> {
        let bytes = std::fs::read(path).map_err(reading(path))?;
        let masked = redact_bytes(&self.secrets, &bytes);
        if masked == bytes {
            return Ok(false);
        }
        write_whole(path, &masked).map_err(masking(path))?;
        Ok(true)
    }

    fn scan_log(&self, path: &Path) -> Result<bool, RecordError> {
        // Under the lock: no event may be appended to a file that is about to be replaced.
        let mut state = self.lock();
        let bytes = std::fs::read(path).map_err(reading(path))?;
        let masked: Vec<u8> = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .flat_map(|line| match line.strip_suffix(b"\n") {
                Some(whole) => {
                    let mut line = redact_line(&self.secrets, whole);
                    line.push(b'\n');
                    line
                }
                None => redact_bytes(&self.secrets, line),
            })
            .collect();
        if masked == bytes {
            return Ok(false);
        }
        write_whole(path, &masked)
            .and_then(|()| open_log(path))
            .map(|log| state.log = log)
            .map_err(masking(path))?;
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Redacts and bounds an event's kind and data.
    fn prepare(&self, kind: EventKind, seq: u64) -> (EventKind, Option<(String, Value)>) {
        // The list of planned steps is as long as the scenario that the user wrote, and reports count by it.
        let bounded = !matches!(kind, EventKind::ScenarioStarted { .. });
        let Ok(mut value) = serde_json::to_value(&kind) else {
            // Events hold strings and numbers only: there is nothing in them that JSON can't hold.
            return (
                EventKind::Unknown(json!({"kind": "Unwritable", "data": {}})),
                None,
            );
        };
        let mut whole = None;
        if let Some(data) = value.get_mut("data") {
            self.secrets.redact_value(data);
            let beside = format!("overflow/{seq:06}.json");
            let all = (bounded && data.to_string().len() > limit::MAX).then(|| data.clone());
            if let Some(all) = all
                && limit::fit(data, &beside)
            {
                whole = Some((beside, all));
            }
        }
        let kind = serde_json::from_value(value.clone()).unwrap_or(EventKind::Unknown(value));
        (kind, whole)
    }
}

impl Emit for Recorder {
    fn emit(&self, scope: &Scope, kind: EventKind) {
        let mut state = self.lock();
        let seq = state.next;
        let (kind, whole) = self.prepare(kind, seq);
        if let Some((path, data)) = whole
            && let Err(error) = write_whole(&self.folder.path().join(path), data.to_string().as_bytes())
        {
            state.failed.get_or_insert(error);
        }
        let now = Timestamp::now();
        let event = Event {
            v: FORMAT,
            seq,
            t: now.round(Unit::Microsecond).unwrap_or(now),
            mono_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            scope: scope.clone(),
            kind,
        };
        state.next += 1;
        let written = serde_json::to_string(&event)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push('\n');
                state.log.write_all(line.as_bytes())
            });
        if let Err(error) = written {
            state.failed.get_or_insert(error);
        }
        for sink in &mut state.sinks {
            sink(&event);
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> RecordError + use<> {
    let path = path.to_owned();
    move |source| RecordError::Read { path, source }
}

fn masking(path: &Path) -> impl FnOnce(io::Error) -> RecordError + use<> {
    let path = path.to_owned();
    move |source| RecordError::Write {
        deed: "mask a secret in",
        path,
        source,
    }
}

/// All regular files below a folder, in a stable order; links are not followed.
fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), RecordError> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(reading(folder))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(reading(&path))?;
        if kind.is_dir() {
            list_files(&path, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
