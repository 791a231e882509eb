//! Connections of a scenario: Postgres through a port-forward to a ready pod behind a Service.
//!
//! Invariant: credentials are read at each connect and never kept; no answer comes over a connection that broke, that an
//! earlier action may have outdated, or that leads to a pod which the step's action removed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use muster_cluster::{Cluster, Selector};
use muster_model::{Object, Place};
use muster_probe::{BoxIo, Dialer, Postgres, PostgresOptions, ProbeError, Rows, SslMode};
use muster_scenario::ast::{Connection, Credential, Select};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::context::StepContext;
use crate::failure::{self, Trouble};
use crate::pods;
use crate::target::unserved;

/// How long a connect may take, the port-forward included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The open connections.
pub(crate) struct Connections {
    cluster: Cluster,
    open: Mutex<BTreeMap<String, Open>>,
}

/// A connection, and the pod at its other end.
struct Open {
    postgres: Arc<Postgres>,
    pod: String,
}

/// One question's place in the scenario.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// The step.
    pub(crate) step: &'a StepContext,
    /// Where it is written.
    pub(crate) place: &'a Place,
    /// Uids of pods that the step's action removed: none of them is asked.
    pub(crate) removed: &'a HashSet<String>,
}

/// The port of a Service.
struct Through<'a> {
    namespace: &'a str,
    service: &'a str,
    port: i64,
    place: &'a Place,
}

/// Why a question to a database was not answered.
pub(crate) enum AskError {
    /// The database said so.
    Probe(ProbeError),
    /// There is nothing to connect to (yet): no Service, no ready pod, no Secret.
    NotYet(String),
    /// It can't be asked at all.
    Trouble(Trouble),
}

