//! TLS: an upstream whose certificate is not to be trusted.

use rcgen::{CertificateParams, date_time_ymd};
use z2api_upstream_client::{Client, Settings, SettingsError};

use crate::secure::{Manner, Reply, Secure};
use crate::support::{ask, ask_whole};

/// The client distrusts this certificate, whichever protocol it speaks: it sends no request, and
/// does not try again.
async fn distrusted(certificate: CertificateParams, change: impl Fn(&mut Settings)) {
    for http2 in [true, false] {
        let manner = Manner { certificate: certificate.clone(), ..Manner::default() };
        let upstream = Secure::start(manner, |_| Reply::Fine).await;
        let mut settings = upstream.settings();
        settings.http2 = http2;
        settings.retry.retries = 3;
        change(&mut settings);
        let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_tls", 1), "{failed}");
        assert_eq!((upstream.connections(), upstream.versions().len()), (1, 0));
    }
}

fn issued_to(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_gets_no_request_and_no_second_try() {
    distrusted(issued_to("127.0.0.1"), |settings| settings.extra_roots = None).await;
    distrusted(issued_to("another.test"), |_| {}).await;
    let mut expired = issued_to("127.0.0.1");
    expired.not_after = date_time_ymd(2020, 1, 1);
    distrusted(expired, |_| {}).await;
}

#[tokio::test]
async fn a_root_of_the_settings_is_trusted_beside_the_public_ones() {
    let upstream = Secure::start(Manner::default(), |_| Reply::Fine).await;
    assert_eq!(ask_whole(&upstream.client()).await, "fine");
    let mut settings = upstream.settings();
    settings.extra_roots = Some("no certificate".to_owned());
    assert_eq!(settings.check(), Err(SettingsError::Roots));
    assert_eq!(Client::new(settings).unwrap_err(), SettingsError::Roots);
}
