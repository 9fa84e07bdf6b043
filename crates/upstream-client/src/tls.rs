//! Whom to trust: the public roots of the web, compiled in, and those of the settings.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::settings::SettingsError;

/// The same trust on every machine, an empty image included; `extra` is PEM.
pub(crate) fn config(extra: Option<&str>) -> Result<ClientConfig, SettingsError> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(pem) = extra {
        add(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::Setup { reason: error.to_string() })?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// Adds each certificate of the text; one that is none is a mistake, and so is a text without any.
pub(crate) fn add(roots: &mut RootCertStore, pem: &str) -> Result<(), SettingsError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| SettingsError::Roots)?;
        roots.add(certificate).map_err(|_| SettingsError::Roots)?;
    }
    if roots.len() == before { Err(SettingsError::Roots) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_no_root() {
        let broken = "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n";
        for pem in ["", "not PEM", broken] {
            assert_eq!(config(Some(pem)).err(), Some(SettingsError::Roots), "{pem}");
        }
        assert!(config(None).is_ok());
    }
}
