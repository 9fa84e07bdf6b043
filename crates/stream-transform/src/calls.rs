//! Calls of the client's tools: what servers get wrong in their streams is put right.
//!
//! Seen of servers of OpenAI's shape: the id and the name repeated with the last arguments, all
//! calls under index 0, indices that begin at 1, no id at all. A name may come after the first
//! arguments, which then wait for it: other APIs tell it first.

use z2api_wire::event::ToolCallDelta;

use crate::message::MAX_MESSAGE;
use crate::view::TooLarge;

/// The calls of one answer, counted from 0, each with its id and its name once.
#[derive(Debug)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    salt: u64,
}

#[derive(Debug)]
struct Call {
    /// The upstream's index.
    index: u32,
    id: String,
    named: bool,
    /// Arguments that came before the name.
    waiting: String,
}

impl Calls {
    /// `salt` makes the ids of calls that come without one differ from those of other answers.
    pub(crate) fn new(salt: u64) -> Self {
        Self { calls: Vec::new(), salt }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes a piece and tells what is new in it.
    pub(crate) fn hear<'a>(
        &mut self,
        piece: &ToolCallDelta<'a>,
    ) -> Result<Option<ToolCallDelta<'a>>, TooLarge> {
        let known = self.calls.iter().rposition(|call| call.index == piece.index);
        let at = match known.filter(|at| !self.begins_another(*at, piece)) {
            Some(at) => at,
            None => self.begin(piece),
        };
        let call = &mut self.calls[at];
        if call.named {
            let arguments = piece.arguments.clone();
            let fresh = ToolCallDelta { index: at as u32, id: None, name: None, arguments };
            return Ok((!fresh.arguments.is_empty()).then_some(fresh));
        }
        if call.waiting.len() + piece.arguments.len() > MAX_MESSAGE {
            return Err(TooLarge);
        }
        call.waiting.push_str(&piece.arguments);
        call.named = piece.name.is_some();
        Ok(call.named.then(|| ToolCallDelta { name: piece.name.clone(), ..call.first(at) }))
    }

    /// No more comes: calls that were never named.
    pub(crate) fn nameless(&mut self) -> impl Iterator<Item = ToolCallDelta<'static>> {
        let calls = self.calls.iter_mut().enumerate();
        calls.filter(|(_, call)| !call.named).map(|(at, call)| {
            call.named = true;
            call.first(at)
        })
    }

    /// Another id and another name under an index that is taken.
    fn begins_another(&self, at: usize, piece: &ToolCallDelta<'_>) -> bool {
        let call = &self.calls[at];
        call.named && piece.name.is_some() && piece.id.as_deref().is_some_and(|id| id != call.id)
    }

    fn begin(&mut self, piece: &ToolCallDelta<'_>) -> usize {
        let at = self.calls.len();
        // Whoever answers the call has to name it.
        let made_up = || format!("call_{:016x}{at}", self.salt);
        let id = piece.id.as_deref().map_or_else(made_up, str::to_owned);
        self.calls.push(Call { index: piece.index, id, named: false, waiting: String::new() });
        at
    }
}

impl Call {
    /// What is told of it first, but for its name.
    fn first(&mut self, at: usize) -> ToolCallDelta<'static> {
        let (id, waiting) = (self.id.clone(), std::mem::take(&mut self.waiting));
        ToolCallDelta {
            index: at as u32,
            id: Some(id.into()),
            name: None,
            arguments: waiting.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    type Said<'a> = (u32, Option<&'a str>, Option<&'a str>, &'a str);

    fn check(pieces: &[Said<'static>], expected: &[Said<'static>]) {
        let mut calls = Calls::new(0xfeed);
        let mut said: Vec<_> = pieces
            .iter()
            .filter_map(|(index, id, name, arguments)| {
                let piece = ToolCallDelta {
                    index: *index,
                    id: id.map(Cow::Borrowed),
                    name: name.map(Cow::Borrowed),
                    arguments: Cow::Borrowed(arguments),
                };
                calls.hear(&piece).expect("small calls")
            })
            .collect();
        said.extend(calls.nameless());
        let said: Vec<Said<'_>> = said
            .iter()
            .map(|c| (c.index, c.id.as_deref(), c.name.as_deref(), c.arguments.as_ref()))
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_repeated_is_said_once() {
        check(
            &[
                (0, Some("a"), Some("f"), ""),
                (0, None, None, "{"),
                (0, Some("a"), Some("f"), "}"),
                (0, Some("a"), Some("f"), ""),
            ],
            &[(0, Some("a"), Some("f"), ""), (0, None, None, "{"), (0, None, None, "}")],
        );
    }

    #[test]
    fn calls_count_from_zero_however_the_upstream_counts() {
        check(
            &[(1, Some("a"), Some("f"), "1"), (3, Some("b"), Some("f"), "2"), (1, None, None, "3")],
            &[(0, Some("a"), Some("f"), "1"), (1, Some("b"), Some("f"), "2"), (0, None, None, "3")],
        );
    }

    #[test]
    fn another_call_under_the_same_index_is_another_call() {
        check(
            &[(0, Some("a"), Some("f"), "1"), (0, Some("b"), Some("f"), "2"), (0, None, None, "3")],
            &[(0, Some("a"), Some("f"), "1"), (1, Some("b"), Some("f"), "2"), (1, None, None, "3")],
        );
    }

    #[test]
    fn a_call_without_an_id_gets_one_and_keeps_it() {
        let made_up = Some("call_000000000000feed0");
        check(
            &[(0, None, Some("f"), "1"), (0, Some("late"), None, "2")],
            &[(0, made_up, Some("f"), "1"), (0, None, None, "2")],
        );
    }
    #[test]
    fn arguments_wait_for_the_name_of_their_call() {
        check(
            &[
                (0, Some("a"), None, "{"),
                (0, None, None, "1"),
                (0, None, Some("f"), "}"),
                (0, None, None, " "),
            ],
            &[(0, Some("a"), Some("f"), "{1}"), (0, None, None, " ")],
        );
    }

    #[test]
    fn a_call_that_is_never_named_is_told_at_the_end() {
        check(&[(0, Some("a"), None, "{"), (0, None, None, "}")], &[(0, Some("a"), None, "{}")]);
    }
}
