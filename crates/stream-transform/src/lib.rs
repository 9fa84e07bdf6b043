//! Upstream events in, OpenAI chunks out: think, strip, raw, reasoning.
