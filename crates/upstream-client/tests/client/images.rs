//! Images in the web chat: a user's are sent ahead, a guest's are refused.

use serde_json::json;
use z2api_upstream_client::{Chat, Client, Dialect, Failed, Started};
use z2api_upstream_sim::{Script, Sim, fails_first, faults};

use crate::support::{TOKEN, WEB_DONE, client, settings, web_text};

fn fine() -> Script {
    Script::events([web_text("fine").as_str(), WEB_DONE])
}

/// Asks about these images.
async fn ask(client: &Client, urls: &[&str]) -> Result<Started, Failed> {
    let mut chat = Chat::ask("glm-4.5v", "");
    let mut parts = vec![json!({"type": "text", "text": "what is it?"})];
    parts.extend(urls.iter().map(|url| json!({"type": "image_url", "image_url": {"url": url}})));
    let message = json!({"role": "user", "content": parts});
    chat.messages = vec![serde_json::from_value(message).unwrap()];
    client.chat(&chat).await
}

#[tokio::test]
async fn a_users_images_are_sent_ahead_once_and_referred_to() {
    let plan = fails_first(1, faults::detail(500, "oh"), fine());
    let sim = Sim::start(plan).await.unwrap();
    let client = client(&sim, Dialect::ZaiWeb);
    let urls = ["data:image/png;base64,aGk=", "data:image/jpeg;base64,aG8="];
    assert_eq!(ask(&client, &urls).await.unwrap().attempts, 2);

    let requests = sim.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    let (files, chat) = ("/api/v1/files/", "/api/chat/completions");
    assert_eq!(paths, [files, files, chat, chat]);
    assert_eq!(requests[0].bearer(), Some(TOKEN));
    let form = String::from_utf8_lossy(&requests[0].body).into_owned();
    let boundary = requests[0].header("content-type").unwrap();
    let boundary = boundary.strip_prefix("multipart/form-data; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"image.png\"\r\n\
         content-type: image/png\r\n\r\nhi\r\n--{boundary}--\r\n"
    );
    assert_eq!(form, expected);

    let body = requests[3].json();
    let parts = &body["messages"][0]["content"];
    assert_eq!(parts[1], json!({"type": "image_url", "image_url": {"url": "sim-file-0001"}}));
    assert_eq!(parts[2]["image_url"]["url"], "sim-file-0002");
    let file = &body["files"][1];
    assert_eq!(file["url"], "/api/v1/files/sim-file-0002/content");
    assert_eq!(file["file"]["filename"], "image.jpeg");
    assert_eq!(file["ref_user_msg_id"], body["current_user_message_id"]);
}

/// The images are refused for this reason, and no chat and no file is sent.
async fn refused(guest: bool, url: &str, code: &str) {
    let sim = Sim::start(fine()).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    if guest {
        settings.token = None;
    }
    let failed = ask(&Client::new(settings).unwrap(), &[url]).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("bad_request", 1));
    assert_eq!(failed.error.fault().unwrap().code.as_deref(), Some(code));
    assert!(sim.requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    refused(true, "data:image/png;base64,aGk=", "image_needs_user_token").await;
    refused(false, "https://example.test/a.png", "remote_image").await;
    refused(false, "data:image/png;base64,?", "invalid_image").await;
}
