//! See `sync_ipc_fuzz::after_authentication`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sync_ipc_fuzz::after_authentication(bytes));
