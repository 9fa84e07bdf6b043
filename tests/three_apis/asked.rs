//! What the upstream is asked: the same, whichever API the client speaks.

use serde_json::{Value, json};
use z2api_tests::web::fine;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::{Script, fails_first, faults};
use z2api_wire::event::Dialect;

use crate::answers::chunks;
use crate::api::{APIS, Api, Question};
use crate::heard::hear;

fn api_answer() -> Script {
    chunks(&[json!({"content": "fine"})], "stop", &Value::Null)
}

/// The upstream's request, after `change` to the client's.
async fn asked(
    api: Api,
    gateway: &Gateway,
    change: impl FnOnce(&mut Value),
) -> (Value, Option<String>) {
    let mut body = api.body(&Question::new(false));
    change(&mut body);
    let reply = api.send(gateway, KEY, &[], &body.to_string()).await;
    let ignored = reply.header("x-z2api-ignored").map(str::to_owned);
    hear(api, reply).await.whole();
    (gateway.sim.chats().pop().expect("a request").json(), ignored)
}

fn merge(body: &mut Value, fields: Value) {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
}

#[tokio::test]
async fn options_and_variants_reach_the_upstream() {
    let gateway = Gateway::start(Dialect::OpenAi, api_answer()).await;
    for (model, id, thinking) in [
        ("GLM-4.6", "glm-4.6", "disabled"),
        ("glm-4.6-thinking", "glm-4.6", "enabled"),
        ("GLM-4.6-Search", "glm-4.6", "enabled"),
    ] {
        for api in APIS {
            let options = json!({"model": model, "temperature": 0.25, "top_p": 0.5});
            let (sent, _) = asked(api, &gateway, |body| merge(body, options)).await;
            assert_eq!((&sent["model"], &sent["thinking"]["type"]), (&json!(id), &json!(thinking)));
            assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(0.25), &json!(0.5)));
            assert_eq!((&sent["max_tokens"], &sent["stream"]), (&json!(100), &json!(true)));
            let searches = sent["tools"].to_string().contains("web_search");
            assert_eq!(searches, model.ends_with("-Search"), "{api:?}, {model}");
        }
    }
}

#[tokio::test]
async fn the_clients_user_is_the_upstreams() {
    let gateway = Gateway::start(Dialect::OpenAi, api_answer()).await;
    for api in APIS {
        let (field, value) = match api {
            Api::Chat | Api::Responses => ("user", json!("somebody")),
            Api::Messages => ("metadata", json!({"user_id": "somebody"})),
        };
        let (sent, _) = asked(api, &gateway, |body| body[field] = value).await;
        assert_eq!(sent["user_id"], "somebody", "{api:?}");
    }
}

#[tokio::test]
async fn an_image_reaches_a_model_that_sees() {
    let url = "data:image/png;base64,aGk=";
    for dialect in [Dialect::OpenAi, Dialect::ZaiWeb] {
        let (plan, token) = match dialect {
            Dialect::OpenAi => (api_answer(), "upstream-token-0001"),
            Dialect::ZaiWeb => (fine(), "a-users-token-0001"),
        };
        let gateway = Gateway::with(dialect, plan, &[("UPSTREAM_TOKEN", token)]).await;
        for api in APIS {
            let (field, parts) = match api {
                Api::Chat => (
                    "messages",
                    json!([{"type": "text", "text": "Look."},
                        {"type": "image_url", "image_url": {"url": url}}]),
                ),
                Api::Messages => (
                    "messages",
                    json!([{"type": "text", "text": "Look."}, {"type": "image", "source":
                        {"type": "base64", "media_type": "image/png", "data": "aGk="}}]),
                ),
                Api::Responses => (
                    "input",
                    json!([{"type": "input_text", "text": "Look."},
                        {"type": "input_image", "image_url": url}]),
                ),
            };
            let turns = json!([{"role": "user", "content": parts}]);
            let change = |body: &mut Value| merge(body, json!({"model": "GLM-4.5V", field: turns}));
            let (sent, _) = asked(api, &gateway, change).await;
            let parts = &sent["messages"][0]["content"];
            assert_eq!(parts[0], json!({"type": "text", "text": "Look."}), "{api:?}");
            let image = parts[1]["image_url"]["url"].as_str().expect("an image");
            let expected = if dialect == Dialect::OpenAi { url } else { "sim-file-" };
            assert!(image.starts_with(expected), "{api:?}: {image}");
        }
    }
}

#[tokio::test]
async fn a_guests_image_is_a_400_everywhere() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let mut all = Vec::new();
    for api in APIS {
        let mut body = api.body(&Question::new(true));
        body["model"] = "GLM-4.5V".into();
        let url = "data:image/png;base64,aGk=";
        match api {
            Api::Chat => {
                body["messages"][0]["content"] =
                    json!([{"type": "image_url", "image_url": {"url": url}}]);
            }
            Api::Messages => {
                body["messages"][0]["content"] = json!([{"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "aGk="}}]);
            }
            Api::Responses => {
                body["input"][0]["content"] = json!([{"type": "input_image", "image_url": url}]);
            }
        }
        let reply = api.send(&gateway, KEY, &[], &body.to_string()).await;
        let failure = hear(api, reply).await.refused();
        assert_eq!((failure.status, failure.kind.as_deref()), (400, Some("invalid_request_error")));
        all.push(failure.message);
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[tokio::test]
async fn a_passing_failure_is_asked_again_and_each_request_has_one_line() {
    for api in APIS {
        for stream in [true, false] {
            let plan = fails_first(2, faults::api_error(500, "500", "oh"), api_answer());
            let gateway = Gateway::start(Dialect::OpenAi, plan).await;
            let heard = hear(api, api.ask(&gateway, &Question::new(stream)).await).await.whole();
            assert_eq!((heard.text.as_str(), gateway.sim.chat_requests()), ("fine", 3), "{api:?}");
            let lines = gateway.lines("response", 1).await;
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(
                (&lines[0]["retry_count"], &lines[0]["status_code"]),
                (&json!(2), &json!(200))
            );
            assert_eq!(lines[0]["endpoint"], api.path());
        }
    }
}
