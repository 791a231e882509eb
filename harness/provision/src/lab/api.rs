//! A few plain requests to the API server of a lab that comes up: is it ready, what does this object say, make that
//! one. Everything beyond that is the business of `muster-cluster`.
//!
//! Invariant: one request is one connection (HTTP/1.0), so nothing is kept between two looks at a server that is
//! only just starting.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::address::{API_PORT, HOST};
use super::pki::Identity;
use crate::ProvisionError;

/// The API server, as an administrator sees it.
#[derive(Clone)]
pub(crate) struct Api {
    config: Arc<ClientConfig>,
}

const TIMEOUT: Duration = Duration::from_secs(10);

impl Api {
    pub(crate) fn new(authority: &str, admin: &Identity) -> Result<Self, ProvisionError> {
        let config = client_config(authority, admin).map_err(|reason| ProvisionError::Api {
            doing: "prepare to talk to the API server".into(),
            status: 0,
            message: reason,
        })?;
        Ok(Api {
            config: Arc::new(config),
        })
    }

    /// Reads an object or another page; JSON, or a string when it is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, ProvisionError> {
        self.send("GET", path, None).await
    }

    /// Makes an object; that it is there already is fine.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<(), ProvisionError> {
        match self.send("POST", path, Some(object.to_string())).await {
            Ok(_) | Err(ProvisionError::Api { status: 409, .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        body: Option<String>,
    ) -> Result<Value, ProvisionError> {
        let (config, at) = (self.config.clone(), path.to_owned());
        let fail = |status, message| ProvisionError::Api {
            doing: format!("{} {path}", method.to_lowercase()),
            status,
            message,
        };
        let answer = tokio::task::spawn_blocking(move || exchange(config, method, &at, body.as_deref()))
            .await
            .map_err(|e| fail(0, e.to_string()))?
            .map_err(|e| fail(0, format!("nothing ({e})")))?;
        let (status, text) = parse(&answer).ok_or_else(|| fail(0, "what is no HTTP".into()))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.trim().to_owned()));
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let message = value["message"].as_str().unwrap_or(text.trim()).to_owned();
        Err(fail(status, message))
    }
}

fn client_config(authority: &str, admin: &Identity) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|e| e.to_string())?;
    roots.add(ca).map_err(|e| e.to_string())?;
    let certificate =
        CertificateDer::from_pem_slice(admin.certificate.as_bytes()).map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(admin.key.as_bytes()).map_err(|e| e.to_string())?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|b| {
            b.with_root_certificates(roots)
                .with_client_auth_cert(vec![certificate], key)
        })
        .map_err(|e| e.to_string())
}

fn exchange(
    config: Arc<ClientConfig>,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> std::io::Result<Vec<u8>> {
    let socket = TcpStream::connect_timeout(&SocketAddr::from((HOST, API_PORT)), TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let name = ServerName::IpAddress(std::net::IpAddr::from(HOST).into());
    let session = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(session, socket);
    let body = body.unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {HOST}:{API_PORT}\r\nUser-Agent: muster-lab\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server that closes without a farewell, after its answer.
        Err(e) if e.kind() != ErrorKind::UnexpectedEof || answer.is_empty() => Err(e),
        _ => Ok(answer),
    }
}

/// The status and the body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, &str)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.parse().ok()?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nok"), Some((200, "ok")));
        assert_eq!(parse(b"HTTP/1.0 500 Oh\r\n\r\n"), Some((500, "")));
        assert_eq!(parse(b"\x15\x03\x01"), None);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
    }
}
