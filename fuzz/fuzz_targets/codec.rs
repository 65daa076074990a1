#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chat_service_fuzz::codec::check(bytes));
