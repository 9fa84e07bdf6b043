//! Watches over all tests: what no log, error, page or panic may hold, and whether one does.
//!
//! Keys and texts are learnt from what tests configure and send, and from what the simulated upstream says. Every
//! line is held against all that the process has learnt so far, whichever gateway it comes from.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock};

/// What is looked for, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key or a token: no place may hold it.
    Key,
    /// What a client or the model said. Only a log that is told to holds it.
    Text,
    /// How the upstream words a failure. The client may read that, a log not.
    Complaint,
}

/// Everything that no log may hold without being told to.
pub const ANY: &[Kind] = &[Kind::Key, Kind::Text, Kind::Complaint];
/// What an error, a head or a page may not hold.
pub const SHOWN: &[Kind] = &[Kind::Key, Kind::Text];

/// A shorter word may stand anywhere by chance, in bytes.
const LEAST: usize = 8;
/// A log may cut a text: its beginning is looked for, so many bytes at most.
const MOST: usize = 40;

/// A word, and what it is.
type Secret = (Vec<u8>, Kind);

/// By their first bytes, so that a line costs the same however many there are.
static SECRETS: LazyLock<RwLock<HashMap<[u8; LEAST], Vec<Secret>>>> =
    LazyLock::new(RwLock::default);

static FOUND: Mutex<Found> = Mutex::new(Found { leaks: Vec::new(), gateways: 0 });

/// What was found, and how many gateways there are that tell it at their end.
struct Found {
    leaks: Vec<String>,
    gateways: usize,
}

/// Has a word looked for from now on; too short a one is passed over.
pub fn keep(kind: Kind, word: &str) {
    keep_one(kind, word);
    // As it stands in a line of JSON.
    let json = serde_json::to_string(word).expect("text is JSON");
    keep_one(kind, &json[1..json.len() - 1]);
}

fn keep_one(kind: Kind, word: &str) {
    let word = &word.as_bytes()[..word.len().min(MOST)];
    let Some(start) = word.first_chunk::<LEAST>() else { return };
    let known = |secrets: &HashMap<_, Vec<Secret>>| {
        secrets
            .get(start)
            .is_some_and(|some| some.iter().any(|(one, of)| one == word && *of == kind))
    };
    if !known(&SECRETS.read().unwrap_or_else(PoisonError::into_inner)) {
        let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
        secrets.entry(*start).or_default().push((word.to_vec(), kind));
    }
}

/// The first word of these kinds in a text.
pub fn find(kinds: &[Kind], text: &str) -> Option<String> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let bytes = text.as_bytes();
    let starts = bytes.windows(LEAST).enumerate();
    starts
        .filter_map(|(at, start)| Some((at, secrets.get(start)?)))
        .flat_map(|(at, some)| some.iter().map(move |secret| (at, secret)))
        .find(|(at, (word, kind))| kinds.contains(kind) && bytes[*at..].starts_with(word))
        .map(|(_, (word, _))| String::from_utf8_lossy(word).into_owned())
}

/// Looks for words of these kinds; one that is found is told at the end of the next gateway. Where there is no
/// gateway there may never be one again: then the process ends with it.
pub fn check(kinds: &[Kind], place: &str, text: &str) {
    let Some(word) = find(kinds, text) else { return };
    let leak = format!("{word:?} in {place}: {text}");
    let mut found = found();
    if found.gateways == 0 {
        // Not by `eprintln`, whose words would be kept for the end of the test.
        let _ = writeln!(std::io::stderr(), "a secret got out when no gateway was left: {leak}");
        std::process::abort();
    }
    found.leaks.push(leak);
}

/// A gateway begins.
pub fn begin() {
    found().gateways += 1;
}

/// A gateway ends, and takes what was found so far in this process.
pub fn end() -> Vec<String> {
    let mut found = found();
    found.gateways -= 1;
    std::mem::take(&mut found.leaks)
}

fn found() -> MutexGuard<'static, Found> {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner)
}
