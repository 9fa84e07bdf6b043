//! JSON logs, request records, counters, key masking.
