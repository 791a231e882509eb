//! `muster.yaml`: clusters, what must be on them, default times.
//!
//! Invariant: it is read by the rules of scenarios: unknown keys are errors, every error has its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_model::{Diagnostic, Diagnostics, Place, SourceFile};

use crate::ast::{Expectation, Subject};
use crate::lower::fields::Fields;
use crate::lower::{expectations, read};
use crate::manifest;
use crate::node::{Entry, Node, parse_scenario};
use crate::schema;
use crate::suggest;

/// The file's name.
pub const FILE_NAME: &str = "muster.yaml";

/// How muster runs in a folder.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// The folder that its paths are relative to.
    pub folder: PathBuf,
    /// `clusters`, in the written order.
    pub clusters: Vec<ClusterConfig>,
    /// `cluster`: the name of one of `clusters`.
    pub cluster: Option<String>,
    /// `prepare`.
    pub prepare: Vec<Prepare>,
    /// `timeouts`.
    pub timeouts: Timeouts,
    /// `parallel`, at least 1.
    pub parallel: Option<usize>,
}

/// A cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Its name in this file.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Where it comes from.
    pub provider: Provider,
}

/// Where a cluster comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// It exists.
    Existing {
        /// `context`; the kubeconfig's current one by default.
        context: Option<String>,
        /// `kubeconfig`, as a path from the current folder; by default as kubectl finds it.
        kubeconfig: Option<PathBuf>,
    },
    /// Kubernetes as processes on this machine.
    Lab,
}

/// Manifests that a cluster must have.
#[derive(Debug, Clone)]
pub struct Prepare {
    /// Where it begins.
    pub place: Place,
    /// `files`: patterns relative to the file's folder, each with its place, for [`manifest::load`].
    pub files: Vec<(String, Place)>,
    /// `await`: `ready` and `object` only; `namespace` is a real name.
    pub awaited: Vec<Expectation>,
}

/// Default times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For an expectation.
    pub within: Option<Duration>,
    /// For a step.
    pub step: Option<Duration>,
    /// For a scenario.
    pub scenario: Option<Duration>,
}

impl Config {
    /// The `muster.yaml` of a folder or of the nearest folder above it.
    pub fn find(folder: &Path) -> Option<PathBuf> {
        let absolute = folder.canonicalize().ok()?;
        let found = absolute
            .ancestors()
            .map(|folder| folder.join(FILE_NAME))
            .find(|path| path.is_file())?;
        // A short path reads better: the file's own name if it lies right here.
        let here = folder.join(FILE_NAME);
        Some(if here.is_file() { here } else { found })
    }

    /// Loads a file.
    ///
    /// # Errors
    /// All that is wrong with it. A missing or unreadable file has no place.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let mut out = Diagnostics::new();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("can't read {}: {error}", path.display());
                let place = Place::nowhere(&path.display().to_string());
                out.push(Diagnostic::error("file-missing", message, &place));
                return Err(out);
            }
        };
        let file = SourceFile::new(path.display().to_string(), text);
        let documents = parse_scenario(&file, &mut out);
        let config = match &documents[..] {
            _ if out.has_errors() => None,
            [] => Some(Self::empty(path)),
            [document] => lower(document, path, &mut out),
            [_, second, ..] => {
                let message = format!("{FILE_NAME} has one document only");
                out.push(Diagnostic::error("wrong-type", message, &second.place));
                None
            }
        };
        match config {
            Some(config) if !out.has_errors() => Ok(config),
            _ => {
                out.sort();
                Err(out)
            }
        }
    }

    /// A file that says nothing.
    fn empty(path: &Path) -> Self {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Self {
            path: path.to_owned(),
            folder,
            clusters: Vec::new(),
            cluster: None,
            prepare: Vec::new(),
            timeouts: Timeouts::default(),
            parallel: None,
        }
    }

    /// A cluster by its name.
    pub fn named(&self, name: &str) -> Option<&ClusterConfig> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The cluster that is used without a flag: `cluster`, or the only one.
    pub fn default_cluster(&self) -> Option<&ClusterConfig> {
        match (&self.cluster, &self.clusters[..]) {
            (Some(name), _) => self.named(name),
            (None, [only]) => Some(only),
            _ => None,
        }
    }
}

