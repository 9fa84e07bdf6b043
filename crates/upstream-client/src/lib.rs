//! Asks Z.ai: dialects, tokens, attempts, timeouts, and a stream of typed events.
