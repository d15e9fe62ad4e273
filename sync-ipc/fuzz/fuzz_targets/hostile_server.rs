//! See `sync_ipc_fuzz::hostile_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sync_ipc_fuzz::hostile_server(bytes));
