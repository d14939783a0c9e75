//! Fuzzes `network` of `src/fuzz`, where the invariants are checked.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| autopack::fuzz::network(input));