impl Connections {
    /// None open.
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            open: Mutex::default(),
        }
    }

    /// The next question connects anew: after an action another pod may stand behind the Service.
    pub(crate) async fn forget_all(&self) {
        self.open.lock().await.clear();
    }

    /// Runs a query on a connection.
    pub(crate) async fn query(
        &self,
        asker: Asker<'_>,
        name: &str,
        sql: &str,
        params: &[Value],
    ) -> Result<Rows, AskError> {
        let postgres = self.get(asker, name).await?;
        let answer = postgres.query(sql, params).await;
        self.settle(name, &postgres, answer).await
    }

    /// The tables of a schema.
    pub(crate) async fn tables(
        &self,
        asker: Asker<'_>,
        name: &str,
        schema: &str,
    ) -> Result<Vec<String>, AskError> {
        let postgres = self.get(asker, name).await?;
        let answer = postgres.tables(schema).await;
        self.settle(name, &postgres, answer).await
    }

    async fn settle<T>(
        &self,
        name: &str,
        postgres: &Arc<Postgres>,
        answer: Result<T, ProbeError>,
    ) -> Result<T, AskError> {
        if answer.is_err() && postgres.is_closed() {
            self.open.lock().await.remove(name);
        }
        answer.map_err(AskError::Probe)
    }

    async fn get(&self, asker: Asker<'_>, name: &str) -> Result<Arc<Postgres>, AskError> {
        let mut open = self.open.lock().await;
        if let Some(known) = open.get(name)
            && !known.postgres.is_closed()
            && !asker.removed.contains(&known.pod)
        {
            return Ok(Arc::clone(&known.postgres));
        }
        open.remove(name);
        let connections = &asker.step.ctx.scenario.connections;
        let Some(connection) = connections.iter().find(|c| c.name == name) else {
            return Err(AskError::Trouble(Trouble::failed(
                format!("no connection {name}"),
                asker.place,
            )));
        };
        let new = self.connect(asker, connection).await?;
        let postgres = Arc::clone(&new.postgres);
        open.insert(name.to_owned(), new);
        Ok(postgres)
    }

    async fn connect(&self, asker: Asker<'_>, connection: &Connection) -> Result<Open, AskError> {
        let step = asker.step;
        let pg = &connection.postgres;
        // A connection is the scenario's: it means the same in every step.
        let namespace = match &pg.namespace {
            Some(_) => step
                .namespace_of(pg.namespace.as_ref())
                .map_err(AskError::Trouble)?,
            None => step.ctx.default_namespace(),
        };
        let Select::Name(service) = &pg.through.select else {
            return Err(AskError::Trouble(Trouble::failed(
                "`through` names one service, such as service/postgresql",
                &pg.through.place,
            )));
        };
        let service = step.value(service).map_err(AskError::Trouble)?;
        let port = step
            .optional(pg.port.as_ref())
            .map_err(AskError::Trouble)?
            .unwrap_or(5432);
        let through = Through {
            namespace: &namespace,
            service: &service,
            port,
            place: &pg.through.place,
        };
        let (pod, target_port) = self.endpoint(&through, asker.removed).await?;
        let database = self.credential(step, &pg.database, &namespace).await?;
        let user = self.credential(step, &pg.user, &namespace).await?;
        let password = match &pg.password {
            Some(field) => {
                let password = self.credential(step, field, &namespace).await?;
                // A short value can't be masked by its text; it is not shown anywhere either.
                let name = format!("connections.{}.password", connection.name);
                let _ = step.ctx.secrets.register(&name, &password);
                Some(password)
            }
            None => None,
        };
        let root_cert = match &pg.sslrootcert {
            Some(field) => Some(self.credential(step, field, &namespace).await?),
            None => None,
        };
        let word = step.value(&pg.sslmode).map_err(AskError::Trouble)?;
        let sslmode = sslmode(&word).ok_or_else(|| {
            AskError::Trouble(Trouble::failed(
                format!("sslmode {word} is none of libpq's: disable, allow, prefer, require, verify-ca, verify-full"),
                pg.sslmode.place(),
            ))
        })?;
        let options = PostgresOptions {
            host: format!("{service}.{namespace}.svc"),
            database,
            user,
            password,
            sslmode,
            root_cert,
            connect_timeout: CONNECT_TIMEOUT,
            application_name: "muster".to_owned(),
        };
        let uid = pod.uid().to_owned();
        let (cluster, pod) = (self.cluster.clone(), pod.name().to_owned());
        let dialer: Dialer = Arc::new(move || {
            let (cluster, namespace, pod) = (cluster.clone(), namespace.clone(), pod.clone());
            Box::pin(async move {
                let stream = cluster
                    .forward(&namespace, &pod, target_port)
                    .await
                    .map_err(std::io::Error::other)?;
                Ok(Box::new(stream) as BoxIo)
            })
        });
        let postgres = Postgres::connect(&options, dialer)
            .await
            .map_err(AskError::Probe)?;
        Ok(Open {
            postgres: Arc::new(postgres),
            pod: uid,
        })
    }

    /// A ready pod behind a Service, and its port.
    async fn endpoint(
        &self,
        through: &Through<'_>,
        removed: &HashSet<String>,
    ) -> Result<(Arc<Object>, u16), AskError> {
        let &Through {
            namespace,
            service,
            port,
            place,
        } = through;
        let api = |error| AskError::Trouble(Trouble::from_api(&error, place));
        let kind = |name: &'static str| async move {
            self.cluster
                .resolve(name, Some("v1"))
                .await
                .map_err(|error| AskError::Trouble(unserved(&error, place)))
        };
        let Some(found) = self
            .cluster
            .get(&kind("services").await?, Some(namespace), service)
            .await
            .map_err(api)?
        else {
            return Err(AskError::NotYet(format!(
                "service/{service} does not exist in namespace {namespace}"
            )));
        };
        let Some(entry) = found
            .list(&["spec", "ports"])
            .iter()
            .find(|entry| entry.get("port").and_then(Value::as_i64) == Some(port))
        else {
            return Err(AskError::Trouble(
                Trouble::failed(
                    format!("service/{service} in namespace {namespace} has no port {port}"),
                    place,
                )
                .help("give the connection's `port`"),
            ));
        };
        let Some(selector) = found.at(&["spec", "selector"]).and_then(Value::as_object) else {
            return Err(AskError::Trouble(Trouble::failed(
                format!("service/{service} in namespace {namespace} selects no pods"),
                place,
            )));
        };
        let labels: Selector = selector
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        let pods = self
            .cluster
            .list(&kind("pods").await?, Some(namespace), &labels)
            .await
            .map_err(api)?;
        let serves = |pod: &&Arc<Object>| pods::is_ready(pod) && !removed.contains(pod.uid());
        let Some(pod) = pods.objects.iter().find(serves) else {
            return Err(AskError::NotYet(format!(
                "no ready pod behind service/{service} in namespace {namespace} ({} not ready, or removed by this step)",
                pods.objects.len()
            )));
        };
        match target_port(pod, entry, port) {
            Some(target) => Ok((Arc::clone(pod), target)),
            None => Err(AskError::Trouble(Trouble::failed(
                format!(
                    "{} has no port named {}",
                    pod.reference(),
                    pods::text(entry, &["targetPort"])
                ),
                place,
            ))),
        }
    }

    async fn credential(
        &self,
        step: &StepContext,
        credential: &Credential,
        namespace: &str,
    ) -> Result<String, AskError> {
        let (name, key, place) = match credential {
            Credential::Value(field) => return step.value(field).map_err(AskError::Trouble),
            Credential::Secret { name, key, place } => (
                step.value(name).map_err(AskError::Trouble)?,
                step.value(key).map_err(AskError::Trouble)?,
                place,
            ),
        };
        let kind = self
            .cluster
            .resolve("secrets", Some("v1"))
            .await
            .map_err(|error| AskError::Trouble(unserved(&error, place)))?;
        let secret = self
            .cluster
            .get(&kind, Some(namespace), &name)
            .await
            .map_err(|error| AskError::Trouble(Trouble::from_api(&error, place)))?;
        let Some(secret) = secret else {
            return Err(AskError::NotYet(format!(
                "secret/{name} does not exist in namespace {namespace}"
            )));
        };
        let Some(encoded) = secret.at(&["data", &key]).and_then(Value::as_str) else {
            let keys: Vec<_> = secret
                .at(&["data"])
                .and_then(Value::as_object)
                .map(|data| data.keys().cloned().collect())
                .unwrap_or_default();
            return Err(AskError::Trouble(
                Trouble::failed(
                    format!("secret/{name} in namespace {namespace} has no key {key}"),
                    place,
                )
                .help(format!("its keys are {}", keys.join(", "))),
            ));
        };
        let value = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| {
                AskError::Trouble(Trouble::Failed(failure::at(
                    format!("key {key} of secret/{name} is not text"),
                    place,
                )))
            })?;
        let sensitive = ["password", "token", "key", "dsn"]
            .iter()
            .any(|word| key.to_lowercase().contains(word));
        if sensitive {
            let _ = step.ctx.secrets.register(&format!("secret/{name}.{key}"), &value);
        }
        Ok(value)
    }
}

