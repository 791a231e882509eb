//! Where a lab keeps its files.
//!
//! Invariant: every path of the host's side is below the state folder or [`RUN`]; every path of a node's side is
//! visible inside its namespaces.

use std::path::{Path, PathBuf};

use crate::ProvisionError;
use crate::error::FileContext;

/// The machine-wide folder of labs: the lock, the registration, etcd's sockets (a socket's path must be short).
pub(crate) const RUN: &str = "/run/muster";
/// Inside a node: the folder of the Kubernetes binary.
pub(crate) const NODE_BIN: &str = "/run/muster/bin";
/// Inside a node: its configuration, `var/lib/muster` in the node's folder on the host.
pub(crate) const NODE_CONFIG: &str = "/var/lib/muster";

/// The state folder of a lab.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Layout {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("lab.json")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Keys and certificates; readable by root only.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// Configuration of the control plane.
    pub(crate) fn etc(&self, file: &str) -> PathBuf {
        self.root.join("etc").join(file)
    }

    pub(crate) fn etcd_data(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// The `/tmp` of the controller manager and of all nodes: the host-path provisioner makes volumes there, in
    /// `hostpath_pv`.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn log(&self, role: &str) -> PathBuf {
        self.logs().join(format!("{role}.log"))
    }

    pub(crate) fn node(&self, node: &str) -> PathBuf {
        self.root.join("nodes").join(node)
    }

    pub(crate) fn node_var(&self, node: &str) -> PathBuf {
        self.node(node).join("var")
    }

    /// The host's side of [`NODE_CONFIG`].
    pub(crate) fn node_config(&self, node: &str) -> PathBuf {
        self.node_var(node).join("lib/muster")
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<(), ProvisionError> {
    std::fs::create_dir_all(path).at("make the folder", path)
}

/// Writes a file whole: readers see the old text or the new one. Mode 0600.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), ProvisionError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .at("write", &new)?;
    std::fs::rename(&new, path).at("write", path)
}

/// Sets the mode of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), ProvisionError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).at("set the mode of", path)
}

/// Removes a file or folder with all it holds; that it is not there is fine.
pub(crate) fn remove_all(path: &Path) -> Result<(), ProvisionError> {
    let gone = |e: std::io::Error| {
        if e.kind() == std::io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(e)
        }
    };
    match std::fs::symlink_metadata(path) {
        Err(e) => gone(e),
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path).or_else(gone),
        Ok(_) => std::fs::remove_file(path).or_else(gone),
    }
    .at("remove", path)
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    if last.is_empty() {
        "(nothing)".to_owned()
    } else {
        last.join("\n")
    }
}
