//! What a client would like, but whose absence changes no answer's meaning.

use serde_json::value::RawValue;
use z2api_wire::openai::request::ChatRequest;

use super::Server;
use crate::models::Model;

/// The fields that this upstream does not take. A field at its default asks for nothing.
pub(super) fn ignored(request: &ChatRequest, model: &Model, server: Server) -> Vec<&'static str> {
    let number = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
    let json = |value: &Option<Box<RawValue>>| {
        value.as_ref().is_some_and(|json| !matches!(json.get(), "{}" | "[]"))
    };
    let tier =
        |tier: &Option<String>| tier.as_deref().is_some_and(|t| t != "auto" && t != "default");
    let user = request.user.as_deref();
    let fields = [
        ("audio", json(&request.audio)),
        ("frequency_penalty", number(request.frequency_penalty)),
        ("logit_bias", json(&request.logit_bias)),
        ("metadata", json(&request.metadata)),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
        ("prediction", json(&request.prediction)),
        ("presence_penalty", number(request.presence_penalty)),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("prompt_cache_retention", request.prompt_cache_retention.is_some()),
        (
            "reasoning_effort",
            request.reasoning_effort.is_some() && effort(request, model, server).is_none(),
        ),
        ("safety_identifier", request.safety_identifier.is_some()),
        ("seed", request.seed.is_some()),
        ("service_tier", tier(&request.service_tier)),
        ("store", request.store == Some(true)),
        ("thinking", request.thinking.is_some() && !model.thinking_is_optional),
        ("user", user.is_some_and(|user| !takes_user(user, server))),
        ("verbosity", request.verbosity.is_some()),
        ("web_search_options", json(&request.web_search_options)),
    ];
    let given = fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
    request.dropped.iter().copied().chain(given).collect()
}

/// How long to think, if the model thinks and takes this word.
pub(super) fn effort(request: &ChatRequest, model: &Model, server: Server) -> Option<String> {
    let asked = request.reasoning_effort.as_ref()?;
    let thinks = super::thinks(model, request.thinking);
    let known = model.efforts.iter().any(|effort| effort == asked);
    let takes = known && server != Server::WebChat;
    (takes && thinks).then(|| asked.clone())
}

/// The official API wants `user_id` to have 6 to 128 characters.
fn takes_user(user: &str, server: Server) -> bool {
    server != Server::WebChat && (6..=128).contains(&user.chars().count())
}
