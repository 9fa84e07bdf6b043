//! How an API key is shown.

/// The first four and the last four characters with stars between, if at least eight stay
/// hidden; otherwise stars alone.
pub fn mask_key(key: &str) -> String {
    if key.chars().count() < 16 {
        return "****".to_owned();
    }
    let mut starts = key.char_indices().map(|(at, _)| at);
    let (first, last) = (starts.nth(4), starts.nth_back(3));
    format!("{}****{}", &key[..first.unwrap_or(0)], &key[last.unwrap_or(key.len())..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_characters_stay_hidden_or_all() {
        assert_eq!(mask_key("sk-1234567890abcd"), "sk-1****abcd");
        assert_eq!(mask_key("0123456789abcdef"), "0123****cdef");
        assert_eq!(mask_key("0123456789abcde"), "****");
        assert_eq!(mask_key(""), "****");
        assert_eq!(mask_key("ключключключключ"), "ключ****ключ");
    }
}
