//! Connecting: from a kubeconfig to a server that answers.
//!
//! Invariant: connecting ends within its timeout, also if a credential plugin hangs, and each way to fail has a message
//! of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tokio::time::Instant;

use crate::cluster::{Cluster, Shared};
use crate::error::{ApiError, ErrorClass};
use crate::kubeconfig::{Source, bypasses_proxy};
use crate::repeat::{Repeat, auth_text};
use crate::request::Call;
use crate::transport::text_of;

/// How to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The kubeconfig. `None`: kubectl's rules, `KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context. `None`: the current one.
    pub context: Option<String>,
    /// How long connecting may take, a credential plugin included. 10 s by default.
    pub timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The kubeconfig does not exist.
    #[error("kubeconfig {path} ({origin}) does not exist: check --kubeconfig and KUBECONFIG")]
    Missing {
        /// Its path, or the list of paths.
        path: String,
        /// Where the path came from.
        origin: &'static str,
    },
    /// No kubeconfig is named and none is in the usual places.
    #[error(
        "no kubeconfig: KUBECONFIG is not set, ~/.kube/config does not exist, and this is no pod: give --kubeconfig"
    )]
    NoConfig,
    /// The kubeconfig can't be read, or contradicts itself.
    #[error("kubeconfig {kubeconfig}: {message}")]
    Invalid {
        /// Its path.
        kubeconfig: String,
        /// What is wrong.
        message: String,
    },
    /// No context is named, and the kubeconfig has no current one.
    #[error("kubeconfig {kubeconfig} has no current context: {}", give_one(.contexts))]
    NoContext {
        /// Its path.
        kubeconfig: String,
        /// The contexts it has.
        contexts: Vec<String>,
    },
    /// The named context is not in the kubeconfig.
    #[error("kubeconfig {kubeconfig} has no context {context}: {}", it_has(.contexts))]
    UnknownContext {
        /// As it was asked for.
        context: String,
        /// Its path.
        kubeconfig: String,
        /// The contexts it has.
        contexts: Vec<String>,
    },
    /// The client can't be built: certificates, keys, a credential plugin that fails.
    #[error("context {context} of kubeconfig {kubeconfig}: {message}")]
    Client {
        /// The context.
        context: String,
        /// Its path.
        kubeconfig: String,
        /// What is wrong.
        message: String,
    },
    /// The credential plugin did not answer in time.
    #[error(
        "the credential plugin {command} of context {context} did not answer within {seconds} s: run it by hand, it may wait for a login"
    )]
    Plugin {
        /// Its command.
        command: String,
        /// The context.
        context: String,
        /// The timeout.
        seconds: u64,
    },
    /// The server can't be reached.
    #[error(
        "the API server {server} can't be reached: {message}: is the cluster up, and is context {context} the right one?"
    )]
    Unreachable {
        /// Its address.
        server: String,
        /// The context.
        context: String,
        /// What happened.
        message: String,
    },
    /// The server's certificate is not accepted.
    #[error(
        "the API server {server} shows a certificate that is not accepted: {message}: check certificate-authority and server in context {context}"
    )]
    Tls {
        /// Its address.
        server: String,
        /// The context.
        context: String,
        /// What is wrong.
        message: String,
    },
    /// The credentials are not accepted.
    #[error(
        "the API server {server} does not accept the credentials of context {context}: log in again, or check whether they expired"
    )]
    Unauthorized {
        /// Its address.
        server: String,
        /// The context.
        context: String,
    },
    /// The server accepts connections but does not answer in time.
    #[error(
        "the API server {server} did not answer within {seconds} s: is it overloaded, or still starting?"
    )]
    Timeout {
        /// Its address.
        server: String,
        /// The timeout.
        seconds: u64,
    },
    /// The server answered something unexpected.
    #[error("the API server {server}: {error}")]
    Api {
        /// Its address.
        server: String,
        /// What it answered.
        error: ApiError,
    },
}

fn it_has(contexts: &[String]) -> String {
    match contexts {
        [] => "it has none".to_owned(),
        some => format!("it has {}", some.join(", ")),
    }
}

fn give_one(contexts: &[String]) -> String {
    match contexts {
        [] => "it has no contexts at all".to_owned(),
        some => format!("give --context, one of {}", some.join(", ")),
    }
}

