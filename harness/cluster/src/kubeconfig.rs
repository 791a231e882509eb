//! Finding and reading kubeconfigs, by the rules of kubectl: an explicit file, else `KUBECONFIG` (a list, the first
//! file to set a value wins, missing files of a longer list are passed over), else `~/.kube/config`, else the service
//! account of the pod that muster runs in.
//!
//! Invariant: paths inside what was read are absolute, so that it can be written elsewhere and means the same.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use crate::connect::ConnectError;

/// A kubeconfig with its context chosen.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) config: Kubeconfig,
    /// The files that it was read from; empty in a pod.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) context: String,
}

impl Source {
    /// Reads the files and chooses the context. `env` is the value of `KUBECONFIG`, `home` the home folder.
    pub(crate) fn load(
        explicit: Option<&Path>,
        context: Option<&str>,
        env: Option<&std::ffi::OsStr>,
        home: Option<&Path>,
    ) -> Result<Self, ConnectError> {
        let (config, paths) = match explicit {
            Some(path) => (read(path, "as given")?, vec![path.to_owned()]),
            None => match env.filter(|value| !value.is_empty()) {
                Some(list) => read_list(list)?,
                None => {
                    let path = home
                        .map(|home| home.join(".kube/config"))
                        .filter(|path| path.exists())
                        .ok_or(ConnectError::NoConfig)?;
                    (read(&path, "the default")?, vec![path])
                }
            },
        };
        Self::choose(config, paths, context)
    }

    fn choose(config: Kubeconfig, paths: Vec<PathBuf>, context: Option<&str>) -> Result<Self, ConnectError> {
        let contexts: Vec<String> = config.contexts.iter().map(|c| c.name.clone()).collect();
        let place = show(&paths);
        let name = match context.or(config.current_context.as_deref()) {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => {
                return Err(ConnectError::NoContext {
                    kubeconfig: place,
                    contexts,
                });
            }
        };
        let Some(chosen) = config
            .contexts
            .iter()
            .find(|c| c.name == name)
            .and_then(|c| c.context.clone())
        else {
            return Err(ConnectError::UnknownContext {
                context: name,
                kubeconfig: place,
                contexts,
            });
        };
        if !config.clusters.iter().any(|c| c.name == chosen.cluster) {
            return Err(ConnectError::Invalid {
                kubeconfig: place,
                message: format!(
                    "context {name} names cluster {}, which is not in it",
                    chosen.cluster
                ),
            });
        }
        if let Some(user) = chosen.user.as_deref().filter(|user| !user.is_empty())
            && !config.auth_infos.iter().any(|u| u.name == user)
        {
            return Err(ConnectError::Invalid {
                kubeconfig: place,
                message: format!("context {name} names user {user}, which is not in it"),
            });
        }
        Ok(Self {
            config,
            paths,
            context: name,
        })
    }

    /// The command of the credential plugin, if the context's user has one.
    pub(crate) fn plugin(&self) -> Option<String> {
        let context = self
            .config
            .contexts
            .iter()
            .find(|c| c.name == self.context)?
            .context
            .as_ref()?;
        let user = context.user.as_ref()?;
        let info = self
            .config
            .auth_infos
            .iter()
            .find(|u| u.name == *user)?
            .auth_info
            .as_ref()?;
        info.exec.as_ref()?.command.clone()
    }

    /// Whether the chosen cluster names a proxy of its own.
    pub(crate) fn has_proxy(&self) -> bool {
        let cluster = self
            .config
            .contexts
            .iter()
            .find(|c| c.name == self.context)
            .and_then(|c| c.context.as_ref())
            .map(|c| c.cluster.as_str());
        self.config
            .clusters
            .iter()
            .filter(|c| Some(c.name.as_str()) == cluster)
            .filter_map(|c| c.cluster.as_ref())
            .any(|c| c.proxy_url.as_deref().is_some_and(|proxy| !proxy.is_empty()))
    }

    /// What `kubectl config view --minify` shows, with the credentials: the chosen context and what it names.
    pub(crate) fn minified(&self) -> Kubeconfig {
        let mut config = self.config.clone();
        config.contexts.retain(|c| c.name == self.context);
        let (cluster, user) = match config.contexts.first().and_then(|c| c.context.as_ref()) {
            Some(context) => (context.cluster.clone(), context.user.clone().unwrap_or_default()),
            None => Default::default(),
        };
        config.clusters.retain(|c| c.name == cluster);
        config.auth_infos.retain(|u| u.name == user);
        config.current_context = Some(self.context.clone());
        config.api_version = Some("v1".to_owned());
        config.kind = Some("Config".to_owned());
        config
    }

    /// Where it came from, for messages.
    pub(crate) fn place(&self) -> String {
        show(&self.paths)
    }
}

