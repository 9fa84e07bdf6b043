//! An event on its way through the gateway allocates nothing, once its stream has begun.

use allocation_counter::measure;
use z2api_stream_transform::{AnswerId, Chunks, Encoder, Options, ThinkMode, Transform};
use z2api_wire::Malformed;
use z2api_wire::decode::EventDecoder;
use z2api_wire::event::Dialect;
use z2api_wire::sse::Decoder;

/// The message that edits refer to, and its like, may grow so often; each time they double.
const DOUBLINGS: u64 = 12;
const EVENTS: usize = 4000;

/// An event with escapes, and a character of several bytes.
fn event(dialect: Dialect, thinking: bool) -> String {
    let text = r#"a \"word\",\n> 天气 "#;
    match (dialect, thinking) {
        (Dialect::ZaiWeb, thinking) => {
            let phase = if thinking { "thinking" } else { "answer" };
            format!(
                r#"{{"type":"chat:completion","data":{{"delta_content":"{text}","phase":"{phase}"}}}}"#
            )
        }
        (Dialect::OpenAi, thinking) => {
            let field = if thinking { "reasoning_content" } else { "content" };
            format!(r#"{{"id":"x","choices":[{{"index":0,"delta":{{"{field}":"{text}"}}}}]}}"#)
        }
    }
}

#[test]
fn an_event_allocates_nothing_once_its_stream_has_begun() {
    let id = AnswerId { id: "chatcmpl-0".into(), created: 1, model: "GLM-4.5".into() };
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        for mode in ThinkMode::ALL {
            for thinking in [false, true] {
                let read = format!("data: {}\n\n", event(dialect, thinking));
                // The first event of a shape is parsed; one without escapes shows where its text is.
                let first = read.replace(r#"a \"word\",\n> 天气 "#, "a");
                let mut transform = Transform::new(Options::new(dialect, mode));
                let mut chunks = Chunks::new(&id, false);
                let (mut sse, mut events) = (Decoder::default(), EventDecoder::new(dialect));
                let mut take = |read: &str| {
                    let mut each = |data: &[u8]| {
                        events.decode(data, &mut |event| {
                            let _ = transform.push(&event, &mut chunks).expect("a good event");
                        })
                    };
                    sse.feed::<Malformed>(read.as_bytes(), &mut each).expect("a good event");
                    drop(chunks.take());
                };
                for _ in 0..4 {
                    take(&first);
                    take(&read);
                }
                let counted = measure(|| (0..EVENTS).for_each(|_| take(&read)));
                let allocated = counted.count_total;
                assert!(
                    allocated <= DOUBLINGS,
                    "{dialect} {mode}: {allocated} for {EVENTS} events"
                );
            }
        }
    }
}
