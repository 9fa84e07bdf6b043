//! Answers of the Responses API, kept in memory for requests that follow them. Not durable: they
//! are gone with the process, or once newer ones need their room.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use z2api_wire::openai::request::{Content, Message, Part};

/// How many bytes an answer is expected to have; only the cache's first size hangs on it.
const EXPECTED: u64 = 16 * 1024;

/// Kept answers by their id. The sum of their sizes is bounded.
#[derive(Debug)]
pub(crate) struct ResponseStore {
    kept: Cache<String, Arc<Kept>, BySize>,
}

/// A kept answer.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The digest of the key that asked: nobody else may see it.
    pub(crate) owner: [u8; 32],
    /// The response, as JSON.
    pub(crate) json: Bytes,
    /// The conversation with the answer, without instructions.
    pub(crate) conversation: Vec<Message>,
}

#[derive(Debug, Clone)]
struct BySize;

impl Weighter<String, Arc<Kept>> for BySize {
    fn weight(&self, id: &String, kept: &Arc<Kept>) -> u64 {
        let messages = kept.conversation.iter().map(size_of_message).sum::<usize>();
        (id.len() + kept.json.len() + messages) as u64
    }
}

impl ResponseStore {
    /// A store of at most so many bytes; 0 keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / EXPECTED).unwrap_or(usize::MAX).max(1);
        Self { kept: Cache::with_weighter(items, bytes, BySize) }
    }

    /// Keeps an answer, if it is not larger than the store.
    pub(crate) fn keep(&self, id: String, kept: Kept) {
        self.kept.insert(id, Arc::new(kept));
    }

    /// The answer of this id, if `owner` asked for it.
    pub(crate) fn get(&self, id: &str, owner: &[u8; 32]) -> Option<Arc<Kept>> {
        self.kept.get(id).filter(|kept| kept.owner == *owner)
    }

    /// Forgets an answer; false if there was none of `owner`'s.
    pub(crate) fn forget(&self, id: &str, owner: &[u8; 32]) -> bool {
        self.get(id, owner).is_some() && self.kept.remove(id).is_some()
    }
}

fn size_of_message(message: &Message) -> usize {
    let content = match &message.content {
        None => 0,
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => parts.iter().map(size_of_part).sum(),
    };
    let reasoning = message.reasoning_content.as_ref().map_or(0, String::len);
    let calls = message.tool_calls.as_ref().map_or(0, |calls| calls.get().len());
    size_of::<Message>() + content + reasoning + calls
}

fn size_of_part(part: &Part) -> usize {
    let held = match part {
        Part::Text { text } => text.len(),
        Part::Refusal { refusal } => refusal.len(),
        Part::ImageUrl { image_url: at }
        | Part::VideoUrl { video_url: at }
        | Part::FileUrl { file_url: at } => at.url.len(),
    };
    size_of::<Part>() + held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(owner: u8, text: usize) -> Kept {
        let conversation = vec![Message::user("x".repeat(text))];
        Kept { owner: [owner; 32], json: Bytes::new(), conversation }
    }

    #[test]
    fn an_answer_is_its_owners_alone() {
        let store = ResponseStore::new(1 << 20);
        store.keep("a".into(), kept(1, 10));
        assert!(store.get("a", &[1; 32]).is_some() && store.get("a", &[2; 32]).is_none());
        assert!(!store.forget("a", &[2; 32]) && store.forget("a", &[1; 32]));
        assert!(store.get("a", &[1; 32]).is_none());
    }

    #[test]
    fn the_store_stays_within_its_bytes() {
        let store = ResponseStore::new(64 * 1024);
        for at in 0..1_000 {
            store.keep(format!("{at}"), kept(1, 1024));
        }
        assert!(store.kept.weight() <= 64 * 1024, "{}", store.kept.weight());
        assert!(!store.kept.is_empty());
        store.keep("large".into(), kept(1, 65 * 1024));
        assert!(store.get("large", &[1; 32]).is_none());
        let none = ResponseStore::new(0);
        none.keep("a".into(), kept(1, 1));
        assert!(none.get("a", &[1; 32]).is_none());
    }
}
