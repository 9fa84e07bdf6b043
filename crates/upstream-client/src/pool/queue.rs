//! Who waits for a token: one line for each model, first come, first served.

use std::collections::{HashMap, VecDeque};

/// As long as there are futures that wait; each takes its number back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    next: u64,
    lines: HashMap<String, VecDeque<u64>>,
}

impl Queues {
    /// Joins the line of a model; gives the number to wait with.
    pub(crate) fn join(&mut self, model: &str) -> u64 {
        self.next += 1;
        self.lines.entry(model.to_owned()).or_default().push_back(self.next);
        self.next
    }

    pub(crate) fn is_first(&self, model: &str, number: u64) -> bool {
        self.lines.get(model).is_some_and(|line| line.front() == Some(&number))
    }

    /// How many wait in all lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.values().map(VecDeque::len).sum()
    }

    pub(crate) fn leave(&mut self, model: &str, number: u64) {
        let Some(line) = self.lines.get_mut(model) else { return };
        if let Ok(at) = line.binary_search(&number) {
            line.remove(at);
        }
        if line.is_empty() {
            self.lines.remove(model);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_served_in_order_and_leaves_nothing_behind() {
        let mut queues = Queues::default();
        let (first, second, other) = (queues.join("a"), queues.join("a"), queues.join("b"));
        assert!(queues.is_first("a", first) && queues.is_first("b", other));
        assert_eq!(queues.len(), 3);
        assert!(!queues.is_first("a", second) && !queues.is_first("b", second));
        queues.leave("a", first);
        assert!(queues.is_first("a", second));
        queues.leave("a", second);
        queues.leave("b", other);
        assert!(queues.lines.is_empty() && queues.len() == 0);
    }
}
