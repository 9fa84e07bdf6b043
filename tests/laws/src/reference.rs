//! A slow and obvious way of a stream, which the gateway's own must equal byte by byte.
//!
//! It holds the whole stream, splits it into lines, parses every event, and writes every chunk by
//! serde. What the events mean is no affair of it: it pushes them into the same [`Transform`].

use serde::Serialize;
use z2api_stream_transform::{Annotation, AnswerId, Options, Progress, Sink, Transform};
use z2api_wire::event::{Dialect, Event, FinishReason, ToolCallDelta, Usage};
use z2api_wire::{Malformed, openai, zai};

/// The data of each event of a stream that has ended, by the standard.
pub fn datas(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    // A character for each byte, whatever it belongs to, so that bytes can be looked at as text.
    let stream: String = stream.iter().map(|byte| char::from(*byte)).collect();
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut event: Option<String> = None;
    for line in lines.split('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if line.is_empty() {
            events.extend(event.take());
        } else if name == "data" {
            event = Some(match event {
                Some(before) => format!("{before}\n{value}"),
                None => value.to_owned(),
            });
        }
    }
    events.extend(event);
    events.iter().map(|event| event.chars().map(|c| c as u8).collect()).collect()
}

/// The events of a stream that has ended, up to the first that cannot be read.
pub fn events(dialect: Dialect, stream: &[u8]) -> (Vec<Event<'static>>, Result<(), Malformed>) {
    let mut events = Vec::new();
    let mut emit = |event: Event<'_>| events.push(event.into_owned());
    let read = datas(stream).iter().try_for_each(|data| {
        let data = std::str::from_utf8(data);
        let data = data.map_err(|error| Malformed::NotUtf8(error.valid_up_to()))?;
        match dialect {
            Dialect::ZaiWeb => zai::decode(data, &mut emit),
            Dialect::OpenAi => openai::decode(data, &mut emit),
        }
    });
    (events, read)
}

/// What `sink` hears of a stream that was read: a whole answer or, if it turns out to be none, up
/// to there.
pub fn say(
    options: Options,
    events: &[Event<'_>],
    read: &Result<(), Malformed>,
    sink: &mut impl Sink,
) {
    let mut transform = Transform::new(options);
    for event in events {
        match transform.push(event, sink) {
            Ok(Progress::More) => {}
            Ok(Progress::Whole) => return end(transform, sink),
            Err(_) => return transform.abort(sink),
        }
    }
    match read {
        Ok(()) => end(transform, sink),
        Err(_) => transform.abort(sink),
    }
}

fn end(mut transform: Transform, sink: &mut impl Sink) {
    if transform.end(sink).is_err() {
        transform.abort(sink);
    }
}

/// The chunks of a stream, each made by serde.
#[derive(Debug)]
pub struct SlowChunks {
    id: AnswerId,
    include_usage: bool,
    /// What has been written.
    pub out: String,
    open: Option<(bool, String)>,
}

#[derive(Serialize)]
struct Chunk<'a, D> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<D>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<&'a Usage>>,
}

#[derive(Serialize)]
struct Choice<D> {
    index: u32,
    delta: D,
    logprobs: Option<()>,
    finish_reason: Option<FinishReason>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Cited>,
}

#[derive(Serialize)]
struct Call<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Cited {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: Citation,
}

#[derive(Serialize)]
struct Citation {
    start_index: usize,
    end_index: usize,
    title: String,
    url: String,
}

impl SlowChunks {
    /// Begins the stream of the answer `id`.
    pub fn new(id: AnswerId, include_usage: bool) -> Self {
        let mut chunks = Self { id, include_usage, out: String::new(), open: None };
        let first = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
        chunks.chunk(first, None);
        chunks
    }

    fn chunk(&mut self, delta: Delta<'_>, finish_reason: Option<FinishReason>) {
        let choice = Choice { index: 0, delta, logprobs: None, finish_reason };
        self.write(vec![choice], self.include_usage.then_some(None));
    }

    fn write<D: Serialize>(&mut self, choices: Vec<Choice<D>>, usage: Option<Option<&Usage>>) {
        let AnswerId { id, created, model } = &self.id;
        let object = "chat.completion.chunk";
        let chunk = Chunk { id, object, created: *created, model, choices, usage };
        let json = serde_json::to_string(&chunk).expect("a chunk is JSON");
        self.out += &format!("data: {json}\n\n");
    }

    fn text(&mut self, reasoning: bool, text: &str) {
        if self.open.as_ref().is_some_and(|(of_reasoning, _)| *of_reasoning != reasoning) {
            self.event_end();
        }
        self.open.get_or_insert_with(|| (reasoning, String::new())).1 += text;
    }
}

impl Sink for SlowChunks {
    fn content(&mut self, text: &str) {
        self.text(false, text);
    }

    fn reasoning(&mut self, text: &str) {
        self.text(true, text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        self.event_end();
        let tool_calls = vec![Call {
            index: call.index,
            id: call.id.as_deref(),
            kind: call.id.is_some().then_some("function"),
            function: Function { name: call.name.as_deref(), arguments: &call.arguments },
        }];
        self.chunk(Delta { tool_calls, ..Delta::default() }, None);
    }

    fn annotations(&mut self, annotations: Vec<Annotation>) {
        self.event_end();
        let cited = annotations.into_iter().map(|Annotation { url, title, range }| Cited {
            kind: "url_citation",
            url_citation: Citation { start_index: range.start, end_index: range.end, url, title },
        });
        self.chunk(Delta { annotations: cited.collect(), ..Delta::default() }, None);
    }

    fn event_end(&mut self) {
        if let Some((reasoning, text)) = self.open.take() {
            let text = Some(text.as_str());
            let delta = match reasoning {
                true => Delta { reasoning_content: text, ..Delta::default() },
                false => Delta { content: text, ..Delta::default() },
            };
            self.chunk(delta, None);
        }
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.event_end();
        self.chunk(Delta::default(), Some(reason));
        if let (true, Some(usage)) = (self.include_usage, usage) {
            self.write::<Delta<'_>>(Vec::new(), Some(Some(usage)));
        }
        self.out += "data: [DONE]\n\n";
    }
}
