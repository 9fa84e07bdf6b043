//! Which field of a request is at fault, as the log may say it: a client may call a field what it
//! likes, and the path of an error may hold that.

/// Names of fields of the APIs, and of our headers. All else is the client's own word.
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "action", "arguments", "audio", "background", "best_of", "budget_tokens", "cache_control",
    "call_id", "chat_template_kwargs", "citations", "container", "content", "context_management",
    "conversation", "custom", "data", "definition", "description", "detail", "display", "echo",
    "edits", "effort", "enable_thinking", "encrypted_content", "file", "file_data", "file_id",
    "format", "frequency_penalty", "function", "function_call", "functions", "id", "image_url",
    "include", "include_obfuscation", "include_usage", "input", "input_audio", "input_schema",
    "instructions", "is_error", "json_schema", "keep", "logit_bias", "logprobs",
    "max_completion_tokens", "max_output_tokens", "max_tokens", "max_tool_calls", "mcp_servers",
    "media_type", "messages", "metadata", "modalities", "model", "n", "name", "output",
    "output_config", "parallel_tool_calls", "parameters", "prediction", "presence_penalty",
    "previous_response_id", "prompt", "reasoning", "reasoning_effort", "reasoning_format",
    "refusal", "response_format", "role", "schema", "seed", "service_tier", "signature", "source",
    "status", "stop", "stop_sequences", "store", "stream", "stream_options", "strict", "suffix",
    "summary", "syntax", "system", "temperature", "text", "thinking", "tool_call_id", "tool_calls",
    "tool_choice", "tool_use_id", "tools", "top_k", "top_logprobs", "top_p", "truncation", "type",
    "url", "user", "verbosity", "web_search_options", "x-z2api-think-mode",
];
/// A longer path is cut, in bytes.
const MAX_PATH: usize = 128;

/// A path such as `messages[2].content`, with `?` for each name that no API has.
pub(crate) fn known(path: &str) -> String {
    let steps: Vec<String> = path.split('.').map(step).collect();
    let mut known = steps.join(".");
    known.truncate(MAX_PATH);
    known
}

/// A name, and the indexes after it.
fn step(step: &str) -> String {
    let (name, indexes) = step.split_at(step.find('[').unwrap_or(step.len()));
    let is_index = |c: char| matches!(c, '[' | ']') || c.is_ascii_digit();
    // Digits can be a client's word, too: longer ones are no index.
    let is_short = indexes.split(']').all(|index| index.len() <= 8);
    let indexes = if indexes.chars().all(is_index) && is_short { indexes } else { "" };
    let name = if FIELDS.contains(&name) { name } else { "?" };
    format!("{name}{indexes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_the_clients_passes() {
        for (path, said) in [
            ("messages[0].content", "messages[0].content"),
            ("tools[12].function.parameters", "tools[12].function.parameters"),
            ("x-z2api-think-mode", "x-z2api-think-mode"),
            ("my_secret", "?"),
            ("messages[0].my secret.x[1]", "messages[0].?.?[1]"),
            ("messages[my secret]", "messages"),
            ("messages[1234567890123456]", "messages"),
            ("é", "?"),
            ("", "?"),
        ] {
            assert_eq!(known(path), said, "{path}");
        }
        assert!(known(&"my.".repeat(10_000)).len() <= MAX_PATH);
    }
}
