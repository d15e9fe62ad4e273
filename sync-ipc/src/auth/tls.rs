//! TLS for connections over TCP, by rustls.
//!
//! The server has an [`Identity`], the client a [`Trust`] in it. Inside of the TLS connection the
//! two ends prove to each other that they know the key, as they do without TLS; their proofs
//! contain bytes that TLS derives from its own keys for both ends (its exporter), so that they
//! belong to this TLS connection and cannot be passed on through another. Only TLS 1.3 is spoken.

use core::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::AuthError;

fn failure(error: impl ToString) -> AuthError {
    AuthError::Tls(error.to_string())
}

/// The certificates of a server, and their private key.
///
/// `Debug` does not show the key. With the feature `process` it can be among the arguments of a
/// [`Process`](crate::Process), and is serialised nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The server's certificate, then those of its issuers.
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
}

/// The certificates that a client believes, and the name that the server's certificate must have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "process", derive(serde::Serialize, serde::Deserialize))]
pub struct Trust {
    roots: Vec<Vec<u8>>,
    name: String,
}

impl Identity {
    /// The certificates in their order, the server's first, and the private key; all as DER.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Self {
        Self { chain, key }
    }

    /// The certificates and the private key, as the files that most tools write (PEM).
    ///
    /// # Errors
    ///
    /// [`AuthError::Tls`] for a text that contains none.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, AuthError> {
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failure)?;
        Ok(Self { chain: certificates(chain)?, key: key.secret_der().to_vec() })
    }

    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, AuthError> {
        let chain = self.chain.iter().cloned().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(self.key.clone()).map_err(failure)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(failure)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(failure)?;
        // A connection on which nothing is under way is quiet: clients see by that whether it is
        // still good.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "process")]
impl serde::Serialize for Identity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !crate::process::handles::is_encoding() {
            return Err(serde::ser::Error::custom(
                "a private key can only be serialised among the arguments of a process",
            ));
        }
        (&self.chain, &self.key).serialize(serializer)
    }
}

#[cfg(feature = "process")]
impl<'de> serde::Deserialize<'de> for Identity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(Vec<Vec<u8>>, Vec<u8>)>::deserialize(deserializer).map(|(chain, key)| Self { chain, key })
    }
}

impl Trust {
    /// Believes certificates that one of these (DER) has issued, or that are one of these, for a
    /// server of this name: a DNS name or an IP address, as the certificate has it.
    pub fn from_der(roots: Vec<Vec<u8>>, name: impl Into<String>) -> Self {
        Self { roots, name: name.into() }
    }

    /// As [`from_der`](Self::from_der), with the certificates as a PEM text.
    ///
    /// # Errors
    ///
    /// [`AuthError::Tls`] for a text that contains none.
    pub fn from_pem(roots: &str, name: impl Into<String>) -> Result<Self, AuthError> {
        Ok(Self { roots: certificates(roots)?, name: name.into() })
    }

    pub(super) fn session(&self) -> Result<rustls::Connection, AuthError> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(CertificateDer::from(root.clone())).map_err(failure)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(failure)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.name.clone()).map_err(failure)?;
        let session = ClientConnection::new(Arc::new(config), name).map_err(failure)?;
        Ok(rustls::Connection::Client(session))
    }
}

pub(super) fn session(config: &Arc<ServerConfig>) -> Result<rustls::Connection, AuthError> {
    let session = ServerConnection::new(Arc::clone(config)).map_err(failure)?;
    Ok(rustls::Connection::Server(session))
}

fn certificates(text: &str) -> Result<Vec<Vec<u8>>, AuthError> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failure)?;
    if certificates.is_empty() {
        return Err(failure(io::Error::new(io::ErrorKind::InvalidInput, "no certificate")));
    }
    Ok(certificates)
}
