//! Which cluster a run is for: flags, environment, `muster.yaml`, kubectl's rules, in this order.
//!
//! Invariant: choosing asks no cluster, so that wrong use is told before anything is made; a cluster that is not there is
//! an error that says how to get one; none is brought up unasked.

use muster_cluster::{Cluster, ConnectError, ConnectOptions};
use muster_provision::{Lab, LabPhase, ProvisionError};
use muster_scenario::Config;
use muster_scenario::config::Provider;

use crate::args::ClusterArgs;
use crate::exit::ExitCode;

/// The lab's name where nothing else is said.
pub const LAB: &str = "muster";

/// A cluster and what the user calls it.
pub struct Connected {
    /// The connection.
    pub cluster: Cluster,
    /// The name for reports.
    pub name: String,
    /// How to connect again.
    pub options: ConnectOptions,
}

/// Why there is no connection.
pub struct NotConnected {
    /// What the user reads.
    pub message: String,
    /// Wrong use, or the environment.
    pub code: ExitCode,
}

impl NotConnected {
    fn environment(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: ExitCode::Environment,
        }
    }
}

/// A cluster that was chosen, and not asked yet.
pub(crate) struct Choice {
    /// What the user calls it; none: by its context.
    name: Option<String>,
    way: Way,
}

enum Way {
    /// The lab of this machine.
    Lab,
    Kubeconfig(ConnectOptions),
}

/// Chooses and connects.
///
/// # Errors
/// [`NotConnected`] with the message for the user.
pub async fn connect(args: &ClusterArgs, config: Option<&Config>) -> Result<Connected, NotConnected> {
    choose(args, config)?.connect().await
}

/// Chooses.
///
/// # Errors
/// [`NotConnected`] for a name that no cluster has.
pub(crate) fn choose(args: &ClusterArgs, config: Option<&Config>) -> Result<Choice, NotConnected> {
    let direct = ConnectOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        ..ConnectOptions::default()
    };
    if args.kubeconfig.is_some() || args.context.is_some() {
        return Ok(Choice {
            name: args.context.clone(),
            way: Way::Kubeconfig(direct),
        });
    }
    let known = match (&args.cluster, config) {
        (Some(name), Some(config)) => config.named(name),
        (Some(_), None) => None,
        (None, Some(config)) => config.default_cluster(),
        (None, None) => None,
    };
    match (known, &args.cluster) {
        (Some(known), _) => {
            let way = match &known.provider {
                Provider::Existing { context, kubeconfig } => Way::Kubeconfig(ConnectOptions {
                    kubeconfig: kubeconfig.clone(),
                    context: context.clone(),
                    ..ConnectOptions::default()
                }),
                Provider::Lab => Way::Lab,
            };
            Ok(Choice {
                name: Some(known.name.clone()),
                way,
            })
        }
        (None, Some(name)) if name == "lab" => Ok(Choice {
            name: Some(name.clone()),
            way: Way::Lab,
        }),
        (None, Some(name)) => Err(unknown(name, config)),
        (None, None) => Ok(Choice {
            name: None,
            way: Way::Kubeconfig(direct),
        }),
    }
}

fn unknown(name: &str, config: Option<&Config>) -> NotConnected {
    let clusters = config
        .map(|config| config.clusters.as_slice())
        .unwrap_or_default();
    let names: Vec<_> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let there = match (config, names.as_slice()) {
        (None, _) => "no muster.yaml was found".to_owned(),
        (Some(config), []) => format!("{} names none", config.path.display()),
        (Some(config), names) => format!("{} has {}", config.path.display(), names.join(", ")),
    };
    NotConnected {
        message: format!(
            "no cluster {name}: {there}; `lab` is the embedded one, and `--context` takes a context of the kubeconfig"
        ),
        code: ExitCode::Usage,
    }
}

impl Choice {
    /// Connects.
    ///
    /// # Errors
    /// [`NotConnected`] with the message for the user.
    pub(crate) async fn connect(self) -> Result<Connected, NotConnected> {
        let options = match self.way {
            Way::Lab => lab().await?,
            Way::Kubeconfig(options) => options,
        };
        match Cluster::connect(&options).await {
            Ok(cluster) => {
                let name = self
                    .name
                    .or_else(|| cluster.context().map(str::to_owned))
                    .unwrap_or_else(|| cluster.server().to_owned());
                Ok(Connected {
                    cluster,
                    name,
                    options,
                })
            }
            Err(error @ ConnectError::NoConfig) => Err(NotConnected::environment(format!(
                "{error}; without a cluster, `muster cluster up --provider lab` brings one up for `--cluster lab`"
            ))),
            Err(error) => Err(NotConnected::environment(error.to_string())),
        }
    }
}

/// The lab of this machine, whatever its name.
async fn lab() -> Result<ConnectOptions, NotConnected> {
    let failed = |error: ProvisionError| NotConnected::environment(error.to_string());
    let name = Lab::current().map_err(failed)?.unwrap_or_else(|| LAB.to_owned());
    let status = Lab::status(&name).await.map_err(failed)?;
    let why = match &status.phase {
        LabPhase::Ready | LabPhase::NotReady(_) => None,
        LabPhase::Absent => Some("the lab is not up".to_owned()),
        LabPhase::Starting => Some("the lab is coming up".to_owned()),
        LabPhase::Interrupted => Some("the lab's last `up` was interrupted".to_owned()),
        LabPhase::Failed => Some("the lab's last `up` failed".to_owned()),
        LabPhase::HalfDead(gone) => Some(format!("the lab is half dead: {} ended", gone.join(", "))),
    };
    match (why, status.kubeconfig) {
        (None, Some(kubeconfig)) => Ok(ConnectOptions {
            kubeconfig: Some(kubeconfig),
            ..ConnectOptions::default()
        }),
        (why, _) => Err(NotConnected::environment(format!(
            "{}: `muster cluster up --provider lab` brings it up",
            why.unwrap_or_else(|| "the lab has no kubeconfig".to_owned())
        ))),
    }
}
