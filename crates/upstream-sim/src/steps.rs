//! A script, step by step: what to do next on the wire. No I/O here.

use std::{io::Write, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::script::{Ending, Framing, Script};

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Say nothing for so long.
    Wait(Duration),
    /// Write the frame.
    Write,
    /// Write the frame (it may be empty); with it, the answer is whole.
    LastWrite,
    /// Say nothing until the peer closes.
    Stall,
    /// Close the connection, too early.
    Cut,
    /// Reset the connection.
    Reset,
}

/// Walks through a script.
pub(crate) struct Steps {
    script: Script,
    pieces: Pieces,
    stage: Stage,
    written: usize,
    close: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    BeforeHead,
    Head,
    BeforeBody,
    Body,
    AfterWrite,
    End,
}

impl Steps {
    /// `close`: the connection ends with this answer.
    pub(crate) fn new(script: Script, close: bool) -> Self {
        let pieces = Pieces::of(&script);
        let close = close || script.framing == Framing::UntilClose;
        Self { script, pieces, stage: Stage::BeforeHead, written: 0, close }
    }

    /// Whether the connection ends with this answer.
    pub(crate) fn closes(&self) -> bool {
        self.close
    }

    /// The next step; what it writes is put into `frame`. After a `LastWrite`, `Stall`, `Cut` or
    /// `Reset` there is nothing more to ask for.
    pub(crate) fn next(&mut self, frame: &mut Vec<u8>) -> Step {
        frame.clear();
        match self.stage {
            Stage::BeforeHead => self.then(Stage::Head, Step::Wait(self.script.head_after)),
            Stage::Head => {
                self.head(frame);
                // Without a body nothing after the head would tell the peer that it has it all.
                let bodyless = self.pieces.is_empty() && self.script.framing == Framing::Length;
                match self.script.ending {
                    Ending::Clean if bodyless => self.then(Stage::End, Step::LastWrite),
                    Ending::Clean | Ending::Stall(_) | Ending::Cut(_) | Ending::Reset(_) => {
                        self.then(Stage::BeforeBody, Step::Write)
                    }
                }
            }
            Stage::BeforeBody => self.then(Stage::Body, Step::Wait(self.script.first_after)),
            Stage::Body => self.body(frame),
            Stage::AfterWrite => match self.fault() {
                Some(fault) => fault,
                None if self.pieces.is_empty() => {
                    self.then(Stage::End, Step::Wait(self.script.end_after))
                }
                None => self.then(Stage::Body, Step::Wait(self.script.pace)),
            },
            Stage::End => {
                self.end(frame);
                Step::LastWrite
            }
        }
    }

    fn then(&mut self, stage: Stage, step: Step) -> Step {
        self.stage = stage;
        step
    }

    fn body(&mut self, frame: &mut Vec<u8>) -> Step {
        if let Some(fault) = self.fault() {
            return fault;
        }
        let Some(piece) = self.pieces.next() else {
            return self.then(Stage::End, Step::Wait(self.script.end_after));
        };
        self.written += 1;
        match self.script.framing {
            Framing::Chunked => {
                put(frame, format_args!("{:x}\r\n", piece.len()));
                frame.extend_from_slice(&piece);
                frame.extend_from_slice(b"\r\n");
            }
            Framing::Length | Framing::UntilClose => frame.extend_from_slice(&piece),
        }
        let last = self.pieces.is_empty() && self.script.ending == Ending::Clean;
        let waits = !self.script.end_after.is_zero() && self.script.framing != Framing::Length;
        if last && !waits {
            self.end(frame);
            return self.then(Stage::End, Step::LastWrite);
        }
        self.then(Stage::AfterWrite, Step::Write)
    }

    /// The script's fault, when its time has come.
    fn fault(&self) -> Option<Step> {
        let due = |writes: usize| self.written >= writes || self.pieces.is_empty();
        match self.script.ending {
            Ending::Clean => None,
            Ending::Stall(writes) => due(writes).then_some(Step::Stall),
            Ending::Cut(writes) => due(writes).then_some(Step::Cut),
            Ending::Reset(writes) => due(writes).then_some(Step::Reset),
        }
    }

    fn head(&self, frame: &mut Vec<u8>) {
        put(frame, format_args!("HTTP/1.1 {} Simulated\r\n", self.script.status));
        for (name, value) in &self.script.headers {
            put(frame, format_args!("{name}: {value}\r\n"));
        }
        let told =
            |name: &str| self.script.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !told("content-length") && !told("transfer-encoding") {
            match self.script.framing {
                Framing::Length => {
                    let length: usize = self.script.writes.iter().map(Bytes::len).sum();
                    put(frame, format_args!("content-length: {length}\r\n"));
                }
                Framing::Chunked => frame.extend_from_slice(b"transfer-encoding: chunked\r\n"),
                Framing::UntilClose => {}
            }
        }
        if self.close {
            frame.extend_from_slice(b"connection: close\r\n");
        }
        frame.extend_from_slice(b"\r\n");
    }

    fn end(&self, frame: &mut Vec<u8>) {
        match self.script.framing {
            Framing::Chunked => frame.extend_from_slice(b"0\r\n\r\n"),
            Framing::Length | Framing::UntilClose => {}
        }
    }
}

