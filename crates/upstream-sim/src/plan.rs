//! Plans: which script answers which request.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{record::Recorded, script::Script};

/// Decides how a chat request is answered.
pub trait Plan: Send + Sync + 'static {
    /// The script for this request; `request.number` counts the chat requests from 0.
    fn answer(&self, request: &Recorded) -> Script;
}

/// The same answer for every request.
impl Plan for Script {
    fn answer(&self, _: &Recorded) -> Script {
        self.clone()
    }
}

impl<F: Fn(&Recorded) -> Script + Send + Sync + 'static> Plan for F {
    fn answer(&self, request: &Recorded) -> Script {
        self(request)
    }
}

/// A closure as a plan. A closure is one already; through here its argument needs no type.
pub fn plan_fn(answer: impl Fn(&Recorded) -> Script + Send + Sync + 'static) -> impl Plan {
    answer
}

/// Fails the first `n` requests that reach this plan, then answers.
pub fn fails_first(n: usize, failure: Script, then: Script) -> impl Plan {
    let asked = AtomicUsize::new(0);
    plan_fn(move |_| match asked.fetch_add(1, Ordering::Relaxed) < n {
        true => failure.clone(),
        false => then.clone(),
    })
}

/// Answers the requests that reach this plan one script after the other; the last one repeats.
///
/// # Panics
///
/// When there is no script.
pub fn sequence(scripts: Vec<Script>) -> impl Plan {
    assert!(!scripts.is_empty(), "a sequence needs at least one script");
    let asked = AtomicUsize::new(0);
    plan_fn(move |_| {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        scripts[turn.min(scripts.len() - 1)].clone()
    })
}
