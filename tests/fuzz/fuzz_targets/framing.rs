#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| z2api_laws::framing(bytes));
