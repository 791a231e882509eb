//! Connecting: which attempts an `sslmode` makes, and what each failure is called.
//!
//! Invariant: the bytes of one attempt are either all encrypted after the request for TLS, or none is.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_postgres::config::{SslMode as DriverSslMode, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::client::Postgres;
use super::options::{PostgresOptions, SslMode};
use crate::dial::{Dialer, Wire};
use crate::error::{Kind, ProbeError};
use crate::tls::{Verify, client_config};

impl Postgres {
    /// Connects. All of `options.sslmode`'s attempts share one `connect_timeout`.
    ///
    /// As in libpq, a root certificate makes `require` behave as `verify-ca`; unlike libpq, `verify-*` without one is
    /// an error at once, there is no default file, and only a refusal (SQLSTATE class 28) makes `allow` and `prefer`
    /// try the other way.
    ///
    /// # Errors
    /// [`ProbeError`] of any kind but [`Kind::Lost`] and those of statements.
    pub async fn connect(options: &PostgresOptions, dialer: Dialer) -> Result<Self, ProbeError> {
        let attempt = Attempt::new(options, dialer)?;
        match tokio::time::timeout(options.connect_timeout, attempt.connect(options.sslmode)).await {
            Ok(result) => result,
            Err(_) => Err(ProbeError::new(
                Kind::Timeout,
                &attempt.doing,
                format!(
                    "no answer within {:?} {}",
                    options.connect_timeout,
                    attempt.phase()
                ),
            )),
        }
    }
}

/// What to ask the server for at one attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Plain,
    IfOffered,
    Required,
}

/// One way to connect, with its options checked.
struct Attempt {
    doing: String,
    config: Config,
    dialer: Dialer,
    tls: Option<MakeRustlsConnect>,
    /// The name for the TLS handshake.
    host: String,
    phase: Mutex<&'static str>,
}

impl Attempt {
    fn new(options: &PostgresOptions, dialer: Dialer) -> Result<Self, ProbeError> {
        let doing = format!(
            "connect to Postgres database {} as {}",
            options.database, options.user
        );
        let usage = |message: String| ProbeError::new(Kind::Usage, &doing, message);
        let verify = match (options.sslmode, &options.root_cert) {
            (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
                return Err(usage(
                    "sslmode verify-ca and verify-full need a root certificate: give the authority that issued the server's, or use sslmode require".to_owned(),
                ));
            }
            (SslMode::VerifyFull, Some(_)) => Verify::Host,
            (_, Some(_)) => Verify::Authority,
            (_, None) => Verify::Nothing,
        };
        let is_name = ServerName::try_from(options.host.as_str()).is_ok();
        if verify == Verify::Host && !is_name {
            return Err(usage(format!(
                "`{}` is neither a host name nor an address",
                options.host
            )));
        }
        let tls = match options.sslmode {
            SslMode::Disable => None,
            _ => Some(
                client_config(verify, options.root_cert.as_deref())
                    .map(MakeRustlsConnect::new)
                    .map_err(usage)?,
            ),
        };
        let mut config = Config::new();
        config
            .user(&options.user)
            .dbname(&options.database)
            .application_name(&options.application_name);
        if let Some(password) = &options.password {
            config.password(password);
        }
        Ok(Self {
            doing,
            config,
            dialer,
            tls,
            // An address is never sent as SNI.
            host: if is_name {
                options.host.clone()
            } else {
                "0.0.0.0".to_owned()
            },
            phase: Mutex::new(""),
        })
    }

