//! What is on the wire on both sides of the gateway: SSE framing, OpenAI types, Z.ai types.
