//! `database_url` of `src/fuzz`, which says what holds for every input.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| autopack::fuzz::database_url(input));
