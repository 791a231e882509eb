//! What kube's, hyper's and rustls' errors say, in plain words.
//!
//! Invariant: a cause is said once, and the same cause in the same words whichever layer noticed it.

use std::error::Error as StdError;

/// The TLS error that an error is or wraps: an `io::Error` hides what it wraps from `source`, and may wrap another.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => tls_error(io.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// What is wrong with the TLS session, if that is what an error is about.
pub(crate) fn tls_text(error: &(dyn StdError + 'static)) -> Option<String> {
    chain(error).find_map(tls_error).map(ToString::to_string)
}

/// An error and its sources, outermost first; the depth is capped since sources may form a cycle.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
    .take(16)
}

/// What became of a connection, in the same words whatever layer noticed.
pub(crate) fn broken_text(error: &(dyn StdError + 'static)) -> String {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof,
    };
    let kind = chain(error).find_map(|e| Some(e.downcast_ref::<std::io::Error>()?.kind()));
    match kind {
        Some(ConnectionRefused) => "connection refused".to_owned(),
        Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) => {
            "connection lost".to_owned()
        }
        _ => match text_of(error) {
            // hyper's own words for a connection that ends in the middle.
            text if text.contains("connection closed before message completed")
                || text.contains("unexpected EOF during chunk") =>
            {
                "connection lost".to_owned()
            }
            text => text,
        },
    }
}

/// The innermost text of an error: kube's and hyper's errors print their source and also return it, and the outer
/// layers only name themselves ("client error (Connect)", "tcp connect error").
pub(crate) fn text_of(error: &(dyn StdError + 'static)) -> String {
    chain(error)
        .map(ToString::to_string)
        .filter(|text| !text.is_empty())
        .last()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ApiError, ErrorClass};

    #[test]
    fn a_certificate_error_is_found_under_layers_of_io_errors() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = std::io::Error::other(std::io::Error::other(tls));
        let error = ApiError::from_transport("get", "/version", &error);
        assert_eq!((error.class, error.is_transient()), (ErrorClass::Tls, false));
    }

    #[test]
    fn a_lost_connection_is_told_in_the_same_words_whatever_layer_noticed() {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, UnexpectedEof};
        let text = |kind, text: &str| {
            let error = std::io::Error::new(kind, text.to_owned());
            ApiError::from_transport("get", "x", &error).message.clone()
        };
        assert_eq!(
            text(
                UnexpectedEof,
                "peer closed connection without sending TLS close_notify"
            ),
            "connection lost"
        );
        assert_eq!(text(ConnectionReset, "os error 104"), "connection lost");
        assert_eq!(text(ConnectionRefused, "os error 111"), "connection refused");
        assert_eq!(
            text(std::io::ErrorKind::Other, "no route to host"),
            "no route to host"
        );
    }

    #[test]
    fn a_chain_of_errors_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("HyperError: {0}")]
        struct Outer(#[source] std::io::Error);
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        assert_eq!(text_of(&Outer(io)), "connection refused");
    }
}
