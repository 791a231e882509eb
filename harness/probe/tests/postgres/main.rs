//! The Postgres probe against real servers: one with TLS, one without. Ignored where Postgres is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connecting;
mod querying;
mod server;

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};
use muster_probe::dial::tcp;
use muster_probe::{Postgres, PostgresOptions, ProbeError, SslMode};

use server::{Certificate, Server};

/// A name and what it tests.
pub(crate) type Test = (&'static str, fn(&Servers));

/// The servers, started when a test needs them.
#[derive(Default)]
pub(crate) struct Servers {
    plain: OnceLock<Server>,
    tls: OnceLock<Server>,
}

impl Servers {
    pub(crate) fn plain(&self) -> &Server {
        self.plain.get_or_init(|| {
            let server = Server::start(None);
            prepare(&server);
            server
        })
    }

    pub(crate) fn tls(&self) -> &Server {
        self.tls.get_or_init(|| {
            let server = Server::start(Some(Certificate::Good));
            prepare(&server);
            server
        })
    }
}

fn prepare(server: &Server) {
    run(async {
        let admin = connect(server, &server.options(SslMode::Disable)).await.unwrap();
        for user in ["tls_only", "plain_only", "nobody_more", "reader"] {
            admin
                .query(
                    &format!("create role {user} login password '{}'", server::PASSWORD),
                    &[],
                )
                .await
                .unwrap();
        }
        admin
            .query("alter role nobody_more connection limit 0", &[])
            .await
            .unwrap();
        admin
            .query("alter role reader set default_transaction_read_only = on", &[])
            .await
            .unwrap();
    });
}

pub(crate) async fn connect(server: &Server, options: &PostgresOptions) -> Result<Postgres, ProbeError> {
    Postgres::connect(options, tcp("127.0.0.1", server.port)).await
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.test_threads.is_none() {
        arguments.test_threads = Some(4);
    }
    let missing = server::programs().is_none();
    let servers = Arc::new(Servers::default());
    let trials = connecting::TESTS
        .iter()
        .chain(querying::TESTS)
        .map(|(name, test)| {
            let servers = Arc::clone(&servers);
            let trial = Trial::test(*name, move || {
                test(&servers);
                Ok(())
            });
            if missing {
                trial
                    .with_kind("needs postgresql installed")
                    .with_ignored_flag(true)
            } else {
                trial
            }
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The servers are ended here: the process's end runs no destructors of what a thread still holds.
    drop(Arc::into_inner(servers));
    conclusion.exit_code()
}
