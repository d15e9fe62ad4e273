//! Frames of a client that has proved that it knows the key. Each frame is a byte with its length,
//! and that number of bytes.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sync_ipc::auth::{self, Key};
use sync_ipc::manager::{Address, Manager};

/// A server in this process, so that its panics and its memory are the target's.
static SERVER: LazyLock<(PathBuf, Key)> = LazyLock::new(|| {
    let builder = Manager::builder().limits(|limits| {
        limits.stored_bytes = 1 << 20;
        limits.objects = 1000;
        limits.pool_workers = 0;
    });
    let server = builder.server().expect("a folder for the socket");
    let Address::Path(path) = server.address().clone() else { unreachable!("no TCP") };
    let key = server.key().clone();
    std::thread::spawn(move || server.run().expect("it serves"));
    (path, key)
});

fuzz_target!(|bytes: &[u8]| {
    let (path, key) = &*SERVER;
    let connection = auth::connect(path, key).expect("the server is there");
    let mut rest = bytes;
    let mut is_first = true;
    while let Some((length, after)) = rest.split_first() {
        let (frame, after) = after.split_at((*length as usize).min(after.len()));
        rest = after;
        // `Shutdown`, which each client may request, would end the target.
        if !is_first && frame.windows(2).take(11).any(|pair| pair == [0, 6]) {
            continue;
        }
        is_first = false;
        if connection.send_bytes(frame).is_err() {
            return;
        }
        let _ = connection.recv_bytes_timeout(1 << 20, Duration::from_millis(2));
    }
});
