//! What connecting means under each sslmode, and what each failure is called.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use muster_probe::dial::tcp;
use muster_probe::{Class, Kind, Postgres, PostgresOptions, ProbeError, SslMode};

use crate::server::{Authority, Certificate, Server};
use crate::{Servers, Test, connect, run};

pub(crate) const TESTS: &[Test] = &[
    ("sslmode_against_a_server_without_tls", without_tls),
    ("sslmode_against_a_server_with_tls", with_tls),
    ("a_root_certificate_is_always_verified", root_certificate),
    ("certificates_that_are_no_good", bad_certificates),
    ("allow_and_prefer_dial_twice_when_refused", refused_by_hba),
    (
        "verify_without_a_root_certificate_is_wrong_use",
        verify_without_root,
    ),
    ("who_is_not_let_in", not_let_in),
    ("servers_that_do_not_answer_as_postgres", no_postgres),
];

fn over_tls(server: &Server, options: &PostgresOptions) -> Result<bool, Kind> {
    run(async {
        let postgres = connect(server, options).await.map_err(|error| error.kind)?;
        let row = postgres
            .query("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[])
            .await
            .unwrap();
        assert_eq!(row.rows[0]["ssl"], postgres.is_over_tls());
        Ok(postgres.is_over_tls())
    })
}

fn failure(server: &Server, options: &PostgresOptions) -> ProbeError {
    run(connect(server, options)).err().expect("connected")
}

fn without_tls(servers: &Servers) {
    let server = servers.plain();
    for (sslmode, expected) in [
        (SslMode::Disable, Ok(false)),
        (SslMode::Allow, Ok(false)),
        (SslMode::Prefer, Ok(false)),
        (SslMode::Require, Err(Kind::TlsRefused)),
    ] {
        assert_eq!(
            over_tls(server, &server.options(sslmode)),
            expected,
            "{sslmode:?}"
        );
    }
    for sslmode in [SslMode::VerifyCa, SslMode::VerifyFull] {
        let options = PostgresOptions {
            root_cert: Some(server.authority.pem()),
            ..server.options(sslmode)
        };
        assert_eq!(over_tls(server, &options), Err(Kind::TlsRefused), "{sslmode:?}");
    }
    let error = failure(server, &server.options(SslMode::Require));
    let text = error.to_string();
    assert!(
        text.contains("the server does not speak TLS") && text.contains("sslmode disable"),
        "{text}"
    );
    assert_eq!(error.class(), Class::Permanent);
}

fn with_tls(servers: &Servers) {
    let server = servers.tls();
    for (sslmode, expected) in [
        (SslMode::Disable, Ok(false)),
        (SslMode::Allow, Ok(false)),
        (SslMode::Prefer, Ok(true)),
        (SslMode::Require, Ok(true)),
    ] {
        assert_eq!(
            over_tls(server, &server.options(sslmode)),
            expected,
            "{sslmode:?}"
        );
    }
}

fn root_certificate(servers: &Servers) {
    let server = servers.tls();
    let with = |sslmode, root: &Authority, host: &str| PostgresOptions {
        root_cert: Some(root.pem()),
        host: host.to_owned(),
        ..server.options(sslmode)
    };
    let (known, stranger) = (&server.authority, &Authority::new());
    for (sslmode, root, host, expected) in [
        (SslMode::Require, known, "other.example", Ok(true)),
        (
            SslMode::Require,
            stranger,
            "localhost",
            Err(Kind::TlsUnknownAuthority),
        ),
        (SslMode::VerifyCa, known, "other.example", Ok(true)),
        (
            SslMode::VerifyCa,
            stranger,
            "localhost",
            Err(Kind::TlsUnknownAuthority),
        ),
        (SslMode::VerifyFull, known, "localhost", Ok(true)),
        (
            SslMode::VerifyFull,
            known,
            "other.example",
            Err(Kind::TlsHostname),
        ),
        (SslMode::VerifyFull, known, "127.0.0.1", Err(Kind::TlsHostname)),
        (
            SslMode::VerifyFull,
            stranger,
            "localhost",
            Err(Kind::TlsUnknownAuthority),
        ),
        // The handshake fails, so it goes on in plain text: that is what prefer means.
        (SslMode::Prefer, stranger, "localhost", Ok(false)),
        (SslMode::Prefer, known, "other.example", Ok(true)),
    ] {
        assert_eq!(
            over_tls(server, &with(sslmode, root, host)),
            expected,
            "{sslmode:?} {host}"
        );
    }
    let text = failure(server, &with(SslMode::VerifyFull, known, "other.example")).to_string();
    assert!(
        text.contains("localhost") && text.contains("subjectAltName"),
        "{text}"
    );
    let broken = PostgresOptions {
        root_cert: Some("no pem".to_owned()),
        ..server.options(SslMode::VerifyCa)
    };
    let error = failure(server, &broken);
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.to_string().contains("no PEM block"), "{error}");
}

