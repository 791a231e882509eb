//! TLS as libpq does it: what `sslmode` and the root certificate mean for the server's certificate.
//!
//! Invariant: with a root certificate the chain is always verified, whatever `sslmode` says (libpq's documentation,
//! "SSL Client Usage"); the name only with verify-full. Unlike libpq, a name in the subject's CN alone does not count.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How much of the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Nothing.
    Nothing,
    /// That a trusted authority issued it.
    Authority,
    /// That, and that it is for this host.
    Host,
}

/// A client's configuration. `roots`: PEM, needed unless nothing is verified.
///
/// # Errors
/// A sentence about what is wrong with `roots`.
pub(crate) fn client_config(verify: Verify, roots: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut store = RootCertStore::empty();
    let mut trusted = Vec::new();
    if let Some(pem) = roots {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate =
                certificate.map_err(|error| format!("the root certificate is no readable PEM: {error:?}"))?;
            store
                .add(certificate.clone())
                .map_err(|error| format!("the root certificate can't be used: {error}"))?;
            trusted.push(certificate);
        }
        if trusted.is_empty() {
            return Err("the root certificate holds no PEM block `CERTIFICATE`".to_owned());
        }
    }
    let verifier = LibpqVerifier {
        verify,
        roots: store,
        trusted,
        provider: Arc::clone(&provider),
    };
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        })
        .map_err(|error| format!("TLS can't be set up: {error}"))
}

#[derive(Debug)]
struct LibpqVerifier {
    verify: Verify,
    roots: RootCertStore,
    trusted: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LibpqVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verify == Verify::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let chain = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        match chain {
            Err(error) if !self.is_trusted_itself(end_entity, &error) => return Err(error),
            _ => {}
        }
        if self.verify == Verify::Host {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.verify == Verify::Nothing {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Who is not verified may hold a certificate of any version, such as X.509 v1, which rustls can't parse.
        if self.verify == Verify::Nothing {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl LibpqVerifier {
    /// Whether the server's certificate is a root certificate itself, as `openssl req -x509` makes it. OpenSSL accepts
    /// that; webpki refuses an authority as a server, after it has checked the dates.
    fn is_trusted_itself(&self, end_entity: &CertificateDer<'_>, error: &Error) -> bool {
        let Error::InvalidCertificate(error) = error else {
            return false;
        };
        let is_about_itself = matches!(
            error,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
                | CertificateError::BadEncoding
        );
        !is_about_itself && self.trusted.iter().any(|root| root == end_entity)
    }
}
