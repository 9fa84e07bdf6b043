//! Remembers what has been said, so that an edited message says only what is new.
//!
//! A client cannot take text back. After an edit the whole message is read again; what has been
//! said already is passed over by its length, and only what goes beyond it is said. Text that an
//! edit puts before something already said cannot be said any more; it is counted.

use crate::markup::Piece;

/// One block of thinking, or one stretch of answer.
#[derive(Debug, Default)]
struct Stretch {
    thinking: bool,
    /// How much of it has been said, in bytes.
    bytes: usize,
    opened: bool,
    closed: bool,
}

/// Where the current reading is.
#[derive(Debug, Clone, Copy)]
struct Place {
    thinking: bool,
    /// Which stretch it is, or None if it cannot be said any more.
    stretch: Option<usize>,
    /// How much of it has been read, in bytes.
    read: usize,
}

/// What has been said of a message.
#[derive(Debug, Default)]
pub(crate) struct Said {
    stretches: Vec<Stretch>,
    /// The first stretch that this reading has not met.
    next: usize,
    place: Option<Place>,
    lost: bool,
}

impl Said {
    /// The message is read again from its start.
    pub(crate) fn read_again(&mut self) {
        self.next = 0;
        self.place = None;
    }

    /// Whether text had to be left out since the last call.
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Hands on what of `piece` has not been said.
    pub(crate) fn hear(&mut self, piece: Piece<'_>, say: &mut impl FnMut(Piece<'_>)) {
        match piece {
            Piece::Open(_) => {
                self.place = None;
                let place = self.enter(true);
                if let Some(stretch) = self.sayable(place)
                    && stretch.bytes == 0
                    && !std::mem::replace(&mut stretch.opened, true)
                {
                    say(piece);
                }
            }
            Piece::BlockEnd => {
                if let Some(place) = self.place.take()
                    && let Some(stretch) = self.sayable(place)
                    && !std::mem::replace(&mut stretch.closed, true)
                {
                    say(piece);
                }
            }
            Piece::Thinking(text) => {
                if let Some(fresh) = self.fresh(true, text) {
                    say(Piece::Thinking(fresh));
                }
            }
            Piece::Answer(text) => {
                if let Some(fresh) = self.fresh(false, text) {
                    say(Piece::Answer(fresh));
                }
            }
            Piece::ToolBlock(_) => say(piece),
        }
    }

    fn fresh<'a>(&mut self, thinking: bool, text: &'a str) -> Option<&'a str> {
        if self.goes_on(thinking, text.len()) {
            return Some(text);
        }
        let mut place = match self.place {
            Some(place) if place.thinking == thinking => place,
            _ => self.enter(thinking),
        };
        let before = place.read;
        place.read += text.len();
        self.place = Some(place);
        let said = place.stretch.map_or(0, |at| self.stretches[at].bytes);
        if place.read <= said {
            return None;
        }
        match self.sayable(place) {
            Some(stretch) if !stretch.closed => {
                stretch.bytes = place.read;
                let known = said.saturating_sub(before);
                Some(&text[text.ceil_char_boundary(known)..])
            }
            _ => {
                self.lost = true;
                None
            }
        }
    }

    /// Takes text that follows right after the last that was said, as nearly all does. False if it
    /// does not.
    fn goes_on(&mut self, thinking: bool, length: usize) -> bool {
        let Some((last, before)) = self.stretches.split_last_mut() else { return false };
        let Some(place) = &mut self.place else { return false };
        let goes_on = place.thinking == thinking
            && place.stretch == Some(before.len())
            && place.read == last.bytes
            && !last.closed;
        if goes_on {
            place.read += length;
            last.bytes = place.read;
        }
        goes_on
    }

    /// The stretch of a place, if nothing after it has been said.
    fn sayable(&mut self, place: Place) -> Option<&mut Stretch> {
        let last = self.stretches.len().checked_sub(1)?;
        (place.stretch == Some(last)).then(|| &mut self.stretches[last])
    }

    /// Finds the stretch that begins here among those said, or begins a new one.
    fn enter(&mut self, thinking: bool) -> Place {
        if !thinking {
            // Thinking that an edit has taken away.
            while self.stretches.get(self.next).is_some_and(|stretch| stretch.thinking) {
                self.next += 1;
            }
        }
        let stretch = match self.stretches.get(self.next) {
            Some(stretch) if stretch.thinking == thinking => Some(self.next),
            // Thinking that an edit has put before an answer already said.
            Some(_) => None,
            None => {
                self.stretches.push(Stretch { thinking, ..Stretch::default() });
                Some(self.next)
            }
        };
        self.next += usize::from(stretch.is_some());
        let place = Place { thinking, stretch, read: 0 };
        self.place = Some(place);
        place
    }
}
