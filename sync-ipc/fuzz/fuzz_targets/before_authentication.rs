//! Bytes of a client that has not proved that it knows the key.
#![no_main]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sync_ipc::manager::{Address, Manager};

/// A server in this process, so that its panics and its memory are the target's.
static SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let builder = Manager::builder().limits(|limits| limits.handshake = Duration::from_millis(100));
    let server = builder.server().expect("a folder for the socket");
    let Address::Path(path) = server.address().clone() else { unreachable!("no TCP") };
    std::thread::spawn(move || server.run().expect("it serves"));
    path
});

fuzz_target!(|bytes: &[u8]| {
    let mut stream = UnixStream::connect(&*SERVER).expect("the server is there");
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.take(1 << 16).read_to_end(&mut answer);
    // A frame of the greeting, and one of the refusal.
    assert!(answer.len() <= 2 * (256 + 4));
});
