//! Why a probe could not observe: one closed list of kinds, from any layer's own errors.
//!
//! Invariant: each error says what was tried, what happened, and what to do next; its kind decides whether trying
//! again makes sense.

use std::error::Error as StdError;
use std::io;

use rustls::{CertificateError, Error as TlsError};
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

/// What went wrong. Its names are those of `connects: {fails: {kind}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The name has no address.
    Dns,
    /// No answer in time.
    Timeout,
    /// Nothing listens there.
    Refused,
    /// The stream ended before the server was ready.
    Reset,
    /// The server does not speak TLS.
    TlsRefused,
    /// The server's certificate was issued by an authority that is not trusted.
    TlsUnknownAuthority,
    /// The server's certificate is for another name.
    TlsHostname,
    /// The server's certificate is expired or not valid yet.
    TlsExpired,
    /// The server's certificate names no host at all.
    TlsNoSan,
    /// Any other failure of the TLS handshake.
    Tls,
    /// The server wants a client certificate.
    ClientCertRequired,
    /// Wrong user or password.
    Auth,
    /// pg_hba.conf lets this user, database, address and encryption not in.
    Hba,
    /// No such database.
    NoDatabase,
    /// Too many connections.
    TooMany,
    /// The server or the transaction is read-only.
    ReadOnly,
    /// The server is starting up or shutting down.
    StartingUp,
    /// No such table or schema.
    UndefinedTable,
    /// Any other error of a statement; see [`ProbeError::sqlstate`].
    Sql,
    /// The connection was lost after it had been made.
    Lost,
    /// The request makes no sense: options, parameters or result can't be dealt with.
    Usage,
}

impl Kind {
    /// The name in scenarios and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TlsRefused => "tls-refused",
            Self::TlsUnknownAuthority => "tls-unknown-authority",
            Self::TlsHostname => "tls-hostname",
            Self::TlsExpired => "tls-expired",
            Self::TlsNoSan => "tls-no-san",
            Self::Tls => "tls",
            Self::ClientCertRequired => "client-cert-required",
            Self::Auth => "auth",
            Self::Hba => "hba",
            Self::NoDatabase => "no-database",
            Self::TooMany => "too-many",
            Self::ReadOnly => "read-only",
            Self::StartingUp => "starting-up",
            Self::UndefinedTable => "undefined-table",
            Self::Sql => "sql",
            Self::Lost => "lost",
            Self::Usage => "usage",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Dns => "check the host name, and that it is looked up from where it exists",
            Self::Timeout => {
                "check that the server runs and that no firewall or NetworkPolicy drops the packets"
            }
            Self::Refused => "check the port, and that the server's container is running",
            Self::Reset => "look at the server's log, and check that it is a Postgres that listens there",
            Self::TlsRefused => "turn `ssl` on in the server, or use sslmode disable",
            Self::TlsUnknownAuthority => "give the authority that issued the certificate as root certificate",
            Self::TlsHostname | Self::TlsNoSan => {
                "issue a certificate with that name as subjectAltName, connect by a name that it holds, or use sslmode verify-ca"
            }
            Self::TlsExpired => "renew the certificate, and check the clocks of both sides",
            Self::Tls => "compare the TLS versions and certificates of both sides in the server's log",
            Self::ClientCertRequired => "change the pg_hba.conf line: muster presents no client certificate",
            Self::Auth => "check user and password, such as in the Secret that they come from",
            Self::Hba => "add a pg_hba.conf line for this user, database and address, or change sslmode",
            Self::NoDatabase => "create the database, or correct its name",
            Self::TooMany => "raise max_connections, or look for a client that leaks connections",
            Self::ReadOnly => "connect to the primary",
            Self::StartingUp => "wait until the server accepts connections",
            Self::UndefinedTable => "check the name and its schema, and that the migration has run",
            Self::Sql | Self::Usage => "",
            Self::Lost => "look for a restart of the server, or of the pod behind the connection",
        }
    }
}

/// Whether trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What is asked for may still come to be: a table that a migration makes.
    NotYet,
    /// It will fail in the same way until someone changes something.
    Permanent,
    /// It may pass by itself.
    Transient,
}

/// A place in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The text of that line.
    pub text: String,
}

