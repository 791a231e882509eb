//! Finding scenario files and loading them.
//!
//! Invariant: what a user names is loaded or is an error; in a folder only scenarios are looked at.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use muster_model::{Diagnostic, Diagnostics, Place, SourceFile};

use crate::ast::Scenario;
use crate::lint;
use crate::lower;
use crate::node::{Node, parse_scenario};
use crate::suggest;

/// What came out of loading.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The scenarios of files without errors, in the order of files and documents.
    pub scenarios: Vec<Scenario>,
    /// All errors and warnings, in the order of files and places.
    pub diagnostics: Diagnostics,
}

/// What was found under some paths.
#[derive(Debug, Clone, Default)]
pub struct Discovered {
    /// The scenario files, each once: those of a folder by name, folders in the given order.
    pub files: Vec<PathBuf>,
    /// Paths that don't exist or can't be read.
    pub diagnostics: Diagnostics,
}

/// Finds the scenario files under some paths.
///
/// A named file is taken as it is. A folder is walked (hidden folders are left out) for `*.yaml` and `*.yml` files with
/// a `scenario:` key at the left edge, or with a misspelt one beside `steps:`; manifests lie beside scenarios and are
/// passed over.
pub fn discover(paths: &[PathBuf]) -> Discovered {
    let mut found = Discovered::default();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found);
        } else if path.exists() {
            found.files.push(path.clone());
        } else {
            let message = format!("there is no file or folder {}", path.display());
            found
                .diagnostics
                .push(Diagnostic::error("file-missing", message, &nowhere(path)));
        }
    }
    let mut seen = HashSet::new();
    found
        .files
        .retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    found
}

fn nowhere(path: &Path) -> Place {
    Place::nowhere(&path.display().to_string())
}

fn walk(folder: &Path, found: &mut Discovered) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("can't read the folder {}: {error}", folder.display());
            found
                .diagnostics
                .push(Diagnostic::error("file-unreadable", message, &nowhere(folder)));
            return;
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        // A link to a folder may lead back here.
        if path.is_dir() {
            if !path.is_symlink() {
                walk(&path, found);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
            && fs::read(&path).is_ok_and(|bytes| is_scenario(&String::from_utf8_lossy(&bytes)))
        {
            found.files.push(path);
        }
    }
}

/// Whether a text has `scenario` among the keys at its left edge, or nearly so beside `steps`.
fn is_scenario(text: &str) -> bool {
    let (mut near, mut steps) = (false, false);
    for line in text.lines() {
        let Some((key, _)) = line.split_once(':') else {
            continue;
        };
        match key.trim_matches(['"', '\'']) {
            "scenario" => return true,
            "steps" => steps = true,
            key if key.starts_with(|c: char| c.is_alphabetic()) => {
                near |= suggest::nearest(key, ["scenario"]).is_some();
            }
            _ => {}
        }
    }
    near && steps
}

/// Loads one scenario file: each document is a scenario.
pub fn load_file(path: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    let text = match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            let message = format!("{} is no UTF-8 text", path.display());
            loaded
                .diagnostics
                .push(Diagnostic::error("file-unreadable", message, &nowhere(path)));
            return loaded;
        }
        Err(error) => {
            let code = if error.kind() == std::io::ErrorKind::NotFound {
                "file-missing"
            } else {
                "file-unreadable"
            };
            let message = format!("can't read {}: {error}", path.display());
            loaded
                .diagnostics
                .push(Diagnostic::error(code, message, &nowhere(path)));
            return loaded;
        }
    };
    let file = SourceFile::new(path.display().to_string(), text);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let out = &mut loaded.diagnostics;
    let documents = parse_scenario(&file, out);
    if documents.is_empty() && !out.has_errors() {
        out.push(Diagnostic::error(
            "no-scenario",
            "there is no scenario in this file",
            &Place::new(file, 0..0),
        ));
    }
    for document in &documents {
        if let Some(diagnostic) = no_scenario(document) {
            out.push(diagnostic);
            continue;
        }
        let Some(scenario) = lower::scenario(document, folder, out) else {
            continue;
        };
        lint::lint(&scenario, out);
        loaded.scenarios.push(scenario);
    }
    if out.has_errors() {
        loaded.scenarios.clear();
    }
    loaded.diagnostics.sort();
    loaded
}

/// Finds and loads all scenarios under some paths.
pub fn load_paths(paths: &[PathBuf]) -> Loaded {
    let discovered = discover(paths);
    let mut loaded = Loaded {
        scenarios: Vec::new(),
        diagnostics: discovered.diagnostics,
    };
    for one in load_files(&discovered.files) {
        loaded.scenarios.extend(one.scenarios);
        loaded.diagnostics.extend(one.diagnostics);
    }
    same_titles(&mut loaded);
    loaded
}

/// So many files are worth a thread.
const FILES_OF_A_THREAD: usize = 16;
/// Enough that no expression needs a stack of its own.
const STACK: usize = 64 * 1024 * 1024;

/// Loads files side by side; what comes out is in the order of the files.
fn load_files(files: &[PathBuf]) -> Vec<Loaded> {
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(files.len() / FILES_OF_A_THREAD);
    if workers < 2 {
        return files.iter().map(|file| load_file(file)).collect();
    }
    let load = |part: &[PathBuf]| -> Vec<Loaded> { part.iter().map(|file| load_file(file)).collect() };
    thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(workers));
        let threads: Vec<_> = parts
            .map(|part| {
                (
                    part,
                    thread::Builder::new()
                        .stack_size(STACK)
                        .spawn_scoped(scope, move || load(part)),
                )
            })
            .collect();
        let loaded = threads.into_iter().flat_map(|(part, thread)| match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => load(part),
        });
        loaded.collect()
    })
}

/// Reports tell scenarios apart by their titles.
fn same_titles(loaded: &mut Loaded) {
    let mut first: HashMap<&str, &Place> = HashMap::new();
    for scenario in &loaded.scenarios {
        match first.get(scenario.title.as_str()) {
            Some(place) => loaded.diagnostics.push(
                Diagnostic::warning("same-title", "another scenario has this title", &scenario.place)
                    .related(place, "this one")
                    .help("reports tell scenarios apart by their titles"),
            ),
            None => drop(first.insert(&scenario.title, &scenario.place)),
        }
    }
}

/// A document that is something else altogether: one error, not one for each of its keys.
fn no_scenario(document: &Node) -> Option<Diagnostic> {
    let manifest = document.get("apiVersion").is_some() && document.get("kind").is_some();
    if document.get("scenario").is_some() || (document.entries().is_some() && !manifest) {
        return None;
    }
    let diagnostic = Diagnostic::error("no-scenario", "this document is no scenario", &document.place);
    Some(match manifest {
        true => {
            diagnostic.help("it is a Kubernetes manifest: a step applies it with `apply: {files: [...]}`")
        }
        false => diagnostic.help("a scenario is a map with `scenario: TITLE` and `steps:`"),
    })
}
