//! What a request of the Messages API would like, but whose absence changes no answer's meaning.

use z2api_wire::anthropic::request::{
    Block, Blocks, Citations, ContextManagement, MessagesRequest, Place, Source, Text, Thinking,
    Tool,
};

/// The fields that Chat Completions has no like of. A field at its default asks for nothing.
pub(super) fn dropped(request: &MessagesRequest) -> Vec<&'static str> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let any_tool = |wants: fn(&Tool) -> bool| tools.iter().any(wants);
    let budget = match request.thinking {
        Some(Thinking::Enabled { budget_tokens, .. }) => budget_tokens.is_some(),
        Some(Thinking::Adaptive { .. } | Thinking::Disabled) | None => false,
    };
    let fields = [
        ("billing_policy", request.billing_policy.is_some()),
        ("cache_control", remembers(request)),
        ("citations", any_block(request, &|block| wants_citations(block))),
        ("context_management", edits(request.context_management.as_ref())),
        ("diagnostics", request.diagnostics.is_some()),
        ("fallbacks", request.fallbacks.is_some()),
        ("speed", request.speed.as_deref().is_some_and(|speed| speed != "standard")),
        ("thinking.budget_tokens", budget),
        ("tools.defer_loading", any_tool(|tool| tool.defer_loading == Some(true))),
        ("tools.input_examples", any_tool(|tool| tool.input_examples.is_some())),
        ("tools.max_uses", any_tool(|tool| tool.max_uses.is_some())),
        ("tools.user_location", any_tool(|tool| tool.user_location.is_some())),
        ("top_k", request.top_k.is_some()),
        ("user_profile_id", request.user_profile_id.is_some()),
    ];
    fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
}

/// Whether anything is to be taken out of the conversation. That its thinking stays is honoured.
fn edits(asked: Option<&ContextManagement>) -> bool {
    let edits = asked.and_then(|asked| asked.edits.as_deref()).unwrap_or_default();
    edits.iter().any(|edit| !edit.keeps_thinking())
}

/// Whether anything is marked to be remembered. The upstream remembers as it sees fit.
fn remembers(request: &MessagesRequest) -> bool {
    let in_system = match &request.system {
        Some(Text::Blocks(blocks)) => blocks.iter().any(|block| block.cache_control.is_some()),
        Some(Text::Plain(_)) | None => false,
    };
    let in_tools = request.tools.iter().flatten().any(|tool| tool.cache_control.is_some());
    request.cache_control.is_some()
        || in_system
        || in_tools
        || any_block(request, &|block| block.cache_control.is_some())
}

fn wants_citations(block: &Block) -> bool {
    matches!(block.citations, Some(Citations::Wanted { enabled: true }))
}

fn any_block(request: &MessagesRequest, wanted: &dyn Fn(&Block) -> bool) -> bool {
    request.messages.iter().any(|turn| any_within(&turn.content, wanted))
}

fn any_within(blocks: &Blocks, wanted: &dyn Fn(&Block) -> bool) -> bool {
    let Blocks::List(blocks) = blocks else { return false };
    blocks.iter().any(|block| {
        let source = match &block.source {
            Some(Source::At(Place::Content { content })) => Some(content),
            Some(Source::At(_) | Source::Named(_)) | None => None,
        };
        let within = [block.content.as_ref(), source];
        wanted(block) || within.into_iter().flatten().any(|blocks| any_within(blocks, wanted))
    })
}
