//! Manifests: Kubernetes YAML and JSON in files, by path, glob or folder.
//!
//! Invariant: a pattern that yields no object is an error; each manifest has apiVersion, kind and metadata.name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_model::{Diagnostic, Diagnostics, Place, SourceFile};

use crate::expr::{Reading, Tree, describe};
use crate::node::{Node, parse_manifest};
use crate::suggest;

/// One object of a manifest file.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The object: `apiVersion`, `kind`, `metadata.name` and the rest.
    pub tree: Tree,
    /// Where it begins in its file.
    pub place: Place,
    /// The file.
    pub path: PathBuf,
}

/// Loads the manifests of some patterns (each with where it is written), in the written order, the files of a glob or
/// folder by name. A folder is not walked: its own files only, as with `kubectl apply -f`.
///
/// With `expand` (an `apply` that has `with`) their `${{ }}` are expressions; without, they are plain text. `List`
/// kinds are taken apart. Scalars are read as kubectl reads them (YAML 1.1: `yes` is true, `0644` is 420).
///
/// # Errors
/// All that is wrong: a pattern without files (at its place), a file that can't be read or parsed, a document that is
/// no object (at its place in the manifest).
pub fn load(patterns: &[(String, Place)], folder: &Path, expand: bool) -> Result<Vec<Manifest>, Diagnostics> {
    let mut out = Diagnostics::new();
    let mut manifests = Vec::new();
    for (pattern, place) in patterns {
        match resolve(pattern, place, folder) {
            Ok(files) => {
                let before = manifests.len();
                let errors = out.errors();
                files
                    .iter()
                    .for_each(|path| load_file(path, place, expand, &mut manifests, &mut out));
                if manifests.len() == before && out.errors() == errors {
                    out.push(Diagnostic::error(
                        "manifest-empty",
                        "there is no object in it",
                        place,
                    ));
                }
            }
            Err(diagnostic) => out.push(diagnostic),
        }
    }
    if out.has_errors() { Err(out) } else { Ok(manifests) }
}

/// The files of a pattern, at least one.
///
/// # Errors
/// No file, at the pattern's place, with the nearest name if one is near.
pub fn resolve(pattern: &str, place: &Place, folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let path = folder.join(pattern);
    let is_glob = pattern.contains(['*', '?', '[']);
    if path.is_file() {
        return Ok(vec![path]);
    }
    if path.is_dir() {
        let files = manifests_of(&path).map_err(|error| {
            missing(
                place,
                format!("can't read the folder {}: {error}", path.display()),
            )
        })?;
        return match files.is_empty() {
            true => Err(missing(
                place,
                format!("no .yaml, .yml or .json file in the folder {}", path.display()),
            )),
            false => Ok(files),
        };
    }
    if !is_glob {
        let mut diagnostic = missing(place, format!("there is no file {}", path.display()));
        if let Some(near) = sibling(&path) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        return Err(diagnostic.help("paths are relative to the scenario's file"));
    }
    let paths = glob::glob(&path.to_string_lossy())
        .map_err(|error| missing(place, format!("`{}` is no glob: {}", pattern, error.msg)))?;
    let mut files: Vec<PathBuf> = paths
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(missing(place, format!("no file matches {}", path.display()))
            .help("paths are relative to the scenario's file"));
    }
    Ok(files)
}

fn missing(place: &Place, message: String) -> Diagnostic {
    Diagnostic::error("manifest-missing", message, place)
}

/// The manifest files of a folder itself, by name, as `kubectl apply -f folder` takes them.
fn manifests_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let known = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn sibling(path: &Path) -> Option<String> {
    let wrong = path.file_name()?.to_str()?.to_owned();
    let names: Vec<String> = fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    suggest::nearest(&wrong, names.iter().map(String::as_str)).map(str::to_owned)
}

fn load_file(path: &Path, named: &Place, expand: bool, manifests: &mut Vec<Manifest>, out: &mut Diagnostics) {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("can't read {}: {error}", path.display());
            out.push(Diagnostic::error("manifest-missing", message, named));
            return;
        }
    };
    let file = SourceFile::new(path.display().to_string(), text);
    read_documents(&file, path, expand, manifests, out);
}

fn read_documents(
    file: &Arc<SourceFile>,
    path: &Path,
    expand: bool,
    manifests: &mut Vec<Manifest>,
    out: &mut Diagnostics,
) {
    for document in parse_manifest(file, out) {
        for object in objects(&document) {
            if let Some(diagnostic) = no_object(object) {
                out.push(diagnostic);
                continue;
            }
            let tree = match expand {
                true => Tree::lower(object, Reading::Manifest, out),
                false => Tree::literal_manifest(object, out),
            };
            manifests.push(Manifest {
                tree,
                place: object.place.clone(),
                path: path.to_owned(),
            });
        }
    }
}

/// The objects of a document: those of a `List` kind, else the document.
fn objects(document: &Node) -> Vec<&Node> {
    let is_list = document
        .get("kind")
        .and_then(Node::scalar)
        .is_some_and(|kind| kind.ends_with("List"));
    match document.get("items").and_then(Node::items) {
        Some(items) if is_list => items.iter().collect(),
        _ => vec![document],
    }
}

fn no_object(node: &Node) -> Option<Diagnostic> {
    if node.entries().is_none() {
        let message = format!("expected a Kubernetes object, found {}", describe(node));
        return Some(Diagnostic::error("bad-manifest", message, &node.place));
    }
    let missing = missing_key(node)?;
    let mut diagnostic = Diagnostic::error(
        "bad-manifest",
        format!("this object has no `{missing}`"),
        &node.place,
    )
    .help("a manifest has apiVersion, kind and metadata.name");
    if node.get("scenario").is_some() {
        diagnostic = diagnostic.help("this is a scenario, not a manifest");
    }
    Some(diagnostic)
}

/// Which of `apiVersion`, `kind` and `metadata.name` an object lacks.
pub(crate) fn missing_key(object: &Node) -> Option<&'static str> {
    let given = |node: Option<&Node>| node.is_some_and(|node| node.scalar().is_some() && !node.is_null());
    if !given(object.get("apiVersion")) {
        Some("apiVersion")
    } else if !given(object.get("kind")) {
        Some("kind")
    } else if !given(object.get("metadata").and_then(|metadata| metadata.get("name"))) {
        Some("metadata.name")
    } else {
        None
    }
}
