//! Small answers of an upstream in the web dialect, for tests that look at something else.

use z2api_upstream_sim::Script;

/// An event with a piece of an answer: `tide `.
pub const PIECE: &str =
    r#"{"type":"chat:completion","data":{"delta_content":"tide ","phase":"answer"}}"#;
/// The event that ends an answer.
pub const END: &str = r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#;

/// One piece, and the end.
pub fn fine() -> Script {
    Script::events([PIECE, END])
}

/// One piece, then nothing more, not even an end.
pub fn stuck() -> Script {
    fine().stall_after(1)
}

/// Has always more to say.
pub fn endless() -> Script {
    Script::events([PIECE]).endless()
}
