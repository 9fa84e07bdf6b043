//! Text into the inside of a JSON string.

use bytes::{BufMut, BytesMut};
use z2api_wire::string::plain_len;

/// Appends `text` with the escapes JSON demands, and no others.
pub(crate) fn push_escaped(out: &mut BytesMut, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest));
        out.put_slice(plain);
        let [mark, after @ ..] = tail else { return };
        push_escape(out, *mark);
        rest = after;
    }
}

fn push_escape(out: &mut BytesMut, byte: u8) {
    match byte {
        b'"' => out.put_slice(b"\\\""),
        b'\\' => out.put_slice(b"\\\\"),
        b'\n' => out.put_slice(b"\\n"),
        b'\r' => out.put_slice(b"\\r"),
        b'\t' => out.put_slice(b"\\t"),
        8 => out.put_slice(b"\\b"),
        12 => out.put_slice(b"\\f"),
        control => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.put_slice(b"\\u00");
            out.put_slice(&[HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_reads_back_what_was_written(text in any::<String>()) {
            let mut out = BytesMut::from("\"");
            push_escaped(&mut out, &text);
            out.put_u8(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