impl Cluster {
    /// Connects: reads the kubeconfig, builds the client and asks the server for its version.
    ///
    /// # Errors
    /// [`ConnectError`], one variant for each thing that the user would have to do.
    pub async fn connect(options: &ConnectOptions) -> Result<Cluster, ConnectError> {
        // Two providers in one process make rustls panic on first use; the first to install wins, so an error means
        // that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let deadline = Instant::now() + options.timeout;
        let seconds = options.timeout.as_secs();
        let (source, config) = configure(options).await?;
        let (context, kubeconfig, plugin) = match &source {
            Some(source) => (source.context.clone(), source.place(), source.plugin()),
            None => (
                "in-cluster".to_owned(),
                "of the pod's service account".to_owned(),
                None,
            ),
        };
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let default_namespace = config.default_namespace.clone();
        // A credential plugin runs, and blocks, while the client is built.
        let build = tokio::task::spawn_blocking(move || Client::try_from(config));
        let client = match tokio::time::timeout_at(deadline, build).await {
            Ok(Ok(Ok(client))) => client,
            Ok(Ok(Err(error))) => {
                let message = match &error {
                    kube::Error::Auth(auth) => auth_text(auth, plugin.as_deref()),
                    _ => text_of(&error),
                };
                return Err(ConnectError::Client {
                    context,
                    kubeconfig,
                    message,
                });
            }
            Ok(Err(error)) => {
                return Err(ConnectError::Client {
                    context,
                    kubeconfig,
                    message: error.to_string(),
                });
            }
            Err(_) => {
                return Err(match plugin {
                    Some(command) => ConnectError::Plugin {
                        command,
                        context,
                        seconds,
                    },
                    None => ConnectError::Client {
                        context,
                        kubeconfig,
                        message: format!("the client was not built within {seconds} s"),
                    },
                });
            }
        };
        let mut shared = Shared::new(client, source, server.clone(), default_namespace);
        let probe = Cluster::new(Arc::new(shared.clone())).with_deadline(deadline);
        let version = Call::read("get", "/version", "/version".to_owned(), Repeat::Never);
        let answer = match probe.send(&version).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(match error.class {
                    ErrorClass::Connection => ConnectError::Unreachable {
                        server,
                        context,
                        message: error.message.clone(),
                    },
                    ErrorClass::Tls => ConnectError::Tls {
                        server,
                        context,
                        message: error.message.clone(),
                    },
                    ErrorClass::Unauthorized => ConnectError::Unauthorized { server, context },
                    ErrorClass::Timeout if error.status.is_none() => {
                        ConnectError::Timeout { server, seconds }
                    }
                    _ => ConnectError::Api { server, error },
                });
            }
        };
        let info: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match info.get("gitVersion").and_then(serde_json::Value::as_str) {
            Some(version) => shared.version = version.to_owned(),
            None => {
                return Err(ConnectError::Api {
                    error: ApiError::new(
                        "get",
                        "/version",
                        ErrorClass::Decode,
                        "the answer names no gitVersion, so this is no Kubernetes API server",
                    ),
                    server,
                });
            }
        }
        Ok(Cluster::new(Arc::new(shared)))
    }
}

async fn configure(options: &ConnectOptions) -> Result<(Option<Source>, Config), ConnectError> {
    let env = std::env::var_os("KUBECONFIG");
    let loaded = Source::load(
        options.kubeconfig.as_deref(),
        options.context.as_deref(),
        env.as_deref(),
        std::env::home_dir().as_deref(),
    );
    let (source, mut config) = match loaded {
        Ok(source) => {
            let chosen = KubeConfigOptions {
                context: Some(source.context.clone()),
                ..Default::default()
            };
            let config = Config::from_custom_kubeconfig(source.config.clone(), &chosen)
                .await
                .map_err(|error| ConnectError::Client {
                    context: source.context.clone(),
                    kubeconfig: source.place(),
                    message: error.to_string(),
                })?;
            (Some(source), config)
        }
        Err(ConnectError::NoConfig) => match Config::incluster() {
            Ok(config) => (None, config),
            Err(_) => return Err(ConnectError::NoConfig),
        },
        Err(error) => return Err(error),
    };
    // Requests are sent again by muster alone, where it can be seen.
    config.default_retry = false;
    config.connect_timeout = Some(options.timeout);
    config.headers.push((
        USER_AGENT,
        HeaderValue::from_static(concat!("muster/", env!("CARGO_PKG_VERSION"))),
    ));
    if config.proxy_url.is_some() && !source.as_ref().is_some_and(Source::has_proxy) {
        let no_proxy = std::env::var("NO_PROXY")
            .or_else(|_| std::env::var("no_proxy"))
            .unwrap_or_default();
        if bypasses_proxy(&no_proxy, config.cluster_url.host().unwrap_or_default()) {
            config.proxy_url = None;
        }
    }
    Ok((source, config))
}
