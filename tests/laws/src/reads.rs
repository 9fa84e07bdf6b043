//! Cuts bytes into reads. The same bytes are always cut the same way, so that a case can be repeated.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The bytes in one read, one byte a read, and in two ways in reads of odd lengths.
pub(crate) fn ways(bytes: &[u8]) -> [Vec<&[u8]>; 4] {
    [vec![bytes], bytes.chunks(1).collect(), odd(bytes, 7), odd(bytes, 120)]
}

/// Reads of at most so many bytes, whose lengths depend on the bytes.
fn odd(bytes: &[u8], most: usize) -> Vec<&[u8]> {
    let (mut reads, mut rest) = (Vec::new(), bytes);
    let mut seed = DefaultHasher::new();
    bytes.hash(&mut seed);
    while !rest.is_empty() {
        reads.len().hash(&mut seed);
        let length = 1 + seed.finish() as usize % most;
        let (read, after) = rest.split_at(length.min(rest.len()));
        reads.push(read);
        rest = after;
    }
    reads
}
