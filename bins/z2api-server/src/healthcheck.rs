//! Asks the gateway on this machine how it is: over TLS too, whoever its certificate is for.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

/// How long the gateway may take to say that it is well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether `/health` is answered with 200; if not, why.
pub(crate) fn health_of(address: SocketAddr, tls: bool) -> Result<(), String> {
    let line = ask(address, tls).map_err(|error| error.to_string())?;
    if line.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("{line:?}")) }
}

/// The first line of the answer.
fn ask(address: SocketAddr, tls: bool) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, HEALTH_TIMEOUT)?;
    socket.set_read_timeout(Some(HEALTH_TIMEOUT))?;
    socket.set_write_timeout(Some(HEALTH_TIMEOUT))?;
    if !tls {
        return ask_on(&mut socket, address);
    }
    let name = ServerName::IpAddress(address.ip().into());
    let mut secured = ClientConnection::new(config().map_err(io::Error::other)?, name)
        .map_err(io::Error::other)?;
    ask_on(&mut rustls::Stream::new(&mut secured, &mut socket), address)
}

fn ask_on(io: &mut (impl Read + Write), address: SocketAddr) -> io::Result<String> {
    write!(io, "GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = [0; 128];
    let mut read = 0;
    while read < answer.len() && !answer[..read].contains(&b'\n') {
        match io.read(&mut answer[read..])? {
            0 => break,
            bytes => read += bytes,
        }
    }
    let text = String::from_utf8_lossy(&answer[..read]);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Takes any certificate. It is asked on this machine, for what everybody may know, and the
/// certificate names the host that clients know.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
