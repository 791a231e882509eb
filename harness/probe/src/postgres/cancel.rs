//! Cancelling a statement that nobody waits for.
//!
//! Invariant: a cancel request goes the way of the connection it is about, encrypted if that is.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::client::Postgres;
use super::connect::{ask_for_tls, connector};
use crate::dial::{Dialer, Wire};

/// The time that a cancel request may take.
const CANCEL: Duration = Duration::from_secs(5);

/// Cancels what the server does for a connection, unless disarmed before.
pub(super) struct CancelOnDrop<'a> {
    postgres: &'a Postgres,
    armed: bool,
}

impl<'a> CancelOnDrop<'a> {
    pub(super) fn new(postgres: &'a Postgres) -> Self {
        Self {
            postgres,
            armed: true,
        }
    }

    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.armed || self.postgres.is_closed() {
            return;
        }
        // Outside a runtime there is nothing that could send; the server notices the end of the connection.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let token = self.postgres.client.cancel_token();
        let dialer = Arc::clone(&self.postgres.dialer);
        let tls = self
            .postgres
            .tls
            .clone()
            .map(|tls| (tls, self.postgres.host.clone()));
        runtime.spawn(async move {
            // A cancel request has no answer: whether it comes too late can't be known.
            let _ = tokio::time::timeout(CANCEL, cancel(token, dialer, tls)).await;
        });
    }
}

async fn cancel(
    token: CancelToken,
    dialer: Dialer,
    tls: Option<(MakeRustlsConnect, String)>,
) -> std::io::Result<()> {
    let mut stream = Wire(dialer().await?);
    match tls {
        Some((tls, host)) => {
            if ask_for_tls(&mut stream).await? {
                token
                    .cancel_query_raw(stream, connector(&tls, &host)?)
                    .await
                    .map_err(std::io::Error::other)?;
            }
            Ok(())
        }
        None => token
            .cancel_query_raw(stream, NoTls)
            .await
            .map_err(std::io::Error::other),
    }
}