/// Why a probe could not observe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ProbeError {
    /// What went wrong.
    pub kind: Kind,
    /// What was tried, such as `connect to database sampledb as admin`.
    pub doing: String,
    /// What happened. For an error of the server: its own words.
    pub message: String,
    /// The server's error code, five characters.
    pub sqlstate: Option<String>,
    /// Where in the statement.
    pub position: Option<Box<Position>>,
    /// The server's detail and hint.
    pub hints: Vec<String>,
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to {}: {}", self.doing, self.message)?;
        if let Some(code) = &self.sqlstate {
            write!(f, " (SQLSTATE {code})")?;
        }
        if let Some(Position { line, column, text }) = self.position.as_deref() {
            write!(
                f,
                " at line {line}, column {column} of the statement: {}",
                text.trim()
            )?;
        }
        for hint in &self.hints {
            write!(f, "; {hint}")?;
        }
        match self.kind.help() {
            "" => Ok(()),
            help => write!(f, "; {help}"),
        }
    }
}

impl ProbeError {
    pub(crate) fn new(kind: Kind, doing: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            doing: doing.to_owned(),
            message: message.into(),
            sqlstate: None,
            position: None,
            hints: Vec::new(),
        }
    }

    /// What to do next; empty if the message says it all.
    pub fn help(&self) -> &'static str {
        self.kind.help()
    }

    /// Whether trying again makes sense.
    pub fn class(&self) -> Class {
        match self.kind {
            Kind::UndefinedTable => Class::NotYet,
            Kind::Dns
            | Kind::Timeout
            | Kind::Refused
            | Kind::Reset
            | Kind::TooMany
            | Kind::StartingUp
            | Kind::Lost => Class::Transient,
            // serialization_failure, deadlock_detected, lock_not_available: "try again" is their meaning.
            Kind::Sql if matches!(self.sqlstate.as_deref(), Some("40001" | "40P01" | "55P03")) => {
                Class::Transient
            }
            _ => Class::Permanent,
        }
    }

    /// Whether it may pass by itself.
    pub fn is_transient(&self) -> bool {
        self.class() == Class::Transient
    }

    /// Whether the server refused to let this connection in (and another encryption may be let in).
    pub(crate) fn is_rejection(&self) -> bool {
        self.sqlstate
            .as_deref()
            .is_some_and(|code| code.starts_with("28"))
    }

    /// Whether the TLS handshake failed.
    pub(crate) fn is_handshake(&self) -> bool {
        matches!(
            self.kind,
            Kind::TlsUnknownAuthority | Kind::TlsHostname | Kind::TlsExpired | Kind::TlsNoSan | Kind::Tls
        )
    }

    /// An error while opening the stream.
    pub(crate) fn dialing(doing: &str, error: &io::Error) -> Self {
        let text = error.to_string();
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => Kind::Refused,
            io::ErrorKind::TimedOut => Kind::Timeout,
            // Rust has no kind for getaddrinfo's errors; a port-forward brings the kubelet's words.
            _ if text.contains("lookup address") || text.contains("no such host") => Kind::Dns,
            _ if text.to_lowercase().contains("connection refused") => Kind::Refused,
            _ => Kind::Reset,
        };
        Self::new(kind, doing, text)
    }

    /// An error of the driver. `made`: whether the connection had been made before.
    pub(crate) fn driver(doing: &str, sql: Option<&str>, error: &tokio_postgres::Error, made: bool) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(link) = cause {
            if let Some(db) = link.downcast_ref::<DbError>() {
                return Self::server(doing, sql, db);
            }
            if let Some(io) = link.downcast_ref::<io::Error>() {
                if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
                    return Self::tls(doing, tls);
                }
                if made {
                    return Self::new(Kind::Lost, doing, format!("the connection was lost: {io}"));
                }
                return match io.kind() {
                    io::ErrorKind::UnexpectedEof => Self::closed(doing),
                    _ => Self::dialing(doing, io),
                };
            }
            cause = link.source();
        }
        if error.is_closed() {
            return if made {
                Self::new(Kind::Lost, doing, "the server closed the connection")
            } else {
                Self::closed(doing)
            };
        }
        let text = chain(error);
        let kind = if text.contains("password missing") {
            return Self::new(
                Kind::Auth,
                doing,
                "the server asks for a password, and none is given",
            );
        } else if text.starts_with("authentication error") {
            Kind::Auth
        } else if text.starts_with("unexpected message") {
            return Self::new(
                Kind::Usage,
                doing,
                "the server answered with a message that muster does not speak; COPY is one of these: use INSERT or SELECT, or psql in a script",
            );
        } else if made {
            Kind::Lost
        } else {
            Kind::Reset
        };
        Self::new(kind, doing, text)
    }

    pub(crate) fn closed(doing: &str) -> Self {
        Self::new(
            Kind::Reset,
            doing,
            "the other side closed the stream before the server was ready",
        )
    }

    /// An error that the server reports.
    fn server(doing: &str, sql: Option<&str>, db: &DbError) -> Self {
        let code = db.code();
        let kind = if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME {
            Kind::UndefinedTable
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            Kind::NoDatabase
        } else if *code == SqlState::TOO_MANY_CONNECTIONS {
            Kind::TooMany
        } else if *code == SqlState::CANNOT_CONNECT_NOW {
            Kind::StartingUp
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            Kind::ReadOnly
        } else if *code == SqlState::ADMIN_SHUTDOWN
            || *code == SqlState::CRASH_SHUTDOWN
            || code.code().starts_with("08")
        {
            Kind::Lost
        } else if code.code().starts_with("28") {
            if db.message().contains("pg_hba.conf") {
                Kind::Hba
            } else if db.message().contains("client certificate") {
                Kind::ClientCertRequired
            } else {
                Kind::Auth
            }
        } else if db
            .message()
            .contains("multiple commands into a prepared statement")
        {
            return Self::new(
                Kind::Usage,
                doing,
                "the text holds several statements; one query is one statement: split it",
            );
        } else {
            Kind::Sql
        };
        let position = match (db.position(), sql) {
            (Some(ErrorPosition::Original(at)), Some(sql)) => place(sql, *at).map(Box::new),
            _ => None,
        };
        let mut hints: Vec<String> = [db.detail(), db.hint()]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        if *code == SqlState::INDETERMINATE_DATATYPE {
            hints.push("give the parameter a type, such as $1::text".to_owned());
        }
        Self {
            kind,
            doing: doing.to_owned(),
            message: db.message().to_owned(),
            sqlstate: Some(code.code().to_owned()),
            position,
            hints,
        }
    }

    fn tls(doing: &str, error: &TlsError) -> Self {
        let kind = match error {
            TlsError::InvalidCertificate(certificate) => match certificate {
                // A bad signature is what an authority of the same name with another key looks like.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Kind::TlsUnknownAuthority,
                CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                    Kind::TlsNoSan
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Kind::TlsHostname
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Kind::TlsExpired,
                _ => Kind::Tls,
            },
            TlsError::AlertReceived(rustls::AlertDescription::CertificateRequired) => {
                Kind::ClientCertRequired
            }
            _ => Kind::Tls,
        };
        Self::new(kind, doing, format!("TLS handshake failed: {error}"))
    }
}

