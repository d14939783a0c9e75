//! `redaction` of `src/fuzz`, which says what holds for every input.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| autopack::fuzz::redaction(input));
