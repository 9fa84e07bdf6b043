//! Gzip, write by write.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Compresses the writes into one gzip stream, flushed after each, so that every write can be read
/// before the next one comes.
pub(crate) fn gzip(writes: &[Bytes]) -> Vec<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut compressed = Vec::with_capacity(writes.len());
    for write in writes {
        encoder.write_all(write).expect("a vector takes every write");
        encoder.flush().expect("a vector takes every write");
        compressed.push(Bytes::from(std::mem::take(encoder.get_mut())));
    }
    let trailer = encoder.finish().expect("a vector takes every write");
    match compressed.pop() {
        Some(last) => compressed.push([last, trailer.into()].concat().into()),
        None => compressed.push(trailer.into()),
    }
    compressed
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn the_writes_together_are_one_gzip_stream() {
        let writes =
            gzip(&[Bytes::from_static(b"data: a\n\n"), Bytes::from_static(b"data: b\n\n")]);
        assert_eq!(writes.len(), 2);
        let mut plain = String::new();
        GzDecoder::new(&writes.concat()[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, "data: a\n\ndata: b\n\n");
    }
}
