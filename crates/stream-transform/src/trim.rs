//! Takes the blank lines off both ends of a block of thinking that comes in pieces.

/// Holds back white space until it is known whether text follows. The indentation of the first
/// line stays; so does everything between two lines of text.
#[derive(Debug, Default)]
pub(crate) struct BlankLines {
    held: String,
    begun: bool,
}

impl BlankLines {
    /// Takes a piece and hands on what is certain.
    pub(crate) fn push(&mut self, text: &str, out: &mut impl FnMut(&str)) {
        if self.begun && self.held.is_empty() {
            return self.go_on(text, out);
        }
        let solid = text.trim_end();
        if solid.is_empty() {
            return self.held.push_str(text);
        }
        if !self.begun {
            self.begun = true;
            self.held.push_str(&text[..text.len() - text.trim_start().len()]);
            let line = self.held.rfind('\n').map_or(0, |at| at + 1);
            self.held.drain(..line);
            self.held.push_str(solid.trim_start());
        } else {
            self.held.push_str(solid);
        }
        out(&std::mem::take(&mut self.held));
        self.go_on(&text[solid.len()..], out);
    }

    /// After text, all is certain but what follows the last text from its line end on.
    fn go_on(&mut self, text: &str, out: &mut impl FnMut(&str)) {
        let solid = text.trim_end().len();
        let line_end = text[solid..].find(['\n', '\r']);
        let (certain, rest) = text.split_at(line_end.map_or(text.len(), |at| solid + at));
        if !certain.is_empty() {
            out(certain);
        }
        self.held.push_str(rest);
    }

    /// The block is over: what is held was blank. Ready for the next block.
    pub(crate) fn end(&mut self) {
        self.held.clear();
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let chars: Vec<String> = text.chars().map(String::from).collect();
        for pieces in [vec![text.to_owned()], chars] {
            let (mut lines, mut out) = (BlankLines::default(), String::new());
            for piece in &pieces {
                lines.push(piece, &mut |text| out.push_str(text));
            }
            assert_eq!(out, expected, "{pieces:?}");
        }
    }

    #[test]
    fn blank_lines_at_the_ends_go_and_nothing_else() {
        check("\n \n  a\n\n  b  \n \n", "  a\n\n  b  ");
        check("a", "a");
        check(" a ", " a ");
        check("\n\n", "");
        check("a\n", "a");
        check("a \nb", "a \nb");
    }
}