fn bad_certificates(_: &Servers) {
    let server = Server::start(Some(Certificate::Expired));
    let verify = |sslmode| PostgresOptions {
        root_cert: Some(server.authority.pem()),
        ..server.options(sslmode)
    };
    assert_eq!(
        over_tls(&server, &verify(SslMode::VerifyCa)),
        Err(Kind::TlsExpired)
    );
    assert_eq!(over_tls(&server, &server.options(SslMode::Require)), Ok(true));
    let renew = |certificate| {
        server.use_certificate(certificate);
        run(async {
            let admin = connect(&server, &server.options(SslMode::Disable)).await.unwrap();
            admin.query("select pg_reload_conf()", &[]).await.unwrap();
        });
    };
    let eventually = |sslmode, expected: Result<bool, Kind>| {
        for _ in 0..100 {
            if over_tls(&server, &verify(sslmode)) == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(over_tls(&server, &verify(sslmode)), expected);
    };
    renew(Certificate::NoSan);
    eventually(SslMode::VerifyCa, Ok(true));
    eventually(SslMode::VerifyFull, Err(Kind::TlsNoSan));
    // What `openssl req -x509` makes and Postgres' documentation shows: the server's certificate is the authority.
    renew(Certificate::Itself);
    eventually(SslMode::VerifyFull, Ok(true));
}

fn refused_by_hba(servers: &Servers) {
    let server = servers.tls();
    let as_user = |user: &str, sslmode| PostgresOptions {
        user: user.to_owned(),
        ..server.options(sslmode)
    };
    for (user, sslmode, expected) in [
        ("tls_only", SslMode::Disable, Err(Kind::Hba)),
        ("tls_only", SslMode::Allow, Ok(true)),
        ("tls_only", SslMode::Prefer, Ok(true)),
        ("plain_only", SslMode::Require, Err(Kind::Hba)),
        ("plain_only", SslMode::Prefer, Ok(false)),
        ("plain_only", SslMode::Allow, Ok(false)),
    ] {
        assert_eq!(
            over_tls(server, &as_user(user, sslmode)),
            expected,
            "{user} {sslmode:?}"
        );
    }
    // Without TLS in the server, allow says what refused it, not that TLS is missing.
    let plain = servers.plain();
    let options = PostgresOptions {
        user: "tls_only".to_owned(),
        ..plain.options(SslMode::Allow)
    };
    assert_eq!(failure(plain, &options).kind, Kind::Hba);
    // Refused both ways: both reasons are told.
    let options = PostgresOptions {
        password: Some("wrong".to_owned()),
        ..server.options(SslMode::Prefer)
    };
    let error = failure(server, &options);
    assert_eq!(error.kind, Kind::Auth);
    assert!(error.to_string().contains("before that, with TLS"), "{error}");
}

fn verify_without_root(servers: &Servers) {
    let server = servers.plain();
    let error = failure(server, &server.options(SslMode::VerifyFull));
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.to_string().contains("need a root certificate"), "{error}");
}

fn not_let_in(servers: &Servers) {
    let server = servers.plain();
    let options = || server.options(SslMode::Disable);
    for (options, kind, words) in [
        (
            PostgresOptions {
                password: Some("wrong".to_owned()),
                ..options()
            },
            Kind::Auth,
            "password authentication failed for user \"admin\"",
        ),
        (
            PostgresOptions {
                password: None,
                ..options()
            },
            Kind::Auth,
            "asks for a password, and none is given",
        ),
        (
            PostgresOptions {
                database: "nosuch".to_owned(),
                ..options()
            },
            Kind::NoDatabase,
            "create the database, or correct its name",
        ),
        (
            PostgresOptions {
                user: "nobody_more".to_owned(),
                ..options()
            },
            Kind::TooMany,
            "too many connections",
        ),
    ] {
        let error = failure(server, &options);
        assert_eq!(error.kind, kind, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(words) && text.starts_with("failed to connect to Postgres database"),
            "{text}"
        );
    }
}

fn no_postgres(_: &Servers) {
    let options = |sslmode| PostgresOptions {
        connect_timeout: Duration::from_millis(500),
        ..PostgresOptions::new("localhost", "postgres", "admin", sslmode)
    };
    let try_ = |port, sslmode| {
        let error = run(Postgres::connect(&options(sslmode), tcp("127.0.0.1", port)))
            .err()
            .unwrap();
        (error.kind, error.to_string())
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Accepted by the kernel, and never read.
    let (kind, text) = try_(port, SslMode::Require);
    assert_eq!(kind, Kind::Timeout);
    assert!(
        text.contains("no answer within 500ms to the request for TLS"),
        "{text}"
    );
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = loop {
                let (mut stream, _) = listener.accept().unwrap();
                // The one from before is closed by now.
                let mut byte = [0; 8];
                if stream.read_exact(&mut byte).is_ok()
                    && stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_ok()
                {
                    break stream;
                }
            };
            let _ = stream.read(&mut [0; 1]);
        }
    });
    let (kind, text) = try_(port, SslMode::Require);
    assert_eq!(kind, Kind::Reset, "{text}");
    assert!(text.contains("is no Postgres"), "{text}");
    let _ = std::net::TcpStream::connect(("127.0.0.1", port)).map(|mut s| s.write_all(b"12345678"));
    answering.join().unwrap();
    let (kind, text) = try_(port, SslMode::Disable);
    assert_eq!(kind, Kind::Refused, "{text}");
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closing.local_addr().unwrap().port();
    std::thread::spawn(move || while closing.accept().is_ok() {});
    for sslmode in [SslMode::Disable, SslMode::Require] {
        let (kind, text) = try_(port, sslmode);
        assert_eq!(kind, Kind::Reset, "{text}");
    }
}
