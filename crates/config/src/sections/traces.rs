//! Where traces go, by OpenTelemetry's own names and rules.

use percent_encoding::percent_decode_str;
use z2api_observability::{Headers, TraceSettings};

use crate::reader::Reader;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// All are read, so that a mistake is told whether or not traces are on.
pub(super) fn traces(from: &mut Reader<'_>) -> Option<TraceSettings> {
    let base = endpoint(from, ENDPOINT).map(|url| format!("{}/v1/traces", no_slash(&url)));
    // The one for traces alone is taken as it is.
    let whole = endpoint(from, TRACES_ENDPOINT);
    protocol(from);
    let headers = headers(from);
    let timeout = from.millis("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000, 1..=3_600_000);
    let service = service(from);
    let resource = resource(from);
    let (parent_based, ratio) = sampler(from);
    let tell_upstream = from.flag("TRACE_UPSTREAM", false);
    let mut settings = TraceSettings::to(whole.or(base)?);
    settings.headers = headers;
    settings.timeout = timeout;
    settings.resource = resource;
    settings.service = service.or(named_service(&settings)).unwrap_or(settings.service);
    settings.parent_based = parent_based;
    settings.ratio = ratio;
    settings.tell_upstream = tell_upstream;
    Some(settings)
}

fn no_slash(url: &str) -> &str {
    url.trim_end_matches('/')
}

fn endpoint(from: &mut Reader<'_>, name: &'static str) -> Option<String> {
    let value = from.url(name, "none")?;
    let parsed = value.parse::<http::Uri>().ok().filter(|url| {
        let scheme = matches!(url.scheme_str(), Some("http" | "https"));
        let user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        scheme && url.host().is_some() && url.query().is_none() && !user
    });
    if parsed.is_none() {
        let why = "must be a URL such as http://127.0.0.1:4318, without a password or a query";
        from.shown_problem(name, why.to_owned());
    }
    parsed.map(|_| value)
}

/// There is one. Who asks for another should know that it would not be spoken.
fn protocol(from: &mut Reader<'_>) {
    let one = "http/protobuf";
    let allowed = "http/protobuf: no other is spoken";
    from.with("OTEL_EXPORTER_OTLP_PROTOCOL", one, allowed, |word| (word == one).then_some(()));
}

fn headers(from: &mut Reader<'_>) -> Headers {
    const NAME: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    let Some(text) = from.secret_pairs(NAME, "none") else { return Headers::default() };
    let fits = |(name, value): &(String, String)| {
        http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok()
    };
    let pairs = pairs(&text).filter(|pairs| pairs.iter().all(fits));
    if pairs.is_none() {
        from.secret_problem(NAME, "name=value pairs, separated by commas");
    }
    Headers(pairs.unwrap_or_default())
}

fn service(from: &mut Reader<'_>) -> Option<String> {
    let allowed = "1 to 255 characters, none of them a control";
    from.with("OTEL_SERVICE_NAME", "z2api", allowed, |name| {
        let fits = name.chars().count() <= 255 && !name.contains(char::is_control);
        fits.then(|| name.to_owned())
    })
}

fn resource(from: &mut Reader<'_>) -> Vec<(String, String)> {
    let allowed = "name=value pairs, separated by commas";
    let pairs = from.with("OTEL_RESOURCE_ATTRIBUTES", "none", allowed, pairs);
    pairs.unwrap_or_default()
}

fn named_service(settings: &TraceSettings) -> Option<String> {
    let named = settings.resource.iter().rev().find(|(name, _)| name == "service.name");
    named.map(|(_, name)| name.clone())
}

/// Names and percent-encoded values, as W3C's Baggage has them. None if one is neither.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |word: &str| {
        let (name, value) = word.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        let name = name.trim();
        let visible = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && !value.contains(char::is_control)).then(|| (name.to_owned(), value))
    };
    text.split(',').filter(|word| !word.trim().is_empty()).map(pair).collect()
}

/// Whether a caller's choice is kept, and the part of the others.
fn sampler(from: &mut Reader<'_>) -> (bool, f64) {
    let allowed = "always_on, always_off, traceidratio, or one of these after parentbased_";
    let kind = from.with("OTEL_TRACES_SAMPLER", "parentbased_always_on", allowed, |word| {
        let bare = word.strip_prefix("parentbased_");
        let ratio = match bare.unwrap_or(word) {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => None,
            _ => return None,
        };
        Some((bare.is_some(), ratio))
    });
    let part = from.with("OTEL_TRACES_SAMPLER_ARG", "1", "a number from 0 to 1", |value| {
        value.parse().ok().filter(|part| (0.0..=1.0).contains(part))
    });
    let (parent_based, ratio) = kind.unwrap_or((true, Some(1.0)));
    (parent_based, ratio.or(part).unwrap_or(1.0))
}