/// An error and its causes, each once.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        let words = link.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = link.source();
    }
    text
}

/// Postgres counts characters from 1.
fn place(sql: &str, at: u32) -> Option<Position> {
    let at = usize::try_from(at).ok()?.checked_sub(1)?;
    let offset = sql.char_indices().nth(at).map_or(sql.len(), |(offset, _)| offset);
    let before = &sql[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some(Position {
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
        text: sql[start..].lines().next().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_and_lines() {
        let place = place("select 'ä',\n  nope\nfrom t", 15).unwrap();
        assert_eq!((place.line, place.column, place.text.as_str()), (2, 3, "  nope"));
    }

    #[test]
    fn what_a_port_forward_says_of_a_closed_port_is_refused() {
        let error = io::Error::other("failed to connect to localhost:5432: connection refused");
        assert_eq!(ProbeError::dialing("connect", &error).kind, Kind::Refused);
    }

    #[test]
    fn a_missing_table_may_come_and_a_wrong_password_stays_wrong() {
        let class = |kind| ProbeError::new(kind, "query", "").class();
        assert_eq!(class(Kind::UndefinedTable), Class::NotYet);
        assert_eq!(class(Kind::Auth), Class::Permanent);
        assert_eq!(class(Kind::NoDatabase), Class::Permanent);
        assert_eq!(class(Kind::StartingUp), Class::Transient);
    }
}