/// Writes a kubeconfig that only its owner can read. JSON, which is YAML too. An old file is replaced as a whole.
pub(crate) fn write(config: &Kubeconfig, path: &Path) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(config)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    std::fs::rename(&temporary, path)
}

/// The kubeconfig of the pod that muster runs in: it names the files of the service account.
pub(crate) fn of_pod(server: &str, namespace: &str) -> std::io::Result<Kubeconfig> {
    const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    for name in ["token", "ca.crt"] {
        std::fs::metadata(Path::new(FOLDER).join(name))?;
    }
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "in-cluster",
        "clusters": [{"name": "in-cluster", "cluster": {
            "server": server, "certificate-authority": format!("{FOLDER}/ca.crt")}}],
        "users": [{"name": "in-cluster", "user": {"tokenFile": format!("{FOLDER}/token")}}],
        "contexts": [{"name": "in-cluster", "context": {
            "cluster": "in-cluster", "user": "in-cluster", "namespace": namespace}}],
    });
    Ok(serde_json::from_value(config)?)
}

fn read_list(list: &std::ffi::OsStr) -> Result<(Kubeconfig, Vec<PathBuf>), ConnectError> {
    let all: Vec<PathBuf> = std::env::split_paths(list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    let there: Vec<PathBuf> = all.iter().filter(|path| path.exists()).cloned().collect();
    if there.is_empty() {
        return Err(ConnectError::Missing {
            path: show(&all),
            origin: "from KUBECONFIG",
        });
    }
    let mut merged = Kubeconfig::default();
    for path in &there {
        let next = read(path, "from KUBECONFIG")?;
        merged = merged.merge(next).map_err(|error| ConnectError::Invalid {
            kubeconfig: show(&there),
            message: error.to_string(),
        })?;
    }
    Ok((merged, there))
}

fn read(path: &Path, origin: &'static str) -> Result<Kubeconfig, ConnectError> {
    // kube resolves the paths in the file against its folder as it was given: absolute only if that is absolute.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Kubeconfig::read_from(&absolute).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, _) if source.kind() == std::io::ErrorKind::NotFound => {
            ConnectError::Missing {
                path: path.display().to_string(),
                origin,
            }
        }
        KubeconfigError::ReadConfig(source, _) => ConnectError::Invalid {
            kubeconfig: path.display().to_string(),
            message: source.to_string(),
        },
        KubeconfigError::Parse(source) => ConnectError::Invalid {
            kubeconfig: path.display().to_string(),
            message: format!("it is no kubeconfig: {source}"),
        },
        other => ConnectError::Invalid {
            kubeconfig: path.display().to_string(),
            message: other.to_string(),
        },
    })
}

fn show(paths: &[PathBuf]) -> String {
    match paths {
        [] => "the pod's service account".to_owned(),
        paths => paths
            .iter()
            .map(|p| p.display().to_string())
            .collect::<Vec<_>>()
            .join(":"),
    }
}

/// Whether a host is reached without a proxy: loopback always (as Go's net/http, so as kubectl), else by the entries
/// of `NO_PROXY`: `*`, `host`, `.suffix`, an address, or an IPv4 or IPv6 range. kube asks this of the proxy's own
/// host instead of the server's.
pub(crate) fn bypasses_proxy(no_proxy: &str, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    let address: Option<std::net::IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
        return true;
    }
    no_proxy
        .split([',', ' '])
        .map(|entry| entry.trim().to_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" || entry == host {
                return true;
            }
            match (address, entry.split_once('/')) {
                (Some(address), Some((base, bits))) => match (base.parse(), bits.parse()) {
                    (Ok(base), Ok(bits)) => in_range(address, base, bits),
                    _ => false,
                },
                (Some(_), None) => false,
                (None, _) => {
                    let suffix = entry.trim_start_matches('*').trim_start_matches('.');
                    host == suffix || host.ends_with(&format!(".{suffix}"))
                }
            }
        })
}

