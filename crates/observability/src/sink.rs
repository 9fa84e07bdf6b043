//! Where lines go: a bounded queue, and a thread that writes.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tracing::Level;

use crate::line::now;
use crate::pretty::{LogFormat, pretty};

/// What may be held until it is written, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// What may be held until it is written, in lines.
const MAX_LINES: usize = 16 * 1024;
/// What is written at once, in bytes: the form in which it is written is held besides.
const AT_ONCE: usize = 64 * 1024;
/// How long lines are gathered before they are written: waking the writer costs more than a line.
const GATHER: Duration = Duration::from_millis(5);
/// How long the end of the process waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How much of what may be held lines of this level and those below it may take, in eighths: the
/// lines that tell of trouble still find room where many others are.
fn share(level: Level) -> usize {
    match level {
        Level::ERROR => 8,
        Level::WARN => 7,
        Level::INFO => 6,
        _ => 4,
    }
}

/// Takes lines and never waits. Cheap to clone. Over its bound a line is dropped and counted, and
/// once there is room a line of type `log_dropped` says how many. The last of the room is kept for
/// warnings, and the very last for errors.
#[derive(Clone)]
pub struct LogSink {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something to write, or the end has come.
    work: Condvar,
    /// Told when everything is written.
    done: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    /// All that is held: the lines, and what is being written.
    held: Held,
    /// Dropped, and not yet told of.
    untold: u64,
    dropped: u64,
    /// The writer waits for a line.
    idle: bool,
    closed: bool,
    finished: bool,
}

/// How much is held.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    bytes: usize,
    lines: usize,
}

/// What a line costs, in bytes: all that was allocated for it.
fn cost(line: &String) -> usize {
    line.capacity() + size_of::<String>()
}

impl Queue {
    /// The next lines to write, and the word of those that were dropped. They count as held until
    /// they are written.
    fn take(&mut self) -> (Vec<String>, Held) {
        let (mut lines, mut taken) = (Vec::new(), Held::default());
        while taken.bytes < AT_ONCE
            && let Some(line) = self.lines.pop_front()
        {
            taken = Held { bytes: taken.bytes + cost(&line), lines: taken.lines + 1 };
            lines.push(line);
        }
        let untold = std::mem::take(&mut self.untold);
        if untold > 0 {
            lines.push(dropped_line(untold));
        }
        (lines, taken)
    }

    fn settle(&mut self, taken: Held, written: bool) {
        self.held.bytes -= taken.bytes;
        self.held.lines -= taken.lines;
        if !written {
            self.dropped += taken.lines as u64;
        }
    }

    /// Whether it is better to wait for more.
    fn is_short(&self) -> bool {
        !self.closed && self.held.bytes < AT_ONCE
    }
}

/// Keeps the writer. Dropping it writes what is queued, for a second at most.
#[derive(Debug)]
pub struct LogGuard {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl LogSink {
    /// Writes to standard output.
    pub fn stdout(format: LogFormat) -> (Self, LogGuard) {
        Self::to(std::io::stdout(), format)
    }

    /// Writes to `writer`, from a thread of its own.
    pub fn to(writer: impl Write + Send + 'static, format: LogFormat) -> (Self, LogGuard) {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let for_writer = shared.clone();
        // A thread, since writing may block. Ended by the guard.
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&for_writer, writer, format))
            .ok();
        (Self { shared: shared.clone() }, LogGuard { shared, writer })
    }

    /// Keeps the lines in memory, for tests.
    pub fn memory() -> (Self, MemoryLog, LogGuard) {
        let memory = MemoryLog::default();
        let (sink, guard) = Self::to(memory.clone(), LogFormat::Json);
        (sink, memory, guard)
    }

    /// Queues a line of this level. One value is one line, whatever strings it holds.
    pub fn line(&self, level: Level, value: &impl Serialize) {
        let Ok(json) = serde_json::to_string(value) else { return };
        self.push(level, harmless(json));
    }

    /// How many lines have been dropped.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    fn push(&self, level: Level, line: String) {
        let mut queue = self.shared.lock();
        let share = share(level);
        let (bytes, lines) = (MAX_BYTES / 8 * share, MAX_LINES / 8 * share);
        if queue.held.bytes + cost(&line) > bytes || queue.held.lines >= lines {
            queue.dropped += 1;
            queue.untold += 1;
            return;
        }
        queue.held.bytes += cost(&line);
        queue.held.lines += 1;
        queue.lines.push_back(line);
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        if idle {
            self.shared.work.notify_one();
        }
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        let wait = self
            .shared
            .done
            .wait_timeout_while(self.shared.lock(), LAST_LINES, |queue| !queue.finished);
        let finished = wait.map(|(queue, _)| queue.finished).unwrap_or(false);
        // A writer that is stuck in a full pipe is left behind.
        if let (true, Some(writer)) = (finished, self.writer.take()) {
            let _ = writer.join();
        }
    }
}

