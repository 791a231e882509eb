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
        let Some(files) = resolve(pattern, place, folder, &mut out) else {
            continue;
        };
        let before = manifests.len();
        let errors = out.errors();
        for path in &files {
            load_file(path, place, expand, &mut manifests, &mut out);
        }
        if manifests.len() == before && out.errors() == errors {
            out.push(Diagnostic::error(
                "manifest-empty",
                "there is no object in it",
                place,
            ));
        }
    }
    if out.has_errors() { Err(out) } else { Ok(manifests) }
}

/// The files of a pattern, at least one; `None` if there is none, which is reported at the pattern's place, with the
/// nearest name if one is near.
pub fn resolve(pattern: &str, place: &Place, folder: &Path, out: &mut Diagnostics) -> Option<Vec<PathBuf>> {
    let missing = |message: String| Diagnostic::error("manifest-missing", message, place);
    let path = folder.join(pattern);
    if path.is_file() {
        return Some(vec![path]);
    }
    if path.is_dir() {
        let message = match manifests_of(&path) {
            Ok(files) if !files.is_empty() => return Some(files),
            Ok(_) => format!("no .yaml, .yml or .json file in the folder {}", path.display()),
            Err(error) => format!("can't read the folder {}: {error}", path.display()),
        };
        out.push(missing(message));
        return None;
    }
    let diagnostic = if pattern.contains(['*', '?', '[']) {
        match glob::glob(&path.to_string_lossy()) {
            Ok(paths) => {
                let mut files: Vec<PathBuf> = paths
                    .filter_map(Result::ok)
                    .filter(|path| path.is_file())
                    .collect();
                files.sort();
                if !files.is_empty() {
                    return Some(files);
                }
                missing(format!("no file matches {}", path.display()))
            }
            Err(error) => missing(format!("`{pattern}` is no glob: {}", error.msg)),
        }
    } else {
        let diagnostic = missing(format!("there is no file {}", path.display()));
        match sibling(&path) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        }
    };
    out.push(diagnostic.help("paths are relative to the file that names them"));
    None
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::expr::Scope;

    fn load_all(files: &[(&str, &str)], patterns: &[&str], expand: bool) -> Result<Vec<Value>, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let patterns: Vec<_> = patterns
            .iter()
            .map(|pattern| ((*pattern).to_owned(), Place::nowhere("test")))
            .collect();
        let mut scope = Scope::default();
        scope.set("inputs", json!({"name": "given", "port": 80}));
        load(&patterns, folder.path(), expand)
            .map(|manifests| {
                manifests
                    .iter()
                    .map(|manifest| manifest.tree.eval(&scope).unwrap())
                    .collect()
            })
            .map_err(|out| {
                out.list
                    .iter()
                    .map(|diagnostic| diagnostic.code.to_owned())
                    .collect()
            })
    }

    fn config_map(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
    }

    fn names(values: &[Value]) -> Vec<&str> {
        values
            .iter()
            .filter_map(|value| value["metadata"]["name"].as_str())
            .collect()
    }

    #[test]
    fn paths_globs_and_folders_give_their_files_by_name() {
        let (a, b, c) = (config_map("a"), config_map("b"), config_map("c"));
        let files = [
            ("x/b.yaml", b.as_str()),
            ("x/a.yml", &a),
            ("x/deep/c.yaml", &c),
            ("x/note.txt", "no"),
        ];
        assert_eq!(names(&load_all(&files, &["x"], false).unwrap()), ["a", "b"]);
        assert_eq!(
            names(&load_all(&files, &["x/**/*.yaml"], false).unwrap()),
            ["b", "c"]
        );
        assert_eq!(
            names(&load_all(&files, &["x/deep/c.yaml", "x/b.yaml"], false).unwrap()),
            ["c", "b"]
        );
    }

    #[test]
    fn documents_and_lists_are_taken_apart_and_json_is_read() {
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Pod, metadata: {{name: p}}}}\n---\n{}---\n",
            config_map("c")
        );
        let json = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "j"}}"#;
        let values = load_all(
            &[("list.yaml", &list), ("j.json", json)],
            &["list.yaml", "j.json"],
            false,
        )
        .unwrap();
        assert_eq!(names(&values), ["p", "c", "j"]);
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let text = "apiVersion: v1\nkind: X\nmetadata: {name: x}\nmode: 0644\non: yes\nzip: \"0644\"\n";
        let values = load_all(&[("x.yaml", text)], &["x.yaml"], false).unwrap();
        assert_eq!(values[0]["mode"], json!(420));
        assert_eq!(values[0]["zip"], json!("0644"));
    }

    #[test]
    fn templates_are_filled_in_only_with_inputs() {
        let text =
            "apiVersion: v1\nkind: X\nmetadata: {name: \"${{ inputs.name }}\"}\nport: ${{ inputs.port }}\n";
        let sent = load_all(&[("x.yaml", text)], &["x.yaml"], false).unwrap();
        assert_eq!(sent[0]["metadata"]["name"], json!("${{ inputs.name }}"));
        let filled = load_all(&[("x.yaml", text)], &["x.yaml"], true).unwrap();
        assert_eq!(filled[0]["metadata"]["name"], json!("given"));
        assert_eq!(filled[0]["port"], json!(80));
    }

    #[test]
    fn each_pattern_must_give_an_object_and_all_errors_are_told() {
        let files = [
            ("empty.yaml", "# nothing\n"),
            ("text.yaml", "just text\n"),
            ("list.yaml", "kind: List\nitems: []\n"),
        ];
        let patterns = [
            "nowhere.yaml",
            "*.none",
            "empty.yaml",
            "text.yaml",
            "list.yaml",
            "[",
        ];
        let errors = load_all(&files, &patterns, false).unwrap_err();
        assert_eq!(
            errors,
            [
                "manifest-missing",
                "manifest-missing",
                "manifest-empty",
                "bad-manifest",
                "manifest-empty",
                "manifest-missing"
            ]
        );
    }
}