fn in_range(address: std::net::IpAddr, base: std::net::IpAddr, bits: u32) -> bool {
    use std::net::IpAddr::{V4, V6};
    match (address, base) {
        (V4(a), V4(b)) if bits <= 32 => {
            let shift = 32 - bits;
            u64::from(a.to_bits()) >> shift == u64::from(b.to_bits()) >> shift
        }
        (V6(a), V6(b)) if (1..=128).contains(&bits) => {
            a.to_bits() >> (128 - bits) == b.to_bits() >> (128 - bits)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt as _;

    const TWO: &str = "
apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: 'https://a.example:6443', certificate-authority: ca.crt}}
- {name: b, cluster: {server: 'https://b.example:6443'}}
users:
- {name: ua, user: {token: token-of-a}}
- {name: ub, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: get-token}}}
contexts:
- {name: ca, context: {cluster: a, user: ua, namespace: db}}
- {name: cb, context: {cluster: b, user: ub}}
- {name: lost, context: {cluster: nowhere, user: ua}}
- {name: nobody, context: {cluster: a, user: ghost}}
current-context: ca
";

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(path: &Path, context: Option<&str>) -> Result<Source, ConnectError> {
        Source::load(Some(path), context, None, None)
    }

    #[test]
    fn the_current_context_is_chosen_and_paths_become_absolute() {
        let folder = tempfile::tempdir().unwrap();
        let source = load(&file(&folder, "config", TWO), None).unwrap();
        assert_eq!(source.context, "ca");
        let cluster = source.config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(
            cluster.certificate_authority.as_deref(),
            folder.path().join("ca.crt").to_str()
        );
        assert_eq!(source.plugin(), None);
    }

    #[test]
    fn a_missing_file_is_named_with_its_origin() {
        let error = load(Path::new("/nonexistent/config"), None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "kubeconfig /nonexistent/config (as given) does not exist: check --kubeconfig and KUBECONFIG"
        );
        let env = Source::load(
            None,
            None,
            Some(OsStr::new("/nonexistent/a:/nonexistent/b")),
            None,
        );
        assert_eq!(
            env.unwrap_err().to_string(),
            "kubeconfig /nonexistent/a:/nonexistent/b (from KUBECONFIG) does not exist: check --kubeconfig and KUBECONFIG"
        );
    }

    #[test]
    fn no_kubeconfig_at_all_says_where_one_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::load(None, None, None, Some(folder.path())).unwrap_err();
        assert!(matches!(error, ConnectError::NoConfig));
        assert!(error.to_string().contains("~/.kube/config"), "{error}");
    }

    #[test]
    fn an_unknown_context_lists_the_contexts() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "config", TWO);
        let error = load(&path, Some("staging")).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "kubeconfig {} has no context staging: it has ca, cb, lost, nobody",
                path.display()
            )
        );
    }

    #[test]
    fn dangling_names_in_a_context_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "config", TWO);
        let lost = load(&path, Some("lost")).unwrap_err().to_string();
        assert!(
            lost.contains("context lost names cluster nowhere, which is not in it"),
            "{lost}"
        );
        let nobody = load(&path, Some("nobody")).unwrap_err().to_string();
        assert!(
            nobody.contains("context nobody names user ghost, which is not in it"),
            "{nobody}"
        );
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&file(&folder, "config", "- just\n- a list\n"), None).unwrap_err();
        assert!(error.to_string().contains("it is no kubeconfig"), "{error}");
        let empty = load(&file(&folder, "empty", ""), None).unwrap_err();
        assert!(matches!(empty, ConnectError::NoContext { .. }), "{empty}");
        let denied = load(folder.path(), None).unwrap_err();
        assert!(matches!(denied, ConnectError::Invalid { .. }), "{denied}");
    }

    #[test]
    fn a_list_of_files_is_merged_and_missing_ones_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let first = file(
            &folder,
            "first",
            "{apiVersion: v1, kind: Config, current-context: cb}",
        );
        let second = file(&folder, "second", TWO);
        let list = std::env::join_paths([first, folder.path().join("missing"), second]).unwrap();
        let source = Source::load(None, None, Some(&list), None).unwrap();
        assert_eq!(source.context, "cb");
        assert_eq!(source.paths.len(), 2);
        assert_eq!(source.plugin().as_deref(), Some("get-token"));
    }

    #[test]
    fn the_minified_file_has_one_context_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let source = load(&file(&folder, "config", TWO), Some("ca")).unwrap();
        let path = folder.path().join("child.kubeconfig");
        std::fs::write(&path, "old and readable by all").unwrap();
        write(&source.minified(), &path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let again = load(&path, None).unwrap();
        assert_eq!(again.context, "ca");
        assert_eq!(
            (
                again.config.contexts.len(),
                again.config.clusters.len(),
                again.config.auth_infos.len()
            ),
            (1, 1, 1)
        );
        assert!(std::fs::read_to_string(&path).unwrap().contains("token-of-a"));
    }

    #[test]
    fn the_proxy_is_passed_by_for_loopback_and_what_no_proxy_names() {
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            assert!(bypasses_proxy("", host), "{host}");
        }
        let list = "10.0.0.0/8, .corp.example,api.other.example, fd00::/8";
        for host in [
            "10.1.2.3",
            "a.corp.example",
            "corp.example",
            "api.other.example",
            "[fd00::1]",
        ] {
            assert!(bypasses_proxy(list, host), "{host}");
        }
        for host in ["11.1.2.3", "other.example", "notcorp.example", "[fe80::1]"] {
            assert!(!bypasses_proxy(list, host), "{host}");
        }
        assert!(bypasses_proxy("*", "anything.example"));
    }
}