/// libpq's words.
fn sslmode(word: &str) -> Option<SslMode> {
    Some(match word {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return None,
    })
}

/// The container port that a Service's port leads to.
fn target_port(pod: &Object, entry: &Value, port: i64) -> Option<u16> {
    let number = match entry.get("targetPort") {
        None | Some(Value::Null) => port,
        Some(Value::Number(number)) => number.as_i64()?,
        Some(name) => {
            let name = name.as_str()?;
            let found = pod
                .list(&["spec", "containers"])
                .iter()
                .flat_map(|container| {
                    container
                        .get("ports")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                })
                .find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
            found?.get("containerPort")?.as_i64()?
        }
    };
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_port_is_a_number_a_name_or_the_port_itself() {
        let pod =
            Object(json!({"spec": {"containers": [{"ports": [{"name": "pg", "containerPort": 5433}]}]}}));
        assert_eq!(target_port(&pod, &json!({"port": 5432}), 5432), Some(5432));
        assert_eq!(
            target_port(&pod, &json!({"targetPort": 15432}), 5432),
            Some(15432)
        );
        assert_eq!(target_port(&pod, &json!({"targetPort": "pg"}), 5432), Some(5433));
        assert_eq!(target_port(&pod, &json!({"targetPort": "other"}), 5432), None);
    }
}
