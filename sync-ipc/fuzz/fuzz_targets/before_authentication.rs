//! See `sync_ipc_fuzz::before_authentication`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sync_ipc_fuzz::before_authentication(bytes));