fn lower(document: &Node, path: &Path, out: &mut Diagnostics) -> Option<Config> {
    let mut config = Config::empty(path);
    let fields = Fields::open(document, &document.place, &[&schema::CONFIG], out)?;
    let folder = config.folder.clone();
    let clusters = fields.read(
        "clusters",
        out,
        read::map("clusters", |entry, out| cluster(entry, &folder, out)),
    );
    let chosen = fields.read("cluster", out, read::text);
    let prepare = fields.read(
        "prepare",
        out,
        read::list("preparations", |node, out| prepare(node, &folder, out)),
    );
    let timeouts = fields.read("timeouts", out, timeouts);
    let parallel = fields.read("parallel", out, |node, out| {
        let number = read::templated::<i64>(node, out)?;
        let number = number
            .literal()
            .and_then(|number| usize::try_from(*number).ok())
            .filter(|number| *number > 0);
        if number.is_none() {
            out.push(read::wrong_type("a number from 1 up", node));
        }
        number
    });
    if let (Some(name), Some(clusters), Some(entry)) = (&chosen, &clusters, fields.get("cluster"))
        && !clusters.iter().any(|cluster| cluster.name == *name)
    {
        let names = clusters.iter().map(|cluster| cluster.name.as_str());
        let mut diagnostic = Diagnostic::error(
            "unknown-name",
            format!("there is no cluster `{name}`"),
            &entry.value.place,
        );
        if let Some(near) = suggest::nearest(name, names.clone()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        out.push(diagnostic.help(format!("the clusters are {}", suggest::listed(names))));
    }
    config.clusters = clusters.unwrap_or_default();
    config.cluster = chosen;
    config.prepare = prepare.unwrap_or_default();
    config.timeouts = timeouts.unwrap_or_default();
    config.parallel = parallel;
    Some(config)
}

fn cluster(entry: &Entry, folder: &Path, out: &mut Diagnostics) -> Option<ClusterConfig> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::CLUSTER], out)?;
    let lab = fields
        .read("provider", out, read::word(&[("existing", false), ("lab", true)]))
        .unwrap_or(false);
    let context = fields.read("context", out, read::text);
    let kubeconfig = fields
        .read("kubeconfig", out, read::text)
        .map(|path| match path.strip_prefix("~/") {
            Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
            None => folder.join(path),
        });
    if lab {
        for written in fields.among(&["context", "kubeconfig"]) {
            let message = format!("the lab has its own kubeconfig: `{}` can't be given", written.key);
            out.push(
                Diagnostic::error("conflict", message, &written.key_place)
                    .help("take it out, or write `provider: existing`"),
            );
        }
    }
    let provider = if lab {
        Provider::Lab
    } else {
        Provider::Existing { context, kubeconfig }
    };
    Some(ClusterConfig {
        name: entry.key.clone(),
        place: entry.key_place.clone(),
        provider,
    })
}

fn prepare(node: &Node, folder: &Path, out: &mut Diagnostics) -> Option<Prepare> {
    let fields = Fields::open(node, &node.place, &[&schema::PREPARE], out)?;
    let files = fields.require(
        "files",
        out,
        read::list("files", |node, out| {
            Some((read::text(node, out)?, node.place.clone()))
        }),
    );
    for (pattern, place) in files.iter().flatten() {
        manifest::resolve(pattern, place, folder, out);
    }
    let awaited = fields.read("await", out, expectations).unwrap_or_default();
    for expectation in &awaited {
        if !matches!(expectation.subject, Subject::Ready(_) | Subject::Object(_)) {
            let message = "only `ready` and `object` can be awaited before scenarios run";
            out.push(Diagnostic::error("conflict", message, &expectation.place));
        }
        if let Some(save) = expectation.save.first() {
            out.push(Diagnostic::error(
                "conflict",
                "nothing can be saved before scenarios run",
                &save.place,
            ));
        }
        if let Some(never) = &expectation.never {
            out.push(Diagnostic::error(
                "conflict",
                "`never` is nothing to wait for",
                never.place(),
            ));
        }
    }
    Some(Prepare {
        place: node.place.clone(),
        files: files?,
        awaited,
    })
}

