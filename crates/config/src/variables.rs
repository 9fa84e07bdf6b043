//! Every variable: its name, its default, and what it means.

/// A variable as it is documented.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is not set.
    pub default: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

const fn v(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// All variables there are. The README's table is held against this one by a test.
pub const VARIABLES: &[Variable] = &[
    v("PORT", "8080", "Port to listen on. 0 takes any free one and prints it."),
    v("HOST", "0.0.0.0", "Address to listen on. With `--demo`: 127.0.0.1."),
    v(
        "DEFAULT_KEY",
        "random",
        "API keys of your clients, comma separated. Unset, and no API_KEYS_FILE: one is made up and printed at the start. Keys that stand in examples are refused unless HOST is loopback.",
    ),
    v(
        "API_KEYS_FILE",
        "none",
        "A file of more keys, one per line: name, SHA-256 of the key, and any of `concurrent=N`, `per_minute=N`, `models=A,B`, `expires=YYYY-MM-DD`. `z2api-server keygen NAME` makes a key and its line. Read again when it changes.",
    ),
    v(
        "UPSTREAM_URL",
        "`https://chat.z.ai/api/chat/completions`",
        "Where to ask: the whole URL, up to `/chat/completions`. Plain http only to loopback, or with UPSTREAM_ALLOW_HTTP. Redirects are never followed.",
    ),
    v(
        "UPSTREAM_DIALECT",
        "auto",
        "`auto`, `zai-web` or `openai`. Auto: `zai-web` if the path ends in `/api/chat/completions`, otherwise `openai`.",
    ),
    v(
        "UPSTREAM_TOKEN",
        "none",
        "Your tokens for the upstream, comma separated: API keys of the official API, or chat.z.ai tokens. Each request takes the least busy one that is well. Needed by `openai`.",
    ),
    v(
        "UPSTREAM_ALLOW_HTTP",
        "false",
        "Allows plain http to hosts other than loopback. Your token then travels unencrypted.",
    ),
    v(
        "UPSTREAM_PROXY",
        "none",
        "A proxy on the way to the upstream: a URL of `http`, `https`, `socks5` or `socks5h`. The usual HTTP_PROXY and HTTPS_PROXY are not heeded.",
    ),
    v(
        "UPSTREAM_HTTP2",
        "true",
        "Speak HTTP/2 to an https upstream that offers it. Its streams share connections, up to 100 each. Never through a proxy.",
    ),
    v(
        "UPSTREAM_CONNECT_TIMEOUT",
        "5000",
        "Milliseconds that connecting to the upstream may take, name lookup and TLS included.",
    ),
    v("UPSTREAM_USER_AGENT", "`z2api/VERSION`", "The User-Agent sent upstream."),
    v("UPSTREAM_FE_VERSION", "prod-fe-1.0.70", "The X-FE-Version sent upstream (`zai-web`)."),
    v("UPSTREAM_ACCEPT_LANGUAGE", "zh-CN", "The Accept-Language sent upstream (`zai-web`)."),
    v(
        "ANON_TOKEN_ENABLED",
        "true",
        "Use guest tokens in the `zai-web` dialect when UPSTREAM_TOKEN is not set.",
    ),
    v(
        "MODELS_FILE",
        "built-in",
        "A table of models of your own, as JSON, in the shape of `crates/stream-transform/src/models.json`. Read again when it changes.",
    ),
    v(
        "PERFORMANCE_MODE",
        "balanced",
        "Defaults of the six variables below. `fast`: 1 retry, 200 ms, 10 s / 60 s, jitter 0–100 ms. `balanced`: 3, 1000 ms, 120 s / 300 s, 100–500 ms. `secure`: 5, 2000 ms, 60 s / 600 s, 500–1500 ms.",
    ),
    v(
        "MAX_RETRIES",
        "by mode",
        "Retries after the first attempt. Only before the first byte of an answer.",
    ),
    v("RETRY_DELAY", "by mode", "Milliseconds, base of the exponential backoff."),
    v(
        "REQUEST_TIMEOUT",
        "by mode",
        "Milliseconds until a stream's first event, all attempts together; for a request that is not streamed, until its end.",
    ),
    v("STREAM_TIMEOUT", "by mode", "Milliseconds a stream may take from its first event."),
    v(
        "RANDOM_DELAY_MIN",
        "by mode",
        "Milliseconds. The least random time added to the wait before a retry.",
    ),
    v(
        "RANDOM_DELAY_MAX",
        "by mode",
        "Milliseconds. The most random time added to the wait before a retry.",
    ),
    v("STREAM_IDLE_TIMEOUT", "60000", "Milliseconds the upstream may be silent within a stream."),
    v("MAX_CONCURRENT_CONNECTIONS", "1000", "Chat requests in flight."),
    v("CONNECTION_QUEUE_SIZE", "500", "Chat requests that may wait for a slot. 0: none."),
    v("QUEUE_TIMEOUT", "10000", "Milliseconds a request may wait for a slot."),
    v(
        "ADAPTIVE_CONCURRENCY",
        "false",
        "Let fewer chat requests than MAX_CONCURRENT_CONNECTIONS in while the upstream's first events come late or it answers 429.",
    ),
    v(
        "MAX_CONNECTION_TIME",
        "600000",
        "Milliseconds a request may hold its slot, which it does until its answer has left for the client; then it ends with an error.",
    ),
    v(
        "MEMORY_LIMIT_MB",
        "2048",
        "Resident memory to keep below, in MiB; never more than the control group allows. At 75 % of it idle connections are closed, at 85 % new chat requests are refused with 503, at 92 % new connections, and at 97 % the largest requests are ended. Request bodies are let in while nine times their size fits into three fifths of it.",
    ),
    v("MAX_BODY_MB", "32", "The largest request body, in MiB."),
    v(
        "RESPONSES_STORE_MB",
        "64",
        "Memory for answers of the Responses API that later requests may follow, in MiB. 0 keeps none.",
    ),
    v(
        "STREAM_BUFFER_SIZE",
        "16384",
        "Bytes of an answer that a stream gathers before it waits for the client.",
    ),
    v("DISABLE_CONNECTION_CHECK", "false", "Send no heartbeats."),
    v(
        "CONNECTION_CHECK_INTERVAL",
        "20",
        "Seconds of silence after which a stream gets a comment as heartbeat.",
    ),
    v(
        "MAX_CLIENT_CONNECTIONS",
        "auto",
        "Client connections open at once. Beyond it, 64 more are told so with 503 (`/health`, `/status`, `/metrics` and the page are answered), others are closed. Auto: several times as many as requests may be in flight and wait, as far as the limit of open files allows.",
    ),
    v(
        "MAX_CONNECTIONS_PER_ADDRESS",
        "auto",
        "Of those, from one address (IPv6: one /64). Loopback and TRUSTED_PROXIES are exempt. Auto: half of them, but as many as requests may be in flight and wait.",
    ),
    v(
        "CLIENT_HEAD_TIMEOUT",
        "10000",
        "Milliseconds a client may take for the head of a request: the first one from the connection on, later ones from their first byte.",
    ),
    v(
        "CLIENT_BODY_TIMEOUT",
        "60000",
        "Milliseconds a client may take for the body of a request. It must also send 1 KiB per second after the first 5 s.",
    ),
    v("CLIENT_IDLE_TIMEOUT", "75000", "Milliseconds a connection is kept between two requests."),
    v(
        "CLIENT_STALL_TIMEOUT",
        "30000",
        "Milliseconds. A client that an answer waits for must take 1 KiB per second of it, seen over this time; otherwise its connection is dropped. A client that pauses its reading may do so this long.",
    ),
    v(
        "TLS_CERT_FILE",
        "none",
        "PEM file of the certificate chain. With it and TLS_KEY_FILE the gateway speaks TLS and nothing else. Read again when it changes.",
    ),
    v("TLS_KEY_FILE", "none", "PEM file of the certificate's key. Read again when it changes."),
    v(
        "ENABLE_HTTP2",
        "false",
        "Speak HTTP/2 too: by ALPN with TLS, otherwise to clients that begin with it.",
    ),
    v(
        "THINK_TAGS_MODE",
        "think",
        "`think`, `strip`, `raw` or `reasoning` (also called `separate`). A request can choose by `reasoning_format` or the header `x-z2api-think-mode`.",
    ),
    v("CORS_ALLOW_ORIGINS", "*", "Origins that browsers may call from, comma separated."),
    v(
        "TRUSTED_PROXIES",
        "none",
        "Addresses or networks (`10.0.0.0/8`) of proxies, comma separated, whose `X-Forwarded-For` is believed. Only for the log.",
    ),
    v(
        "ENABLE_METRICS",
        "true",
        "Serve `/metrics` for Prometheus, and log a line of the status every 30 s.",
    ),
    v("ENABLE_DASHBOARD", "true", "Serve the live page at `/dashboard`."),
    v(
        "ADMIN_KEY",
        "none",
        "A key that `/status`, `/metrics` and the numbers of `/dashboard` then ask for, as `Authorization: Bearer`. None of the clients' keys.",
    ),
    v(
        "ADMIN_ADDR",
        "none",
        "An address and port, such as `127.0.0.1:9100`, that then alone serves `/status`, `/metrics` and `/dashboard`. It serves the rest too. It has 64 connections of its own, which clients cannot take. Port 0 takes any free one and prints it.",
    ),
    v(
        "WORKER_THREADS",
        "auto",
        "Threads that serve connections. Auto: one for each core that the process may use. A connection stays on its thread.",
    ),
    v("SHUTDOWN_DELAY", "0", "Seconds to go on serving after SIGTERM."),
    v("SHUTDOWN_GRACE", "30", "Seconds that running requests may take after that."),
    v("ENABLE_DETAILED_LOGGING", "true", "One line for each request and one for each response."),
    v(
        "LOG_PROBES",
        "true",
        "Those lines for `/health`, what is below it, and `/metrics` as well. `false`: only where they fail.",
    ),
    v(
        "LOG_USER_MESSAGES",
        "false",
        "The last messages in the request lines, 8 KiB of each request. Of a longer text the middle is left out.",
    ),
    v(
        "LOG_RESPONSE_CONTENT",
        "false",
        "The answers in the response lines: 4 KiB of text and 4 KiB of thinking shown apart, their middle left out, and 16 tool calls with 1 KiB of arguments each.",
    ),
    v(
        "LOG_FORMAT",
        "json",
        "`json`: a JSON object a line. `pretty`: a line for people, `TIME LEVEL TYPE name=value …`.",
    ),
    v(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "none",
        "The URL of an OpenTelemetry collector, such as `http://127.0.0.1:4318`. Chat requests are then traced: OTLP over HTTP, to `/v1/traces` under it.",
    ),
    v(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "none",
        "The same for traces alone, as a whole URL: nothing is put after it. Wins over OTEL_EXPORTER_OTLP_ENDPOINT.",
    ),
    v(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "How the collector is spoken to. There is no other way; one that is asked for is an error.",
    ),
    v(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "none",
        "Headers for the collector, `name=value`, comma separated; values percent-encoded.",
    ),
    v(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "Milliseconds the collector may take for a batch of spans, with all repetitions. Then they are dropped.",
    ),
    v("OTEL_SERVICE_NAME", "z2api", "What the gateway calls itself in traces."),
    v(
        "OTEL_RESOURCE_ATTRIBUTES",
        "none",
        "What else traces tell of the gateway, `name=value`, comma separated; values percent-encoded.",
    ),
    v(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "Which requests are traced: `always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`, which keeps the choice of a caller that sends `traceparent`.",
    ),
    v("OTEL_TRACES_SAMPLER_ARG", "1", "The part of them for `traceidratio`, from 0 to 1."),
    v(
        "TRACE_UPSTREAM",
        "false",
        "Tell the upstream its place in the trace, as `traceparent`, with the caller's `tracestate`.",
    ),
    v("DEBUG_MODE", "false", "Debug lines in the log."),
    v(
        "RUST_LOG",
        "by DEBUG_MODE",
        "Which lines of the program's parts are logged, such as `warn,z2api=debug`. Wins over DEBUG_MODE.",
    ),
];
