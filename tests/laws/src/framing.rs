//! The SSE decoder hands out the events of the standard, however the bytes are cut, and holds no
//! more than it may.

use z2api_wire::Malformed;
use z2api_wire::sse::Decoder;

use crate::reads::ways;
use crate::reference;

/// Small, so that fuzzers find it.
const MAX_EVENT: usize = 64;

/// Any bytes.
pub fn framing(bytes: &[u8]) {
    let slow = reference::datas(bytes);
    for reads in ways(bytes) {
        assert_eq!(decoded(Decoder::default(), &reads), (slow.clone(), Ok(())));
        bounded(bytes, &reads, &slow);
    }
}

fn decoded(mut decoder: Decoder, reads: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), Malformed>) {
    let mut events = Vec::new();
    let mut each = |data: &[u8]| {
        events.push(data.to_vec());
        Ok::<(), Malformed>(())
    };
    let read = reads
        .iter()
        .try_for_each(|read| decoder.feed(read, &mut each))
        .and_then(|()| decoder.finish(&mut each));
    (events, read)
}

/// A decoder of little room hands out the same events, up to one that is too large; and it refuses
/// only where there is something that long.
fn bounded(bytes: &[u8], reads: &[&[u8]], slow: &[Vec<u8>]) {
    let (events, read) = decoded(Decoder::new(MAX_EVENT), reads);
    assert!(slow.starts_with(&events), "{events:?} of {slow:?}");
    assert!(events.iter().all(|event| event.len() <= MAX_EVENT), "{events:?}");
    match read {
        Ok(()) => assert_eq!(events, slow),
        Err(Malformed::TooLarge(MAX_EVENT)) => {
            let line = |line: &[u8]| line.len() > MAX_EVENT;
            let long_line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).any(line);
            assert!(long_line || slow.iter().any(|event| event.len() > MAX_EVENT), "{slow:?}");
        }
        Err(other) => panic!("{other}"),
    }
}
