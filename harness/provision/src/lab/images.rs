//! Images: archives are imported once into a template of a container runtime's folder; each node starts with a
//! hard-link copy of it.
//!
//! The template lies in the cache and is named by what it was made of, so a new set of archives is a new template.
//! Blobs and unpacked layers are never written by a runtime; its databases are, and are copied for real.
//!
//! Invariant: a template under its final name is complete.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt;

use super::LabOptions;
use super::command::{find, run};
use super::config::{Containerd, PAUSE};
use super::control::CGROUP;
use super::layout::{Layout, RUN, make_dir, remove_all, write_file};
use super::process::{Daemon, ProcessId, died, wait_gone};
use crate::ProvisionError;
use crate::error::FileContext;

/// After this time an unfinished import is not worked on any more.
const STALE: std::time::Duration = std::time::Duration::from_secs(3600);
/// Of the runtime that imports for the template.
pub(crate) fn import_folder() -> PathBuf {
    Path::new(RUN).join("import")
}

/// The image archives of a folder, by name.
pub(crate) fn archives(dir: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).at("list", dir)? {
        let path = entry.at("list", dir)?.path();
        if path.extension().is_some_and(|e| e == "tar") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Names a set of archives by their names, sizes and times of change.
fn key(archives: &[PathBuf]) -> Result<String, ProvisionError> {
    let mut hash = Sha256::new();
    for path in archives {
        let path = path.canonicalize().at("find", path)?;
        let meta = path.metadata().at("read", &path)?;
        hash.update(format!(
            "{}\0{}\0{}\0{}\n",
            path.display(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ));
    }
    Ok(hash
        .finalize()
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect())
}

/// The template of the cache's archives, made if there is none yet. `making` is called before it is made.
pub(crate) async fn template(
    options: &LabOptions,
    layout: &Layout,
    making: impl FnOnce(usize),
) -> Result<PathBuf, ProvisionError> {
    let archives = archives(&options.archives())?;
    let folder = options.cache.join("lab");
    let template = folder.join(format!("template-{}", key(&archives)?));
    if template.is_dir() {
        return Ok(template);
    }
    making(archives.len());
    remove_stale(&folder)?;
    // A name of its own: machines that share a cache don't share a lock.
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let new = folder.join(format!(
        "template.new-{}-{}",
        std::process::id(),
        since.as_nanos()
    ));
    make_dir(&new)?;
    let imported = import_all(&new, &archives, layout).await;
    if imported.is_err() || template.is_dir() {
        remove_all(&new)?;
        return imported.map(|()| template);
    }
    let old = siblings(&folder)?;
    std::fs::rename(&new, &template).at("make", &template)?;
    for path in old {
        remove_all(&path)?;
    }
    Ok(template)
}

/// Removes what an interrupted import left long ago.
fn remove_stale(folder: &Path) -> Result<(), ProvisionError> {
    for entry in std::fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| modified.elapsed().ok())
            .unwrap_or_default();
        let unfinished = entry.file_name().to_string_lossy().starts_with("template.new");
        if unfinished && age > STALE {
            remove_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Former templates: nodes that were made from them hold links of their own.
fn siblings(folder: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        if entry.file_name().to_string_lossy().starts_with("template-") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

async fn import_all(root: &Path, archives: &[PathBuf], layout: &Layout) -> Result<(), ProvisionError> {
    let run = import_folder();
    make_dir(&run)?;
    let (socket, state) = (run.join("containerd.sock"), run.join("state"));
    let (config, log) = (layout.etc("import.toml"), layout.log("image-import"));
    let render = Containerd {
        root: &root.to_string_lossy(),
        state: &state.to_string_lossy(),
        socket: &socket.to_string_lossy(),
        cni_bin: None,
        restrict_oom_score_adj: false,
    };
    write_file(&config, &render.render())?;
    let containerd = find("containerd").unwrap_or_else(|| "containerd".into());
    let daemon = Daemon {
        role: "image-import".into(),
        // A mount namespace of its own: what it mounts to unpack goes with it.
        program: find("unshare").unwrap_or_else(|| "unshare".into()),
        args: ["--mount", "--propagation", "private", "--"]
            .into_iter()
            .map(String::from)
            .chain([
                containerd.display().to_string(),
                "--config".into(),
                config.display().to_string(),
            ])
            .collect(),
        log: log.clone(),
        cgroup: CGROUP.into(),
    };
    let process = daemon.start()?;
    let result = async {
        wait_socket(&socket, process, "image-import", &log).await?;
        futures::future::try_join_all(archives.iter().map(|archive| import(&socket, archive))).await?;
        let names = list(&socket).await?;
        if names.iter().any(|n| n == PAUSE) {
            return Ok(());
        }
        Err(ProvisionError::Command {
            doing: "prepare the images".into(),
            command: "ctr images list".into(),
            status: format!("{} archives imported", archives.len()),
            stderr: format!("{PAUSE}, which every pod needs, is in none of them; run fixtures/images/build"),
        })
    }
    .await;
    process.signal(Signal::TERM);
    wait_gone(vec![process], Duration::from_secs(20)).await;
    remove_all(&run)?;
    result
}

/// Waits until a runtime serves its socket.
pub(crate) async fn wait_socket(
    socket: &Path,
    process: ProcessId,
    role: &str,
    log: &Path,
) -> Result<(), ProvisionError> {
    let limit = Duration::from_secs(60);
    let end = tokio::time::Instant::now() + limit;
    loop {
        let error = match tokio::net::UnixStream::connect(socket).await {
            Ok(_) => return Ok(()),
            Err(e) => e,
        };
        if !process.alive() {
            return Err(died(role, log));
        }
        if tokio::time::Instant::now() >= end {
            return Err(ProvisionError::NotReady {
                what: role.to_owned(),
                waited: limit,
                last: format!("{}: {error}", socket.display()),
                log: log.to_owned(),
            });
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

fn ctr(doing: String, socket: &Path) -> super::command::Run {
    run(doing, "ctr")
        .arg("--address")
        .arg(socket)
        .args(["--namespace", "k8s.io", "images"])
}

/// Imports an archive and returns what the import printed. The archive is read by this process, so a runtime
/// with other mounts can have it too.
pub(crate) async fn import(socket: &Path, archive: &Path) -> Result<String, ProvisionError> {
    let file = std::fs::File::open(archive).at("open the image archive", archive)?;
    ctr(format!("import {}", archive.display()), socket)
        .args(["import", "-"])
        .input_file(file)
        .output()
        .await
}

/// The names of a runtime's images, digests left out.
pub(crate) async fn list(socket: &Path) -> Result<Vec<String>, ProvisionError> {
    let text = ctr("list images".into(), socket)
        .args(["list", "--quiet"])
        .output()
        .await?;
    Ok(text
        .lines()
        .filter(|l| !l.starts_with("sha256:") && !l.contains('@'))
        .map(String::from)
        .collect())
}

/// Gives a node its runtime's folder.
pub(crate) async fn copy(template: &Path, target: &Path) -> Result<(), ProvisionError> {
    make_dir(target)?;
    let device = |path: &Path| std::fs::metadata(path).map(|m| m.dev()).at("read", path);
    // Across filesystems there are no hard links; then it takes time and disk.
    let how: &[&str] = if device(template)? == device(target)? {
        &["-al"]
    } else {
        &["-a", "--reflink=auto"]
    };
    run("copy the images for a node", "cp")
        .args(how)
        .arg(template.join("."))
        .arg(target)
        .ok()
        .await?;
    for plugin in std::fs::read_dir(template).at("list", template)?.flatten() {
        for file in std::fs::read_dir(plugin.path()).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|e| e == "db") {
                let to = target.join(plugin.file_name()).join(file.file_name());
                remove_all(&to)?;
                std::fs::copy(file.path(), &to).at("copy to", &to)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_archive_is_another_template() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.tar");
        std::fs::write(&file, "one").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "").unwrap();
        let before = key(&archives(dir.path()).unwrap()).unwrap();
        assert_eq!(before, key(std::slice::from_ref(&file)).unwrap());
        std::fs::write(&file, "other").unwrap();
        assert_ne!(before, key(&archives(dir.path()).unwrap()).unwrap());
    }

    #[tokio::test]
    async fn a_copy_shares_blobs_but_not_databases() {
        let dir = tempfile::tempdir().unwrap();
        let (template, target) = (dir.path().join("template"), dir.path().join("target"));
        std::fs::create_dir_all(template.join("plugin/blobs")).unwrap();
        std::fs::write(template.join("plugin/blobs/b"), "blob").unwrap();
        std::fs::write(template.join("plugin/meta.db"), "db").unwrap();
        copy(&template, &target).await.unwrap();
        let inode = |p: PathBuf| std::fs::metadata(p).unwrap().ino();
        assert_eq!(
            inode(template.join("plugin/blobs/b")),
            inode(target.join("plugin/blobs/b"))
        );
        assert_ne!(
            inode(template.join("plugin/meta.db")),
            inode(target.join("plugin/meta.db"))
        );
        assert_eq!(
            std::fs::read_to_string(target.join("plugin/meta.db")).unwrap(),
            "db"
        );
    }
}