fn put(frame: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    frame.write_fmt(text).expect("a vector takes every write");
}

/// The body, piece by piece; no piece is empty.
struct Pieces {
    writes: Arc<[Bytes]>,
    at: usize,
    rest: Bytes,
    size: usize,
    repeated: Option<Bytes>,
}

impl Pieces {
    fn of(script: &Script) -> Self {
        Self {
            writes: Arc::clone(&script.writes),
            at: 0,
            rest: Bytes::new(),
            size: script.piece.unwrap_or(usize::MAX),
            repeated: script.repeated(),
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.rest = self.writes.get(self.at).or(self.repeated.as_ref())?.clone();
            self.at = self.at.saturating_add(1);
        }
        Some(self.rest.split_to(self.size.min(self.rest.len())))
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.at >= self.writes.len() && self.repeated.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every step with its frame, waits of no length left out, at most twelve.
    fn walk(script: Script) -> Vec<(Step, String)> {
        let mut steps = Steps::new(script, false);
        let mut frame = Vec::new();
        let mut walked = Vec::new();
        while walked.len() < 12 {
            let step = steps.next(&mut frame);
            if step == Step::Wait(Duration::ZERO) {
                continue;
            }
            walked.push((step, String::from_utf8(frame.clone()).unwrap()));
            match step {
                Step::Wait(_) | Step::Write => {}
                Step::LastWrite | Step::Stall | Step::Cut | Step::Reset => break,
            }
        }
        walked
    }

    fn after_the_head(script: Script) -> Vec<(Step, String)> {
        walk(script).split_off(1)
    }

    fn step(step: Step, frame: &str) -> (Step, String) {
        (step, frame.to_owned())
    }

    #[test]
    fn the_closing_chunk_leaves_with_the_last_write() {
        assert_eq!(
            after_the_head(Script::events(["a", "b"])),
            [
                step(Step::Write, "9\r\ndata: a\n\n\r\n"),
                step(Step::LastWrite, "9\r\ndata: b\n\n\r\n0\r\n\r\n"),
            ]
        );
    }

    #[test]
    fn a_late_end_comes_by_itself() {
        let wait = Duration::from_secs(1);
        assert_eq!(
            after_the_head(Script::events(["a"]).end_after(wait)),
            [
                step(Step::Write, "9\r\ndata: a\n\n\r\n"),
                step(Step::Wait(wait), ""),
                step(Step::LastWrite, "0\r\n\r\n"),
            ]
        );
    }

    #[test]
    fn waits_stand_before_the_head_the_first_write_and_between_writes() {
        let [head, first, pace] = [1, 2, 3].map(Duration::from_secs);
        let script = Script::events(["a", "b"]).head_after(head).first_after(first).pace(pace);
        let steps: Vec<Step> = walk(script).into_iter().map(|(step, _)| step).collect();
        assert_eq!(
            steps,
            [
                Step::Wait(head),
                Step::Write,
                Step::Wait(first),
                Step::Write,
                Step::Wait(pace),
                Step::LastWrite,
            ]
        );
    }

    #[test]
    fn an_empty_answer_is_whole_with_its_head() {
        let walked = walk(Script::status(200, "text/plain", ""));
        assert_eq!(walked.len(), 1);
        assert_eq!(walked[0].0, Step::LastWrite);
        assert!(walked[0].1.contains("content-length: 0\r\n"));
        assert_eq!(after_the_head(Script::sse("")), [step(Step::LastWrite, "0\r\n\r\n")]);
    }

    #[test]
    fn a_fault_comes_at_its_write_or_after_the_last() {
        let events = || Script::events(["a", "b"]);
        assert_eq!(after_the_head(events().cut_after(0)), [step(Step::Cut, "")]);
        let a = step(Step::Write, "9\r\ndata: a\n\n\r\n");
        let b = step(Step::Write, "9\r\ndata: b\n\n\r\n");
        let once = after_the_head(events().stall_after(1).pace(Duration::from_secs(9)));
        assert_eq!(once, [a.clone(), step(Step::Stall, "")]);
        assert_eq!(after_the_head(events().reset_after(9)), [a, b, step(Step::Reset, "")]);
    }

    #[test]
    fn an_endless_answer_repeats_its_last_event() {
        let walked = after_the_head(Script::sse("data: a\n\ndata: b\n\n").endless());
        assert_eq!(walked.len(), 11);
        assert_eq!(walked[0].1, "12\r\ndata: a\n\ndata: b\n\n\r\n");
        assert_eq!(walked[10].1, "9\r\ndata: b\n\n\r\n");
    }

    #[test]
    fn pieces_cut_through_events() {
        let frames: Vec<String> = after_the_head(Script::events(["ab", "c"]).pieces_of(7))
            .into_iter()
            .map(|(_, frame)| frame)
            .collect();
        assert_eq!(frames, ["7\r\ndata: a\r\n", "7\r\nb\n\ndata\r\n", "5\r\n: c\n\n\r\n0\r\n\r\n"]);
    }

    #[test]
    fn a_script_may_lie_about_its_length() {
        let head = walk(Script::status(200, "text/plain", "ab").header("Content-Length", "9"));
        assert!(head[0].1.contains("Content-Length: 9\r\n"));
        assert!(!head[0].1.contains("content-length: 2"));
    }
}
