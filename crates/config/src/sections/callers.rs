//! Who may ask: the API keys, and the key of those who run the gateway.

use std::net::IpAddr;

use z2api_stream_transform::ModelTable;
use z2api_upstream_client::Secret;

use crate::keys::{ApiKey, digest, random_key, read_keys};
use crate::reader::Reader;

/// Keys that stand in examples. Anyone knows them.
const PLACEHOLDERS: [&str; 8] = [
    "123456",
    "a-key-you-make-up",
    "api-key",
    "changeme",
    "your-api-key",
    "your-api-key-here",
    "your-key",
    "your_key",
];

/// All keys, the first of `DEFAULT_KEY`, and whether that was made up.
pub(super) fn keys(from: &mut Reader<'_>, ip: IpAddr) -> (Vec<ApiKey>, Option<Secret>, bool) {
    let words: Vec<Secret> =
        from.secrets("DEFAULT_KEY", "random").into_iter().map(Secret::new).collect();
    let mut keys: Vec<ApiKey> = words.iter().map(ApiKey::unlimited).collect();
    refuse_placeholders(from, "DEFAULT_KEY", &keys, ip);
    let listed = from.file("API_KEYS_FILE", "none", read_keys).unwrap_or_default();
    refuse_placeholders(from, "API_KEYS_FILE", &listed, ip);
    keys.extend(listed);
    if keys.is_empty() {
        let key = random_key();
        return (vec![ApiKey::unlimited(&key)], Some(key), true);
    }
    (keys, words.into_iter().next(), false)
}

/// Keys that anyone knows are for this machine alone.
fn refuse_placeholders(from: &mut Reader<'_>, variable: &'static str, keys: &[ApiKey], ip: IpAddr) {
    let known: Vec<[u8; 32]> = PLACEHOLDERS.iter().map(|key| digest(key.as_bytes())).collect();
    if !ip.is_loopback() && keys.iter().any(|key| known.contains(&key.digest)) {
        let allowed = "a key of your own: this one stands in examples, so anyone knows it (it may \
                       be used with HOST=127.0.0.1)";
        from.secret_problem(variable, allowed);
    }
}

/// A key may name models that are not there yet; more likely the name is misspelt.
pub(super) fn warn_of_unknown_models(from: &mut Reader<'_>, keys: &[ApiKey], models: &ModelTable) {
    for key in keys {
        let named = key.models.iter().flatten();
        for model in named.filter(|model| models.get(model).is_none()) {
            let owner = key.name.as_deref().unwrap_or_default();
            from.warnings
                .push(format!("API_KEYS_FILE: {owner} may ask {model:?}, which is no model"));
        }
    }
}

/// None of the clients': whoever may ask a model would see all that the operator sees.
pub(super) fn admin_key(
    from: &mut Reader<'_>,
    ip: IpAddr,
    of_clients: &[ApiKey],
) -> Option<Secret> {
    let mut words = from.secrets("ADMIN_KEY", "none");
    let keys: Vec<ApiKey> =
        words.iter().cloned().map(|w| ApiKey::unlimited(&Secret::new(w))).collect();
    refuse_placeholders(from, "ADMIN_KEY", &keys, ip);
    if words.len() > 1 {
        from.secret_problem("ADMIN_KEY", "one key, without commas");
    } else if keys.iter().any(|key| of_clients.iter().any(|client| client.digest == key.digest)) {
        from.secret_problem("ADMIN_KEY", "another key than those of the clients");
    }
    words.pop().map(Secret::new)
}
