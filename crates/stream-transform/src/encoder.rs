//! What writes a streamed answer, one for each API that clients speak.

use bytes::Bytes;
use z2api_wire::openai::error::ErrorObject;

use crate::sink::Sink;

/// Hears an answer and writes it as server-sent events into a buffer of its own.
///
/// A new one has written what its stream begins with. [`Sink::finish`] writes the end of a whole
/// answer, [`Encoder::error`] that of a broken one; nothing follows either.
pub trait Encoder: Sink {
    /// Takes what has been written since the last call.
    fn take(&mut self) -> Bytes;

    /// Bytes written since the last [`Encoder::take`].
    fn len(&self) -> usize;

    /// Whether nothing has been written since the last [`Encoder::take`].
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what clients pass over. Keeps a silent connection alive.
    fn keep_alive(&mut self);

    /// Ends the stream with an error. `status` is the one an answer would have had if it had not
    /// begun.
    fn error(&mut self, status: u16, error: &ErrorObject<'_>);
}
