#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bootbank_fuzz::count(
    bootbank_fuzz::drive::carrier,
    data
));
