//! Which cluster a run is for: flags, environment, `muster.yaml`, kubectl's rules, in this order.
//!
//! Invariant: a cluster that is not there is an error that says how to get one; none is brought up unasked.

use muster_cluster::{Cluster, ConnectError, ConnectOptions};
use muster_provision::{Lab, LabPhase};
use muster_scenario::Config;
use muster_scenario::config::Provider;

use crate::args::ClusterArgs;
use crate::exit::ExitCode;

/// The embedded cluster's name where nothing else is said.
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

/// Connects.
///
/// # Errors
/// [`NotConnected`] with the message for the user.
pub async fn connect(args: &ClusterArgs, config: Option<&Config>) -> Result<Connected, NotConnected> {
    let (name, options) = choose(args, config).await?;
    match Cluster::connect(&options).await {
        Ok(cluster) => {
            let name = name
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

async fn choose(
    args: &ClusterArgs,
    config: Option<&Config>,
) -> Result<(Option<String>, ConnectOptions), NotConnected> {
    let direct = ConnectOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        ..ConnectOptions::default()
    };
    if args.kubeconfig.is_some() || args.context.is_some() {
        return Ok((args.context.clone(), direct));
    }
    let known = match (&args.cluster, config) {
        (Some(name), Some(config)) => config.named(name),
        (Some(_), None) => None,
        (None, Some(config)) => config.default_cluster(),
        (None, None) => return Ok((None, direct)),
    };
    match (known, &args.cluster) {
        (Some(known), _) => match &known.provider {
            Provider::Existing { context, kubeconfig } => {
                let options = ConnectOptions {
                    kubeconfig: kubeconfig.clone(),
                    context: context.clone(),
                    ..ConnectOptions::default()
                };
                Ok((Some(known.name.clone()), options))
            }
            Provider::Lab => Ok((Some(known.name.clone()), lab().await?)),
        },
        (None, Some(name)) if name == "lab" => Ok((Some(name.clone()), lab().await?)),
        (None, Some(name)) => {
            let mut names: Vec<_> = config
                .map(|c| c.clusters.iter().map(|c| c.name.clone()).collect())
                .unwrap_or_default();
            if !names.iter().any(|name| name == "lab") {
                names.push("lab".to_owned());
            }
            Err(NotConnected {
                message: format!("no cluster {name}: there are {}", names.join(", ")),
                code: ExitCode::Usage,
            })
        }
        (None, None) => Ok((None, direct)),
    }
}

async fn lab() -> Result<ConnectOptions, NotConnected> {
    let status = Lab::status(LAB)
        .await
        .map_err(|error| NotConnected::environment(error.to_string()))?;
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