/// Writes until the sink is closed and empty. What cannot be written counts as dropped.
fn write_all(shared: &Shared, mut writer: impl Write, format: LogFormat) {
    let mut batch = Vec::new();
    while let Some((lines, taken)) = next(shared) {
        for line in lines {
            append(&mut batch, &line, format);
        }
        let written = writer.write_all(&batch).and_then(|()| writer.flush()).is_ok();
        batch.clear();
        batch.shrink_to(AT_ONCE);
        let mut queue = shared.lock();
        queue.settle(taken, written);
        drop(shared.work.wait_timeout_while(queue, GATHER, |queue| queue.is_short()));
    }
}

/// Waits for lines; None after the last.
fn next(shared: &Shared) -> Option<(Vec<String>, Held)> {
    let mut queue = shared.lock();
    while queue.lines.is_empty() && queue.untold == 0 {
        if queue.closed {
            queue.finished = true;
            shared.done.notify_all();
            return None;
        }
        queue.idle = true;
        queue = shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
    Some(queue.take())
}

/// Adds a line in its form. Done by the writing thread: nobody waits for it.
fn append(batch: &mut Vec<u8>, json: &str, format: LogFormat) {
    let for_people = match format {
        LogFormat::Json => None,
        LogFormat::Pretty => pretty(json).map(harmless),
    };
    batch.extend_from_slice(for_people.as_deref().unwrap_or(json).as_bytes());
    batch.push(b'\n');
}

fn dropped_line(count: u64) -> String {
    let now = now();
    format!(
        "{{\"type\":\"log_dropped\",\"level\":\"WARN\",\"timestamp\":\"{now}\",\"count\":{count}}}"
    )
}

/// Escapes what could break or disguise a line on a terminal: JSON itself allows it in strings,
/// and outside of strings it does not occur.
fn harmless(json: String) -> String {
    let mut rest = json.as_str();
    let Some(mut at) = harm(rest) else { return json };
    let mut out = String::with_capacity(json.len() + 64);
    loop {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut chars = from.chars();
        for unit in chars.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
        rest = chars.as_str();
        match harm(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.push_str(rest);
    out
}

/// Where the first harmful character is. By bytes: most begin no character that could be one.
fn harm(text: &str) -> Option<usize> {
    let is_harm = |(at, byte)| match byte {
        0x7f => true,
        // The first bytes of the others. No character has one of these in its middle.
        0xc2 | 0xd8 | 0xe1 | 0xe2 | 0xef | 0xf3 => text[at..].starts_with(is_harmful),
        _ => false,
    };
    text.bytes().enumerate().position(is_harm)
}

/// Controls beyond those that JSON escapes itself, separators of lines, what turns the direction of
/// text, what is not seen, and tags.
fn is_harmful(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Lines kept in memory, for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl MemoryLog {
    /// The lines written so far.
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(String::from).collect()
    }
}

impl Write for MemoryLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::*;

    /// Any text, with more than its share of what breaks lines, colours or turns them.
    fn nasty() -> impl Strategy<Value = String> {
        let nasties = "\n\r\0\x07\x08\x1b\x7f\u{85}\u{9b}\u{200f}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e0041}\"\\= {}";
        let nasties: Vec<char> = nasties.chars().collect();
        let one = prop_oneof![any::<char>(), proptest::sample::select(nasties)];
        proptest::collection::vec(one, 0..40).prop_map(|chars| chars.into_iter().collect())
    }

    /// Told here once more, and by other means than the code's: controls, format characters,
    /// and separators of lines.
    fn is_nasty(c: char) -> bool {
        c.is_control()
            || "\u{61c}\u{2028}\u{2029}\u{feff}\u{ad}\u{180e}".contains(c)
            || ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{e0000}'..='\u{e007f}').contains(&c)
    }

    proptest! {
        #[test]
        fn one_value_is_one_line_whatever_it_holds(name in nasty(), text in nasty()) {
            for format in [LogFormat::Json, LogFormat::Pretty] {
                let memory = MemoryLog::default();
                let (sink, guard) = LogSink::to(memory.clone(), format);
                sink.line(Level::INFO, &serde_json::json!({ name.as_str(): text }));
                drop(guard);
                let lines = memory.lines();
                prop_assert_eq!(lines.len(), 1);
                prop_assert!(!lines[0].chars().any(is_nasty), "{:?}", lines[0]);
                if format == LogFormat::Json {
                    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
                    prop_assert_eq!(line[&name].as_str().unwrap(), &text);
                }
            }
        }
    }

    #[test]
    fn what_is_harmful_is_found_by_its_first_byte() {
        for c in '\0'..=char::MAX {
            let text = format!("天{c}é");
            assert_eq!(harm(&text), is_harmful(c).then_some(3), "{c:?}");
        }
    }

    /// Writes nothing until it is told to.
    struct Blocked(mpsc::Receiver<()>, MemoryLog);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_blocks_costs_lines_and_never_a_caller() {
        let (release, blocked) = mpsc::channel();
        let memory = MemoryLog::default();
        let (sink, guard) = LogSink::to(Blocked(blocked, memory.clone()), LogFormat::Json);
        for number in 0..3 * MAX_LINES {
            sink.line(Level::INFO, &number);
        }
        let dropped = sink.dropped();
        assert!(dropped >= (MAX_LINES as u64), "{dropped}");
        drop(release);
        drop(guard);
        let lines = memory.lines();
        let told: u64 = lines
            .iter()
            .filter_map(|line| {
                serde_json::from_str::<serde_json::Value>(line).ok()?["count"].as_u64()
            })
            .sum();
        assert_eq!(told, dropped);
        assert_eq!(
            lines.iter().filter(|line| !line.contains("count")).count() as u64 + dropped,
            3 * MAX_LINES as u64
        );
    }

    #[test]
    fn a_log_that_is_full_of_others_has_room_for_what_went_wrong() {
        let (release, blocked) = mpsc::channel();
        let memory = MemoryLog::default();
        let (sink, guard) = LogSink::to(Blocked(blocked, memory.clone()), LogFormat::Json);
        let levels = [Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        for level in levels {
            // Each fills what is left for it: none of a lower level finds room after it.
            (0..2 * MAX_LINES).for_each(|_| sink.line(level, &level.as_str()));
        }
        let dropped = sink.dropped();
        sink.line(Level::ERROR, &"ERROR");
        assert_eq!(sink.dropped(), dropped + 1, "errors are bounded, too");
        drop((release, guard));
        let count = |level: Level| {
            let quoted = format!("\"{level}\"");
            memory.lines().iter().filter(|line| **line == quoted).count()
        };
        let eighth = MAX_LINES / 8;
        assert_eq!(levels.map(count), [4 * eighth, 2 * eighth, eighth, eighth]);
    }

    /// Says when it is asked to write, and writes when it is told to.
    struct Stepped {
        asked: mpsc::Sender<()>,
        go_on: mpsc::Receiver<()>,
        written: MemoryLog,
    }

    impl Write for Stepped {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.asked.send(());
            let _ = self.go_on.recv();
            self.written.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Offers lines until one is dropped; gives the bytes of those that were taken.
    fn fill(sink: &LogSink) -> usize {
        let (line, before) = ("x".repeat(32 * 1024), sink.dropped());
        let taken = (0..).take_while(|_| {
            sink.line(Level::INFO, &line);
            sink.dropped() == before
        });
        taken.count() * line.len()
    }

    #[test]
    fn what_is_being_written_counts_until_it_is_written() {
        let ((asked, asks), (goes_on, go_on)) = (mpsc::channel(), mpsc::channel());
        let written = MemoryLog::default();
        let stepped = Stepped { asked, go_on, written: written.clone() };
        let (sink, guard) = LogSink::to(stepped, LogFormat::Json);
        sink.line(Level::INFO, &"first");
        asks.recv().unwrap();
        let mut taken = fill(&sink);
        let taken_at_first = taken;
        // Half of what is allocated for such a line is empty, and counts.
        assert!(taken > MAX_BYTES / 3, "{taken}");
        for _ in 0..3 {
            goes_on.send(()).unwrap();
            asks.recv().unwrap();
            taken += fill(&sink);
            let held = taken - written.lines().iter().map(String::len).sum::<usize>();
            assert!(held <= taken_at_first, "{held}");
        }
        drop((goes_on, asks));
        drop(guard);
    }

    #[test]
    fn what_was_queued_is_written_before_the_end() {
        let (sink, memory, guard) = LogSink::memory();
        for number in 0..1000 {
            sink.line(Level::INFO, &number);
        }
        drop(guard);
        assert_eq!(memory.lines().len(), 1000);
    }

    /// A closed pipe.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_count_as_dropped() {
        let (sink, guard) = LogSink::to(Broken, LogFormat::Json);
        sink.line(Level::INFO, &1);
        drop(guard);
        assert_eq!(sink.dropped(), 1);
    }
}
