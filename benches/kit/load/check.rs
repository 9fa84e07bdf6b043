//! Judges answers: the first by its text, those after it byte by byte against the first.

use std::cell::OnceCell;
use std::io;
use std::ops::Range;

use z2api_upstream_sim::text::words;

use crate::api::{Api, Said, fixed_in, said, said_whole};
use crate::framing::bad;
use crate::options::Target;

/// What every answer must be.
#[derive(Debug)]
pub(crate) struct Judge {
    text: String,
    api: Api,
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
        Self { whole: target.whole, api: Api::of(&target.path), ..Self::of(text) }
    }

    /// A judge of streams of chats that say this.
    pub(crate) fn of(text: String) -> Self {
        Self { text, api: Api::Chat, whole: false, model: OnceCell::new() }
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
        let Judge { text, api, whole, .. } = self.judge;
        match if *whole { said_whole(*api, &self.kept) } else { said(&self.kept) } {
            Some(Said { text: said, ended: true }) if said == *text => {}
            Some(Said { ended: false, .. }) => return Err(bad("an answer that has no end")),
            other => return Err(bad(format!("the text is not the upstream's: {other:?}"))),
        }
        let fixed = fixed_in(&self.kept);
        self.judge.model.get_or_init(|| Model { bytes: self.kept, fixed });
        Ok(())
    }

    /// The answer is dropped within: what has come must be the beginning of the text.
    pub(crate) fn stop(self) -> io::Result<()> {
        let whole = self.kept.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
        if self.model.is_some() {
            return Ok(());
        }
        match said(&self.kept[..whole]) {
            Some(said) if self.judge.text.starts_with(&said.text) => Ok(()),
            other => Err(bad(format!("not the beginning of the text: {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a tide 潮";

    /// A stream of each API, with ids that differ by `salt` and this end.
    fn stream(api: Api, salt: &str, text: &str, ended: bool) -> Vec<u8> {
        let (event, last) = match api {
            Api::Chat => (
                format!(
                    r#"{{"id":"chatcmpl-{salt}","created":1,"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#
                ),
                "[DONE]".to_owned(),
            ),
            Api::Text => (
                format!(r#"{{"id":"cmpl-{salt}","created":1,"choices":[{{"text":"{text}"}}]}}"#),
                "[DONE]".to_owned(),
            ),
            Api::Messages => (
                format!(
                    r#"{{"type":"content_block_delta","delta":{{"text":"{text}"}},"id":"msg_{salt}"}}"#
                ),
                r#"{"type":"message_stop"}"#.to_owned(),
            ),
            Api::Responses => (
                format!(
                    r#"{{"type":"response.output_text.delta","item_id":"msg_{salt}","delta":"{text}"}}"#
                ),
                format!(
                    r#"{{"type":"response.completed","response":{{"id":"resp_{salt}","error":null}}}}"#
                ),
            ),
        };
        let last = if ended { format!("event: x\ndata: {last}\n\n") } else { String::new() };
        format!(": a comment\n\ndata: {event}\n\n{last}").into_bytes()
    }

    fn judged(judge: &Judge, answer: &[u8], piece: usize) -> io::Result<()> {
        let mut reading = judge.reading();
        answer.chunks(piece).try_for_each(|bytes| reading.take(bytes))?;
        reading.end()
    }

    fn judge(api: Api) -> Judge {
        Judge { api, ..Judge::of(TEXT.to_owned()) }
    }

    const APIS: [Api; 4] = [Api::Chat, Api::Text, Api::Messages, Api::Responses];

    #[test]
    fn a_good_answer_passes_whatever_its_ids_and_pieces() {
        for api in APIS {
            let judge = judge(api);
            for (salt, piece) in [("one", 1000), ("two", 1), ("six", 7)] {
                judged(&judge, &stream(api, salt, TEXT, true), piece).unwrap();
            }
        }
    }

    #[test]
    fn a_first_answer_that_is_wrong_or_cut_is_found() {
        for api in APIS {
            for (text, ended) in [("a tide", true), ("a tide 湖", true), (TEXT, false)] {
                let judge = judge(api);
                assert!(judged(&judge, &stream(api, "one", text, ended), 9).is_err(), "{api:?}");
                assert_eq!(judge.size(), 0, "it is no measure for others");
            }
        }
    }

    #[test]
    fn any_byte_that_is_wrong_or_missing_in_a_later_answer_is_found() {
        for api in APIS {
            let (judge, good) = (judge(api), stream(api, "one", TEXT, true));
            judged(&judge, &good, 1000).unwrap();
            let salts: Vec<usize> =
                String::from_utf8_lossy(&good).match_indices("one").map(|(at, _)| at).collect();
            let varies = |at: usize| {
                salts.iter().any(|from| (*from..from + 3).contains(&at))
                    || good[..at].ends_with(b"\"created\":")
            };
            for at in (0..good.len()).filter(|at| !varies(*at)) {
                let mut wrong = good.clone();
                wrong[at] ^= 1;
                assert!(judged(&judge, &wrong, 5).is_err(), "{api:?}: byte {at} is wrong");
                wrong.remove(at);
                assert!(judged(&judge, &wrong, 5).is_err(), "{api:?}: byte {at} is missing");
            }
            assert!(judged(&judge, &good[..good.len() - 1], 5).is_err(), "{api:?}");
        }
    }

    #[test]
    fn a_stream_that_is_dropped_within_must_have_begun_as_the_text() {
        for (said, good) in [("a tide", true), ("a tale", false)] {
            let judge = judge(Api::Chat);
            let mut reading = judge.reading();
            reading.take(&stream(Api::Chat, "one", said, false)).unwrap();
            assert_eq!(reading.stop().is_ok(), good, "{said}");
        }
    }
}
