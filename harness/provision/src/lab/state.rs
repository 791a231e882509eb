//! The lab's record on disk: what it was asked to be, what was changed on the machine, which processes it has.
//!
//! Invariant: the file is replaced whole after every change, before the next act.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::layout::{Layout, write_file};
use super::process::ProcessId;
use crate::ProvisionError;

const VERSION: u32 = 1;

/// How far `up` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// `up` works on it, or was interrupted.
    Starting,
    /// It was ready.
    Ready,
    /// `up` failed and took everything down but the logs.
    Failed,
}

/// A process of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    /// E.g. `kube-apiserver`, `kubelet`, `init`.
    pub(crate) role: String,
    /// The node it belongs to; none: the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    #[serde(flatten)]
    pub(crate) process: ProcessId,
}

impl ProcessRecord {
    /// For people: `kubelet of node1`.
    pub(crate) fn title(&self) -> String {
        match &self.node {
            Some(node) => format!("{} of {node}", self.role),
            None => self.role.clone(),
        }
    }
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) name: String,
    pub(crate) nodes: u32,
    pub(crate) audit: bool,
    pub(crate) cache: PathBuf,
    pub(crate) phase: Phase,
    pub(crate) processes: Vec<ProcessRecord>,
    /// Kernel settings that the lab's components change, with their values before: `vm/overcommit_memory`.
    pub(crate) sysctls: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn new(options: &super::LabOptions) -> Self {
        Record {
            version: VERSION,
            name: options.name.clone(),
            nodes: options.nodes,
            audit: options.audit,
            cache: options.cache.clone(),
            phase: Phase::Starting,
            processes: Vec::new(),
            sysctls: BTreeMap::new(),
        }
    }

    /// Reads the record of a lab; none when there is none.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Record>, ProvisionError> {
        let path = layout.record();
        let bad = |reason: String| ProvisionError::BadRecord {
            path: path.clone(),
            reason,
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(bad(e.to_string())),
        };
        let record: Record = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if record.version != VERSION {
            return Err(bad(format!(
                "it has version {}, this muster knows version {VERSION}",
                record.version
            )));
        }
        Ok(Some(record))
    }

    /// The process of that role and node.
    pub(crate) fn process(&self, role: &str, node: Option<&str>) -> Option<ProcessId> {
        self.processes
            .iter()
            .find(|p| p.role == role && p.node.as_deref() == node)
            .map(|p| p.process)
    }

    /// The processes that have ended, for people.
    pub(crate) fn gone(&self) -> Vec<String> {
        self.processes
            .iter()
            .filter(|p| !p.process.alive())
            .map(ProcessRecord::title)
            .collect()
    }
}

/// The record while `up` works on it, from several sides at once.
#[derive(Clone)]
pub(crate) struct Journal {
    layout: Layout,
    record: Arc<Mutex<Record>>,
}

impl Journal {
    /// Begins the record on disk.
    pub(crate) fn begin(layout: &Layout, record: Record) -> Result<Self, ProvisionError> {
        let journal = Journal {
            layout: layout.clone(),
            record: Arc::new(Mutex::new(record)),
        };
        journal.change(|_| {})?;
        Ok(journal)
    }

    /// Changes the record and writes it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), ProvisionError> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut record);
        let text = serde_json::to_string_pretty(&*record).map_err(|e| ProvisionError::BadRecord {
            path: self.layout.record(),
            reason: e.to_string(),
        })?;
        write_file(&self.layout.record(), &text)
    }

    /// Notes a process.
    pub(crate) fn started(
        &self,
        role: &str,
        node: Option<&str>,
        process: ProcessId,
    ) -> Result<(), ProvisionError> {
        let record = ProcessRecord {
            role: role.to_owned(),
            node: node.map(str::to_owned),
            process,
        };
        self.change(|r| r.processes.push(record))
    }

    /// The record as it is now.
    pub(crate) fn snapshot(&self) -> Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error when one of the processes has ended, with its last words.
    pub(crate) fn all_alive(&self) -> Result<(), ProvisionError> {
        let record = self.snapshot();
        match record.processes.iter().find(|p| !p.process.alive()) {
            Some(dead) => Err(super::process::died(
                &dead.title(),
                &self.layout.log(&log_name(dead)),
            )),
            None => Ok(()),
        }
    }
}

/// The log of a process: `kube-apiserver`, `node1-kubelet`.
pub(crate) fn log_name(process: &ProcessRecord) -> String {
    match &process.node {
        Some(node) => format!("{node}-{}", process.role),
        None => process.role.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (tempfile::TempDir, Layout, Record) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let record = Record::new(&crate::LabOptions::named("test"));
        (dir, layout, record)
    }

    #[test]
    fn what_was_started_is_on_disk_at_once() {
        let (_dir, layout, record) = sample();
        assert_eq!(Record::read(&layout).unwrap(), None);
        let journal = Journal::begin(&layout, record).unwrap();
        let process = ProcessId::of(std::process::id()).unwrap();
        journal.started("kubelet", Some("node1"), process).unwrap();
        let read = Record::read(&layout).unwrap().unwrap();
        assert_eq!(read, journal.snapshot());
        assert_eq!(read.process("kubelet", Some("node1")), Some(process));
        assert_eq!(read.process("kubelet", None), None);
        assert!(read.gone().is_empty());
    }

    #[test]
    fn an_ended_process_is_named_with_its_node_and_its_last_words() {
        let (_dir, layout, record) = sample();
        let journal = Journal::begin(&layout, record).unwrap();
        journal
            .started(
                "kubelet",
                Some("node1"),
                ProcessId {
                    pid: std::process::id(),
                    start: 1,
                },
            )
            .unwrap();
        std::fs::create_dir_all(layout.logs()).unwrap();
        std::fs::write(layout.log("node1-kubelet"), "one\ncan't go on\n").unwrap();
        let text = journal.all_alive().unwrap_err().to_string();
        assert!(text.starts_with("kubelet of node1 ended"), "{text}");
        assert!(text.ends_with("can't go on"), "{text}");
    }

    #[test]
    fn a_torn_or_foreign_record_says_what_to_do() {
        let (_dir, layout, _) = sample();
        std::fs::write(layout.record(), "{\"version\":").unwrap();
        let text = Record::read(&layout).unwrap_err().to_string();
        assert!(
            text.contains("lab.json") && text.contains("delete the file"),
            "{text}"
        );
    }
}
