//! Where citations stand, if the text of an answer is told as several messages.

use crate::sink::Annotation;

/// Gives each message the annotations of its stretch, counted from its start. Those that nothing in
/// the text refers to stand at the end of the last.
#[derive(Debug)]
pub(super) struct Places<'a> {
    all: &'a [Annotation],
    /// Characters of the messages before.
    start: usize,
}

impl<'a> Places<'a> {
    pub(super) fn new(all: &'a [Annotation]) -> Self {
        Self { all, start: 0 }
    }

    /// Those of the next message, which has so many characters.
    pub(super) fn next(&mut self, chars: usize, is_last: bool) -> Vec<Annotation> {
        let (start, end) = (self.start, self.start + chars);
        self.start = end;
        let is_here = |annotation: &&Annotation| {
            let range = &annotation.range;
            range.start >= start && range.end <= end && (is_last || !range.is_empty())
        };
        let shifted = |annotation: &Annotation| {
            let range = annotation.range.start - start..annotation.range.end - start;
            Annotation { range, ..annotation.clone() }
        };
        self.all.iter().filter(is_here).map(shifted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_counts_from_the_start_of_its_message() {
        let cited = |range| Annotation { url: "u".into(), title: "t".into(), range };
        let all = [cited(1..3), cited(4..6), cited(5..5), cited(9..9)];
        let mut places = Places::new(&all);
        let mut next = |chars, is_last| -> Vec<(usize, usize)> {
            let found = places.next(chars, is_last).into_iter();
            found.map(|found| (found.range.start, found.range.end)).collect()
        };
        assert_eq!(next(4, false), [(1, 3)]);
        assert_eq!(next(5, true), [(0, 2), (1, 1), (5, 5)]);
    }
}
