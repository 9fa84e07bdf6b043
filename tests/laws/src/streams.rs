//! The gateway's way of a stream gives the bytes of the slow one, however the stream is cut.

use z2api_stream_transform::{
    AnswerId, Chunks, Encoder, Options, Progress, Sink, ThinkMode, Transform,
};
use z2api_wire::Malformed;
use z2api_wire::decode::EventDecoder;
use z2api_wire::event::{Dialect, Event};
use z2api_wire::sse::Decoder;

use crate::reads::ways;
use crate::reference::{self, SlowChunks};

/// Any bytes, in both dialects.
pub fn streams(bytes: &[u8]) {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        for reads in ways(bytes) {
            said_alike(dialect, bytes, &reads, &[]);
        }
        said_alike(dialect, bytes, &[bytes], &["the", "。", "a\n"]);
    }
}

/// The stream says the same both ways, in every mode.
pub fn said_alike(dialect: Dialect, stream: &[u8], reads: &[&[u8]], stop: &[&str]) {
    let (events, read) = reference::events(dialect, stream);
    assert_eq!(decoded(dialect, reads), (events.clone(), read.clone()), "{}", shown(stream));
    for mode in ThinkMode::ALL {
        for include_usage in [false, true] {
            let mut options = Options::new(dialect, mode);
            options.stop = stop.iter().map(|word| (*word).to_owned()).collect();
            let mut slow = SlowChunks::new(id(), include_usage);
            reference::say(options.clone(), &events, &read, &mut slow);
            slow.event_end();
            let fast = fast(options, include_usage, reads);
            assert_eq!(fast, slow.out, "{mode}: {}", shown(stream));
        }
    }
}

fn id() -> AnswerId {
    AnswerId { id: "chatcmpl-0".into(), created: 1, model: "GLM-4.5".into() }
}

fn shown(stream: &[u8]) -> String {
    String::from_utf8_lossy(stream).into_owned()
}

/// The events of a stream as the gateway reads them.
fn decoded(dialect: Dialect, reads: &[&[u8]]) -> (Vec<Event<'static>>, Result<(), Malformed>) {
    let (mut sse, mut decoder) = (Decoder::default(), EventDecoder::new(dialect));
    let mut events = Vec::new();
    let mut each = |data: &[u8]| decoder.decode(data, &mut |event| events.push(event.into_owned()));
    let read = reads
        .iter()
        .try_for_each(|read| sse.feed::<Malformed>(read, &mut each))
        .and_then(|()| sse.finish::<Malformed>(&mut each));
    (events, read)
}

/// All frames of a stream on the gateway's way: a frame for each read.
fn fast(options: Options, include_usage: bool, reads: &[&[u8]]) -> String {
    let mut decoder = EventDecoder::new(options.dialect);
    let mut transform = Transform::new(options);
    let mut chunks = Chunks::new(&id(), include_usage);
    let mut out = Vec::new();
    let mut outcome = Ok(Progress::More);
    let mut sse = Decoder::default();
    for at in 0..=reads.len() {
        let mut each = |data: &[u8]| {
            decoder.decode(data, &mut |event| {
                if matches!(outcome, Ok(Progress::More)) {
                    outcome = transform.push(&event, &mut chunks).map_err(drop);
                }
            })
        };
        let read = match reads.get(at) {
            Some(read) => sse.feed::<Malformed>(read, &mut each),
            None => sse.finish::<Malformed>(&mut each),
        };
        if outcome == Ok(Progress::More) && read.is_err() {
            outcome = Err(());
        }
        out.extend_from_slice(&chunks.take());
        if outcome != Ok(Progress::More) {
            break;
        }
    }
    match outcome {
        Ok(_) => transform.end(&mut chunks).expect("chunks tell all"),
        Err(()) => transform.abort(&mut chunks),
    }
    out.extend_from_slice(&chunks.take());
    String::from_utf8(out).expect("UTF-8")
}
