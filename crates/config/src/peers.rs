//! How client connections are treated: how many there may be, how long they may take, what they
//! speak.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::reader::Reader;
use crate::sections::path;

/// How client connections are treated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Peers {
    /// How many may be open at once. None: as the limit of open files allows.
    pub max: Option<usize>,
    /// How many of those one address may have. None: a good part of them.
    pub per_address: Option<usize>,
    /// For a request's head.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a reader that an answer waits for.
    pub stall: Duration,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// With what to speak TLS. None: without.
    pub tls: Option<TlsFiles>,
}

/// A certificate, its key, and where they came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The file of the certificate chain.
    pub cert: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
    /// The first certificate of the chain: the gateway's own.
    pub leaf: CertificateDer<'static>,
    /// What rustls makes of both. Names the protocols of `http2`.
    pub config: Arc<ServerConfig>,
}

/// Reads everything about client connections.
pub(crate) fn peers(from: &mut Reader<'_>) -> Peers {
    const DAY: u64 = 86_400_000;
    let max = from.auto("MAX_CLIENT_CONNECTIONS", 1_000_000);
    let per_address = from.auto("MAX_CONNECTIONS_PER_ADDRESS", 1_000_000);
    let head = from.millis("CLIENT_HEAD_TIMEOUT", 10_000, 1..=DAY);
    let body = from.millis("CLIENT_BODY_TIMEOUT", 60_000, 1..=DAY);
    // Longer than the 60 s that most balancers keep a connection: so they close it, not we.
    let idle = from.millis("CLIENT_IDLE_TIMEOUT", 75_000, 1..=DAY);
    let stall = from.millis("CLIENT_STALL_TIMEOUT", 30_000, 1..=DAY);
    let chain = from.file("TLS_CERT_FILE", "none", read_chain);
    let key = from.file("TLS_KEY_FILE", "none", read_key);
    let http2 = from.flag("ENABLE_HTTP2", false);
    let tls = tls(from, chain, key, http2);
    Peers { max, per_address, head, body, idle, stall, http2, tls }
}

fn tls(
    from: &mut Reader<'_>,
    chain: Option<Vec<CertificateDer<'static>>>,
    key: Option<PrivateKeyDer<'static>>,
    http2: bool,
) -> Option<TlsFiles> {
    let (cert_file, key_file) = match (path(from, "TLS_CERT_FILE"), path(from, "TLS_KEY_FILE")) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            from.problem("TLS_KEY_FILE", "", "set too when TLS_CERT_FILE is");
            return None;
        }
        (None, Some(_)) => {
            from.problem("TLS_CERT_FILE", "", "set too when TLS_KEY_FILE is");
            return None;
        }
    };
    let (chain, key) = (chain?, key?);
    let leaf = chain.first()?.clone();
    match server_config(chain, key, http2) {
        Ok(config) => Some(TlsFiles { cert: cert_file, key: key_file, leaf, config }),
        Err(error) => {
            let allowed = format!("the key of the certificate in TLS_CERT_FILE ({error})");
            from.problem("TLS_KEY_FILE", &key_file.display().to_string(), &allowed);
            None
        }
    }
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    http2: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let spoken: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = spoken.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn read_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("holds no certificate in PEM form".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("is no PEM file: {error}")),
    }
}

/// The error's words say nothing of the key.
fn read_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "holds no private key in PEM form".to_owned())
}
