//! Answers of the Responses API, kept in memory for requests that follow them. Not durable: they
//! are gone with the process, or once newer ones need their room.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use z2api_wire::openai::request::{Content, Message, Part};

/// Kept answers by their id. The sum of their sizes is bounded; those that nobody has asked for the
/// longest go first.
#[derive(Debug)]
pub(crate) struct ResponseStore {
    inner: Mutex<Inner>,
    /// The most that may be kept, in bytes.
    limit: usize,
}

#[derive(Debug)]
struct Inner {
    kept: LruCache<String, Arc<Kept>>,
    bytes: usize,
}

/// Messages that answers share with those they go on from.
pub(crate) type Conversation = Vec<Arc<Message>>;

/// A kept answer.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The digest of the key that asked: nobody else may see it.
    pub(crate) owner: [u8; 32],
    /// The response, as JSON.
    pub(crate) json: Bytes,
    /// The conversation with the answer, without instructions.
    pub(crate) conversation: Conversation,
}

impl ResponseStore {
    /// A store of at most so many bytes; 0 keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        let inner = Inner { kept: LruCache::unbounded(), bytes: 0 };
        Self { inner: Mutex::new(inner), limit: usize::try_from(bytes).unwrap_or(usize::MAX) }
    }

    /// Whether a conversation is not too large to be kept.
    pub(crate) fn can_hold(&self, conversation: &Conversation) -> bool {
        size_of_conversation(conversation) < self.limit
    }

    /// Keeps an answer, if it is not larger than the store; older ones make room.
    pub(crate) fn keep(&self, id: String, kept: Kept) {
        let size = size_of_kept(&id, &kept);
        if size > self.limit {
            return;
        }
        let mut inner = self.lock();
        inner.bytes += size;
        if let Some((id, replaced)) = inner.kept.push(id, Arc::new(kept)) {
            inner.bytes -= size_of_kept(&id, &replaced);
        }
        while inner.bytes > self.limit
            && let Some((id, oldest)) = inner.kept.pop_lru()
        {
            inner.bytes -= size_of_kept(&id, &oldest);
        }
    }

    /// The answer of this id, if `owner` asked for it.
    pub(crate) fn get(&self, id: &str, owner: &[u8; 32]) -> Option<Arc<Kept>> {
        self.lock().kept.get(id).filter(|kept| kept.owner == *owner).cloned()
    }

    /// Forgets an answer; false if there was none of `owner`'s.
    pub(crate) fn forget(&self, id: &str, owner: &[u8; 32]) -> bool {
        let mut inner = self.lock();
        if inner.kept.peek(id).is_none_or(|kept| kept.owner != *owner) {
            return false;
        }
        if let Some((id, gone)) = inner.kept.pop_entry(id) {
            inner.bytes -= size_of_kept(&id, &gone);
        }
        true
    }

    /// Nothing is left half done where a holder could panic.
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size_of_kept(id: &str, kept: &Kept) -> usize {
    id.len() + kept.json.len() + size_of_conversation(&kept.conversation)
}

/// Bytes of a conversation.
pub(crate) fn size_of_conversation(conversation: &Conversation) -> usize {
    conversation.iter().map(|message| size_of_message(message)).sum()
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
        let conversation = vec![Arc::new(Message::user("x".repeat(text)))];
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
    fn the_oldest_make_room_and_the_newest_is_there() {
        let store = ResponseStore::new(64 * 1024);
        for at in 0..1_000 {
            store.keep(format!("{at}"), kept(1, 1024));
            assert!(store.get(&format!("{at}"), &[1; 32]).is_some(), "the newest");
            let inner = store.lock();
            assert!(inner.bytes <= 64 * 1024);
            let sum: usize = inner.kept.iter().map(|(id, kept)| size_of_kept(id, kept)).sum();
            assert_eq!(sum, inner.bytes);
        }
        assert!(store.get("0", &[1; 32]).is_none());
        store.keep("nearly all".into(), kept(1, 60 * 1024));
        assert!(store.get("nearly all", &[1; 32]).is_some());
        store.keep("too large".into(), kept(1, 65 * 1024));
        assert!(store.get("too large", &[1; 32]).is_none());
        assert!(store.get("nearly all", &[1; 32]).is_some(), "nothing made room for it");
        let none = ResponseStore::new(0);
        none.keep("a".into(), kept(1, 1));
        assert!(none.get("a", &[1; 32]).is_none());
    }
}