fn timeouts(node: &Node, out: &mut Diagnostics) -> Option<Timeouts> {
    let fields = Fields::open(node, &node.place, &[&schema::TIMEOUTS], out)?;
    Some(Timeouts {
        within: fields.read("within", out, read::duration),
        step: fields.read("step", out, read::duration),
        scenario: fields.read("scenario", out, read::duration),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(folder.path().join("operator.yaml"), "apiVersion: v1\n").unwrap();
        fs::write(&path, text).unwrap();
        Config::load(&path).map_err(|out| {
            let told = |d: &Diagnostic| format!("{}:{} {}", d.place.line_column().0, d.code, d.message);
            out.list.iter().map(told).collect()
        })
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = load(
            "clusters:\n  lab: {provider: lab}\n  crc: {context: crc-admin, kubeconfig: kube/config}\ncluster: lab\n\
             prepare:\n  - files: [operator.yaml]\n    await:\n      - ready: deployment/operator\n        namespace: op\n        within: 2m\n\
             timeouts: {within: 45s, scenario: 1h30m}\nparallel: 4\n",
        )
        .unwrap();
        assert_eq!(config.default_cluster().unwrap().provider, Provider::Lab);
        let Provider::Existing { context, kubeconfig } = &config.named("crc").unwrap().provider else {
            panic!("crc exists")
        };
        assert_eq!(context.as_deref(), Some("crc-admin"));
        assert_eq!(kubeconfig.as_deref(), Some(&*config.folder.join("kube/config")));
        assert_eq!(config.prepare[0].files[0].0, "operator.yaml");
        assert_eq!(config.prepare[0].awaited.len(), 1);
        assert_eq!(config.timeouts.scenario, Some(Duration::from_secs(5400)));
        assert_eq!(config.parallel, Some(4));
    }

    #[test]
    fn an_empty_file_says_nothing() {
        let config = load("# nothing yet\n").unwrap();
        assert!(config.default_cluster().is_none());
    }

    #[test]
    fn all_errors_are_reported_with_their_lines() {
        let errors = load(
            "clusters:\n  lab: {provider: lab, context: x}\n  b: {provider: kind}\ncluster: labb\nparalel: 3\nparallel: 0\n\
             prepare:\n  - files: [operatr.yaml]\n",
        )
        .unwrap_err();
        let codes: Vec<_> = errors
            .iter()
            .map(|error| error.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(
            codes,
            [
                "2:conflict",
                "3:wrong-type",
                "4:unknown-name",
                "5:unknown-key",
                "6:wrong-type",
                "8:manifest-missing"
            ]
        );
    }

    #[test]
    fn the_chosen_cluster_must_exist() {
        let errors = load("clusters: {lab: {provider: lab}}\ncluster: labb\n").unwrap_err();
        assert_eq!(errors, ["2:unknown-name there is no cluster `labb`"]);
    }

    #[test]
    fn the_nearest_file_above_is_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(root.path().join(FILE_NAME), "").unwrap();
        assert_eq!(
            Config::find(&deep).unwrap(),
            root.path().canonicalize().unwrap().join(FILE_NAME)
        );
        fs::write(deep.join(FILE_NAME), "").unwrap();
        assert_eq!(Config::find(&deep).unwrap(), deep.join(FILE_NAME));
    }
}
