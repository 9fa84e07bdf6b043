//! TLS: an upstream whose certificate is not to be trusted.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ServerConfig, ServerConnection, SignatureAlgorithm, SignatureScheme, Stream};
use z2api_upstream_client::{Client, Secret, Settings};

use crate::support::{TOKEN, ask};

/// Shows a certificate that is none and signs with nothing.
#[derive(Debug)]
struct Impostor;

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = CertificateDer::from(vec![0x30, 0x00]);
        Some(Arc::new(CertifiedKey::new(vec![certificate], Arc::new(Impostor))))
    }
}

impl SigningKey for Impostor {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Impostor))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Impostor {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; 64])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// Takes one connection, and gives what the client says once it should trust.
fn serve_once(listener: TcpListener) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Impostor));
    let (mut socket, _): (TcpStream, _) = listener.accept().unwrap();
    let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
    let mut said = Vec::new();
    // The client breaks the handshake off: an error, after whatever it said.
    let _broken_off = Stream::new(&mut tls, &mut socket).read_to_end(&mut said);
    said
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_gets_no_request_and_no_second_try() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::default();
    let port = listener.local_addr().unwrap().port();
    settings.url = format!("https://localhost:{port}/v1/chat/completions");
    settings.token = Some(Secret::new(TOKEN));
    let server = std::thread::spawn(move || serve_once(listener));
    let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_tls", 1), "{failed}");
    assert_eq!(server.join().unwrap(), b"");
}
