//! How to connect to Postgres, in libpq's words.
//!
//! Invariant: `sslmode` is always given: libpq and lib/pq disagree about its default.

use std::time::Duration;

/// libpq's `sslmode` (its documentation, "SSL Mode Descriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Plain text only.
    Disable,
    /// Plain text; if the server does not let that in, TLS.
    Allow,
    /// TLS if the server speaks it; if the handshake fails or the server does not let that in, plain text.
    Prefer,
    /// TLS only. The certificate is not verified, unless there is a root certificate.
    Require,
    /// TLS only, with a certificate of a trusted authority, for whatever host.
    VerifyCa,
    /// TLS only, with a certificate of a trusted authority for this host.
    VerifyFull,
}

/// How to connect.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The server's name as its certificate should hold it, also sent as SNI. The [`Dialer`](crate::Dialer) decides where it is.
    pub host: String,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The password, if the server asks for one.
    pub password: Option<String>,
    /// Whether and how to use TLS.
    pub sslmode: SslMode,
    /// libpq's `sslrootcert`, as PEM: authorities that are trusted.
    pub root_cert: Option<String>,
    /// The longest that connecting may take, all attempts together.
    pub connect_timeout: Duration,
    /// The name in `pg_stat_activity`.
    pub application_name: String,
}

impl PostgresOptions {
    /// Options with the usual rest: no password, no root certificate, 10 s, application name `muster`.
    pub fn new(host: &str, database: &str, user: &str, sslmode: SslMode) -> Self {
        Self {
            host: host.to_owned(),
            database: database.to_owned(),
            user: user.to_owned(),
            password: None,
            sslmode,
            root_cert: None,
            connect_timeout: Duration::from_secs(10),
            application_name: "muster".to_owned(),
        }
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("host", &self.host)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("sslmode", &self.sslmode)
            .finish_non_exhaustive()
    }
}
