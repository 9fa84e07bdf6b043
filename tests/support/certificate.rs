//! A certificate for a gateway that speaks TLS, and a client that trusts it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use z2api_upstream_sim::Plan;
use z2api_wire::event::Dialect;

use crate::gateway::Gateway;

/// A certificate for localhost, with its key, in files that are gone with their holder.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
    authority: rustls::pki_types::CertificateDer<'static>,
}

impl Certificate {
    /// Makes one, with its key.
    pub fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let mut certificate = Self { folder, authority: Vec::new().into() };
        certificate.renew();
        certificate
    }

    /// Puts another certificate and key in place.
    pub fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.folder.path().join("key.pem"), made.signing_key.serialize_pem())
            .unwrap();
        self.authority = made.cert.der().clone();
    }

    /// The path of `cert.pem` or `key.pem`.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// A gateway that shows it.
    pub async fn gateway(&self, plan: impl Plan, more: &[(&str, &str)]) -> Gateway {
        let (cert, key) = (self.file("cert.pem"), self.file("key.pem"));
        let files = [("TLS_CERT_FILE", cert.as_str()), ("TLS_KEY_FILE", key.as_str())];
        Gateway::with(Dialect::ZaiWeb, plan, &[more, &files[..]].concat()).await
    }

    /// Connects to one that has this certificate, and offers these protocols.
    pub async fn connect(
        &self,
        to: SocketAddr,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect(to).await?;
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }
}
