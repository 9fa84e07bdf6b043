//! Judges answers: the first by its text, those after it byte by byte against the first.

use std::cell::OnceCell;
use std::io;
use std::ops::Range;

use serde_json::Value;
use z2api_upstream_sim::text::words;

use crate::framing::bad;
use crate::options::Target;

/// What every answer must be.
#[derive(Debug)]
pub(crate) struct Judge {
    text: String,
    whole: bool,
    model: OnceCell<Model>,
}

/// A good answer, with what differs from answer to answer.
#[derive(Debug)]
struct Model {
    bytes: Vec<u8>,
    /// Everything but ids and times.
    fixed: Vec<Range<usize>>,
}

/// One answer, as it arrives.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    judge: &'a Judge,
    model: Option<&'a Model>,
    /// How many bytes have come.
    pub(crate) at: usize,
    /// Which part of the model comes next.
    part: usize,
    /// What cannot be compared yet: all of a first answer.
    kept: Vec<u8>,
}

impl Judge {
    pub(crate) fn new(target: &Target) -> Self {
        let text = words(target.bytes, target.seed);
        Self { whole: target.whole, ..Self::of(text) }
    }

    /// A judge of streams that say this.
    pub(crate) fn of(text: String) -> Self {
        Self { text, whole: false, model: OnceCell::new() }
    }

    pub(crate) fn reading(&self) -> Reading<'_> {
        let model = self.model.get();
        Reading { judge: self, model, at: 0, part: 0, kept: Vec::new() }
    }

    /// How many bytes an answer has, once one has come.
    pub(crate) fn size(&self) -> usize {
        self.model.get().map_or(0, |model| model.bytes.len())
    }
}

impl Reading<'_> {
    /// Takes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(model) = self.model else {
            self.kept.extend_from_slice(bytes);
            self.at += bytes.len();
            return Ok(());
        };
        let end = self.at + bytes.len();
        while let Some(part) = model.fixed.get(self.part).filter(|part| part.start < end) {
            let both = self.at.max(part.start)..end.min(part.end);
            if bytes[both.start - self.at..both.end - self.at] != model.bytes[both] {
                return Err(bad("an answer differs from the first"));
            }
            if part.end > end {
                break;
            }
            self.part += 1;
        }
        self.at = end;
        Ok(())
    }

    /// The answer is over, and must be whole.
    pub(crate) fn end(self) -> io::Result<()> {
        if let Some(model) = self.model {
            return if self.at == model.bytes.len() { Ok(()) } else { Err(bad("a short answer")) };
        }
        let text = if self.judge.whole { text_of_whole(&self.kept) } else { text_of(&self.kept) };
        if text.as_deref() != Some(self.judge.text.as_str()) {
            return Err(bad(format!("the text is not the upstream's: {text:?}")));
        }
        let fixed = fixed_in(&self.kept);
        self.judge.model.get_or_init(|| Model { bytes: self.kept, fixed });
        Ok(())
    }

    /// The answer is dropped within: what has come must be the beginning of the text.
    pub(crate) fn stop(self) -> io::Result<()> {
        let whole = self.kept.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
        let text =
            if self.model.is_some() { Some(String::new()) } else { text_of(&self.kept[..whole]) };
        match text {
            Some(text) if self.judge.text.starts_with(&text) => Ok(()),
            other => Err(bad(format!("not the beginning of the text: {other:?}"))),
        }
    }
}

/// The text of a stream in either dialect, or of OpenAI chunks.
fn text_of(stream: &[u8]) -> Option<String> {
    let mut text = String::new();
    for event in std::str::from_utf8(stream).ok()?.split_terminator("\n\n") {
        let data = match event.strip_prefix("data: ") {
            Some("[DONE]") => continue,
            Some(data) => data,
            None if event.starts_with(':') => continue,
            None => return None,
        };
        let event: Value = serde_json::from_str(data).ok()?;
        if !event["error"].is_null() {
            return None;
        }
        let (chunk, web) =
            (&event["choices"][0]["delta"]["content"], &event["data"]["delta_content"]);
        text += chunk.as_str().or(web.as_str()).unwrap_or_default();
    }
    Some(text)
}

/// The text of a completion; a forwarder gives a stream instead.
fn text_of_whole(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) => Some(body["choices"][0]["message"]["content"].as_str()?.to_owned()),
        Err(_) => text_of(body),
    }
}

/// Everything but the values of `id` and `created` at the start of each chunk.
fn fixed_in(answer: &[u8]) -> Vec<Range<usize>> {
    let text = String::from_utf8_lossy(answer);
    let mut fixed = Vec::new();
    let mut from = 0;
    let marks = [("\"id\":\"chatcmpl-", '"'), ("\"created\":", ',')];
    let mut varying: Vec<Range<usize>> = marks
        .iter()
        .flat_map(|(mark, close)| {
            text.match_indices(mark).map(|(at, mark)| {
                let start = at + mark.len();
                start..start + text[start..].find(*close).unwrap_or_default()
            })
        })
        .collect();
    varying.sort_by_key(|range| range.start);
    for range in varying {
        fixed.push(from..range.start);
        from = range.end;
    }
    fixed.push(from..answer.len());
    fixed
}
