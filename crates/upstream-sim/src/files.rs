//! Files: users may send them, guests may not.

use serde_json::json;

use crate::{faults, guests::GuestBook, record::Recorded, script::Script};

/// The record of the file in a multipart request; its id counts the requests.
pub(crate) fn answer(token: Option<&str>, request: &Recorded) -> Script {
    match token {
        None => faults::detail(401, "Not authenticated"),
        Some(token) if GuestBook::is_guest(token) => faults::detail(403, "Guests send no files."),
        Some(_) => {
            let body = String::from_utf8_lossy(&request.body);
            let name = body.split_once("filename=\"").and_then(|(_, rest)| rest.split_once('"'));
            let name = name.map_or("file", |(name, _)| name);
            let id = format!("sim-file-{:04}", request.number + 1);
            let meta = json!({ "name": name, "size": request.body.len() });
            faults::json(200, &json!({ "id": id, "filename": name, "meta": meta }))
        }
    }
}
