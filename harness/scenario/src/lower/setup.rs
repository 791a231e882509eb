//! What stands around the steps: namespaces, vars, connections.
//!
//! Invariant: see `lower`.

use muster_model::{Diagnostic, Diagnostics};

use super::fields::Fields;
use super::read;
use super::target::{Use, target};
use crate::ast::{
    Connection, Credential, Namespace, NamespaceSource, PostgresConnection, Target, Var, VarSource,
};
use crate::expr::{Reading, Templated, Tree};
use crate::node::{Entry, Node, NodeKind};
use crate::schema;
use crate::suggest;

/// A namespace by its alias.
pub(super) fn namespace(entry: &Entry, out: &mut Diagnostics) -> Option<Namespace> {
    let alias = read::identifier(&entry.key, &entry.key_place, "a namespace", out);
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::NAMESPACE], out)?;
    let labels = fields.read("labels", out, read::texts);
    let source = fields.exactly_one(&["existing", "create", "lease"], out)?;
    if let Some(labels) = fields.get("labels").filter(|_| source.key != "create") {
        let mut diagnostic = Diagnostic::error(
            "conflict",
            format!("`labels` can't stand beside `{}`", source.key),
            &labels.key_place,
        );
        if source.key == "lease" {
            diagnostic = diagnostic.help("write {lease: {labels: {...}}}");
        }
        out.push(diagnostic);
    }
    let source = match source.key.as_str() {
        "existing" => NamespaceSource::Existing(read::template(&source.value, out)?),
        "create" => NamespaceSource::Create {
            name: read::template(&source.value, out)?,
            labels: labels.unwrap_or_default(),
        },
        _ => {
            let lease = Fields::open(&source.value, &source.key_place, &[&schema::LEASE], out)?;
            NamespaceSource::Lease {
                labels: lease.read("labels", out, read::texts).unwrap_or_default(),
            }
        }
    };
    Some(Namespace {
        alias: alias?,
        place: entry.key_place.clone(),
        source,
    })
}

/// A var by its name.
pub(super) fn var(entry: &Entry, out: &mut Diagnostics) -> Option<Var> {
    let name = read::identifier(&entry.key, &entry.key_place, "a var", out);
    let node = &entry.value;
    let (secret, source) = match &node.kind {
        NodeKind::Mapping(_) => {
            let fields = Fields::open(node, &entry.key_place, &[&schema::VAR], out)?;
            let secret = fields.read("secret", out, read::boolean).unwrap_or(false);
            if fields.among(&["default", "certificate", "ca", "on"]).is_empty() {
                let source = fields.exactly_one(&["value", "random", "env"], out)?;
                (secret, var_source(source, secret, out)?)
            } else {
                return None;
            }
        }
        _ if node.is_null() => {
            out.push(
                read::wrong_type("a value", node)
                    .help("for a null write {value: null}; for an empty text \"\""),
            );
            return None;
        }
        _ => (false, VarSource::Value(Tree::lower(node, Reading::Scenario, out))),
    };
    Some(Var {
        name: name?,
        place: entry.key_place.clone(),
        secret,
        source,
    })
}

/// The least length of a secret: shorter ones would blot out unrelated words of every report.
const LEAST_SECRET: usize = 8;

fn var_source(entry: &Entry, secret: bool, out: &mut Diagnostics) -> Option<VarSource> {
    let node = &entry.value;
    let short = |length: usize, out: &mut Diagnostics| {
        if secret && length < LEAST_SECRET {
            let message = format!("a secret of {length} characters can't be masked");
            out.push(
                Diagnostic::error("short-secret", message, &node.place)
                    .help("a secret needs 8 characters or more: a shorter one would blot out unrelated words of the reports"),
            );
        }
    };
    match entry.key.as_str() {
        "value" => {
            let tree = Tree::lower(node, Reading::Scenario, out);
            if let Some(text) = node.scalar().filter(|text| !text.contains("${{")) {
                short(text.chars().count(), out);
            } else if secret && node.scalar().is_none() {
                out.push(read::wrong_type("a text as a secret", node));
            }
            Some(VarSource::Value(tree))
        }
        "random" => {
            let length = *read::templated::<i64>(node, out)?.literal().or_else(|| {
                out.push(read::wrong_type(
                    "a number of characters that is known before the run",
                    node,
                ));
                None
            })?;
            match usize::try_from(length) {
                Ok(length @ 1..=256) => {
                    short(length, out);
                    Some(VarSource::Random(length))
                }
                _ => {
                    out.push(read::wrong_type("a number of characters from 1 to 256", node));
                    None
                }
            }
        }
        _ => Some(VarSource::Env(read::text(node, out)?)),
    }
}

/// A connection by its name.
pub(super) fn connection(entry: &Entry, out: &mut Diagnostics) -> Option<Connection> {
    let fields = Fields::open(&entry.value, &entry.key_place, &[&schema::CONNECTION], out)?;
    let postgres = fields.get("postgres");
    let place = postgres.map_or(entry.key_place.clone(), |entry| entry.key_place.clone());
    let postgres = fields.require("postgres", out, |node, out| {
        let fields = Fields::open(node, &place, &[&schema::POSTGRES], out)?;
        let through = fields.require("through", out, through);
        let port = fields.read("port", out, read::templated);
        let namespace = fields.read("namespace", out, read::template);
        let database = fields.require("database", out, credential);
        let user = fields.require("user", out, credential);
        let password = fields.read("password", out, credential);
        let sslmode = fields.require("sslmode", out, sslmode);
        let sslrootcert = fields.read("sslrootcert", out, credential);
        Some(PostgresConnection {
            through: through?,
            port,
            namespace,
            database: database?,
            user: user?,
            password,
            sslmode: sslmode?,
            sslrootcert,
        })
    });
    Some(Connection {
        name: entry.key.clone(),
        place: entry.key_place.clone(),
        postgres: postgres?,
    })
}

fn through(node: &Node, out: &mut Diagnostics) -> Option<Target> {
    let target = target(Use::Act)(node, out)?;
    let service = matches!(
        target.kind.to_lowercase().as_str(),
        "service" | "services" | "svc"
    );
    if !service || matches!(target.select, crate::ast::Select::Labels(_)) {
        out.push(
            Diagnostic::error("bad-target", "a connection goes through a Service", &node.place)
                .help("write service/name; a ready pod behind it is taken"),
        );
        return None;
    }
    Some(target)
}

fn credential(node: &Node, out: &mut Diagnostics) -> Option<Credential> {
    if node.entries().is_none() {
        return read::template(node, out).map(Credential::Value);
    }
    let fields = Fields::open(node, &node.place, &[&schema::SECRET_KEY], out)?;
    let name = fields.require("secret", out, read::template);
    let key = fields.require("key", out, read::template);
    Some(Credential::Secret {
        name: name?,
        key: key?,
        place: node.place.clone(),
    })
}

fn sslmode(node: &Node, out: &mut Diagnostics) -> Option<Templated<String>> {
    let mode = read::template(node, out)?;
    if let Some(word) = mode.literal()
        && !schema::SSLMODES.contains(&word.as_str())
    {
        let modes = schema::SSLMODES.iter().copied();
        let mut diagnostic = read::wrong_type(
            &format!("one of libpq's {}", suggest::listed(modes.clone())),
            node,
        );
        if let Some(near) = suggest::nearest(word, modes) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        out.push(diagnostic);
        return None;
    }
    Some(mode)
}
