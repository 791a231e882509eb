//! A real Postgres on a loopback port, in a folder of its own, with certificates made for it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use muster_probe::{PostgresOptions, SslMode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

pub(crate) const PASSWORD: &str = "correct horse";

/// The folder of the newest installed server's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .collect();
    found.sort();
    found.pop()
}

/// A certificate for the server.
#[derive(Clone, Copy)]
pub(crate) enum Certificate {
    /// For `localhost`, by the trusted authority.
    Good,
    /// The same, expired.
    Expired,
    /// Naming no host.
    NoSan,
    /// The authority itself.
    Itself,
}

/// The authority that tests trust, and its certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "muster test authority");
        Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn issue(&self, which: Certificate) -> (String, String) {
        let names = match which {
            Certificate::NoSan => vec![],
            _ => vec!["localhost".to_owned()],
        };
        let mut params = CertificateParams::new(names).unwrap();
        match which {
            Certificate::Itself => return (self.issuer.pem(), self.issuer.key().serialize_pem()),
            Certificate::Expired => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Certificate::NoSan => {
                params
                    .distinguished_name
                    .push(rcgen::DnType::CommonName, "localhost");
            }
            Certificate::Good => {}
        }
        let key = KeyPair::generate().unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) authority: Authority,
    data: PathBuf,
    // Ended, then removed.
    process: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(certificate: Option<Certificate>) -> Self {
        let bin = programs().expect("checked before");
        let folder = tempfile::Builder::new().prefix("muster-pg").tempdir().unwrap();
        let data = folder.path().join("data");
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        own(folder.path());
        let made = as_postgres(&bin.join("initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args([
                "--username=admin",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .arg("--pwfile")
            .arg(folder.path().join("password"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        fs::write(
            data.join("pg_hba.conf"),
            "hostnossl all tls_only all reject\n\
             hostssl all plain_only all reject\n\
             host all all all scram-sha-256\n",
        )
        .unwrap();
        let authority = Authority::new();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = as_postgres(&bin.join("postgres"));
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args(["-c", "fsync=off", "-c", "timezone=Asia/Kolkata"])
            // Values must look the same whatever the server's defaults are.
            .args(["-c", "datestyle=SQL,DMY", "-c", "bytea_output=escape"]);
        if let Some(certificate) = certificate {
            write_certificate(&data, &authority, certificate);
            command.args(["-c", "ssl=on"]);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            port,
            authority,
            data,
            process,
            _folder: folder,
        };
        server.wait();
        server
    }

    fn wait(&self) {
        let bin = programs().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !Command::new(bin.join("pg_isready"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q"])
            .status()
            .unwrap()
            .success()
        {
            let log = fs::read_to_string(self.data.parent().unwrap().join("log")).unwrap();
            assert!(Instant::now() < deadline, "the server does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Gives the server another certificate; new connections get it.
    pub(crate) fn use_certificate(&self, certificate: Certificate) {
        write_certificate(&self.data, &self.authority, certificate);
    }

    /// As the administrator.
    pub(crate) fn options(&self, sslmode: SslMode) -> PostgresOptions {
        PostgresOptions {
            password: Some(PASSWORD.to_owned()),
            ..PostgresOptions::new("localhost", "postgres", "admin", sslmode)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGQUIT: immediate shutdown, which also ends its children.
        let _ = Command::new("kill")
            .args(["-QUIT", &self.process.id().to_string()])
            .status();
        let _ = self.process.wait();
    }
}

fn write_certificate(data: &Path, authority: &Authority, certificate: Certificate) {
    use std::os::unix::fs::PermissionsExt as _;
    let (certificate, key) = authority.issue(certificate);
    fs::write(data.join("server.crt"), certificate).unwrap();
    let path = data.join("server.key");
    fs::write(&path, key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    own(data);
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output().unwrap();
        id.stdout.trim_ascii() == b"0"
    })
}

/// Postgres refuses to run as root: its package has made a user for it.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program)
        .current_dir("/");
    command
}

fn own(path: &Path) {
    if is_root() {
        assert!(
            Command::new("chown")
                .args(["-R", "postgres:postgres"])
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    }
}