    async fn connect(&self, sslmode: SslMode) -> Result<Postgres, ProbeError> {
        match sslmode {
            SslMode::Disable => self.once(Encryption::Plain).await.map_err(|(error, _)| error),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.once(Encryption::Required).await.map_err(|(error, _)| error)
            }
            SslMode::Allow => match self.once(Encryption::Plain).await {
                Err((plain, _)) if plain.is_rejection() => match self.once(Encryption::Required).await {
                    Err((tls, _)) if tls.kind == Kind::TlsRefused => Err(plain),
                    Err((tls, _)) => Err(both(tls, &plain, "in plain text")),
                    Ok(made) => Ok(made),
                },
                other => other.map_err(|(error, _)| error),
            },
            SslMode::Prefer => match self.once(Encryption::IfOffered).await {
                Err((tls, true)) if tls.is_rejection() || tls.is_handshake() => {
                    match self.once(Encryption::Plain).await {
                        Err((plain, _)) => Err(both(plain, &tls, "with TLS")),
                        Ok(made) => Ok(made),
                    }
                }
                other => other.map_err(|(error, _)| error),
            },
        }
    }

    /// One attempt. The error comes with whether TLS was in use.
    async fn once(&self, encryption: Encryption) -> Result<Postgres, (ProbeError, bool)> {
        self.enter("to the dial");
        let mut stream = (self.dialer)()
            .await
            .map(Wire)
            .map_err(|error| (ProbeError::dialing(&self.doing, &error), false))?;
        let mut config = self.config.clone();
        if let (Some(tls), true) = (&self.tls, encryption != Encryption::Plain) {
            self.enter("to the request for TLS");
            let offered = ask_for_tls(&mut stream)
                .await
                .map_err(|error| (self.broken(&error), false))?;
            if offered {
                self.enter("in the TLS handshake or the start-up after it");
                config
                    .ssl_mode(DriverSslMode::Require)
                    .ssl_negotiation(SslNegotiation::Direct);
                return self
                    .start(
                        stream,
                        connector(tls, &self.host).map_err(|e| (self.broken(&e), true))?,
                        &config,
                        true,
                    )
                    .await
                    .map_err(|error| (error, true));
            }
            if encryption == Encryption::Required {
                let error = ProbeError::new(Kind::TlsRefused, &self.doing, "the server does not speak TLS");
                return Err((error, false));
            }
        }
        self.enter("in the start-up");
        config.ssl_mode(DriverSslMode::Disable);
        self.start(stream, NoTls, &config, false)
            .await
            .map_err(|error| (error, false))
    }

    async fn start<T>(
        &self,
        stream: Wire,
        tls: T,
        config: &Config,
        over_tls: bool,
    ) -> Result<Postgres, ProbeError>
    where
        T: TlsConnect<Wire>,
        T::Stream: TlsStream + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: tokio_postgres::Error| ProbeError::driver(&self.doing, None, &error, false);
        let (client, connection) = config.connect_raw(stream, tls).await.map_err(failed)?;
        let end = Arc::new(Mutex::new(None));
        let told = Arc::clone(&end);
        let driven: BoxFuture<'static, Result<(), tokio_postgres::Error>> = Box::pin(connection);
        tokio::spawn(async move {
            let why = match driven.await {
                Ok(()) => "the server closed the connection".to_owned(),
                Err(error) => ProbeError::driver("", None, &error, true).message,
            };
            match told.lock() {
                Ok(mut told) => *told = Some(why),
                Err(poisoned) => *poisoned.into_inner() = Some(why),
            }
        });
        // What values look like must not depend on the server's settings.
        client
            .batch_execute("SET datestyle = ISO; SET bytea_output = hex; SET extra_float_digits = 1")
            .await
            .map_err(failed)?;
        Ok(Postgres {
            client,
            dialer: Arc::clone(&self.dialer),
            tls: self.tls.clone().filter(|_| over_tls),
            host: self.host.clone(),
            over_tls,
            end,
            statements: AtomicU64::new(0),
        })
    }

    fn broken(&self, error: &std::io::Error) -> ProbeError {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ProbeError::closed(&self.doing),
            _ => ProbeError::dialing(&self.doing, error),
        }
    }

    fn enter(&self, phase: &'static str) {
        match self.phase.lock() {
            Ok(mut now) => *now = phase,
            Err(poisoned) => *poisoned.into_inner() = phase,
        }
    }

    fn phase(&self) -> &'static str {
        match self.phase.lock() {
            Ok(now) => *now,
            Err(poisoned) => *poisoned.into_inner(),
        }
    }
}

fn both(mut last: ProbeError, first: &ProbeError, how: &str) -> ProbeError {
    last.hints.push(format!("before that, {how}: {}", first.message));
    last
}

pub(super) type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<Wire>>::TlsConnect;

pub(super) fn connector(tls: &MakeRustlsConnect, host: &str) -> std::io::Result<RustlsConnect> {
    <MakeRustlsConnect as MakeTlsConnect<Wire>>::make_tls_connect(&mut tls.clone(), host)
        .map_err(|_| std::io::Error::other("TLS can't be set up"))
}

/// Sends the protocol's SSLRequest. Whether the server wants to go on in TLS.
pub(super) async fn ask_for_tls(stream: &mut Wire) -> std::io::Result<bool> {
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    stream.write_all(&SSL_REQUEST).await?;
    stream.flush().await?;
    match stream.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        other => Err(std::io::Error::other(format!(
            "the other side is no Postgres: it answered the request for TLS with byte {other}"
        ))),
    }
}
