//! Connections with a key: who gets in, who does not, and what bytes of any kind can do.
#![cfg(all(target_os = "linux", feature = "auth"))]

#[cfg(feature = "tls")]
#[path = "auth/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use sync_ipc::auth::{AuthError, Key, Listener, connect, connect_tcp};

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sync-ipc-auth-{name}-{}", std::process::id()))
}

/// A TCP listener, and its address.
fn tcp(key: &Key) -> (Listener, SocketAddr) {
    let listener = Listener::bind_tcp("127.0.0.1:0", key.clone()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn equal_keys_of_any_length_connect_over_a_path_and_over_tcp() {
    for key in [&b""[..], b"k", &[7; 300]].map(Key::new) {
        let path = place("path");
        let listener = Listener::bind(&path, key.clone()).unwrap();
        thread::scope(|scope| {
            let client = scope.spawn(|| connect(&path, &key).unwrap());
            let server = listener.accept().unwrap();
            let client = client.join().unwrap();
            server.send("over the path").unwrap();
            assert_eq!(client.recv::<String>().unwrap(), "over the path");
        });
        let (listener, address) = tcp(&key);
        thread::scope(|scope| {
            let client = scope.spawn(|| connect_tcp(address, &key).unwrap());
            let server = listener.accept().unwrap();
            let client = client.join().unwrap();
            client.send(&vec![1_u32; 100_000]).unwrap();
            assert_eq!(server.recv::<Vec<u32>>().unwrap().len(), 100_000);
        });
    }
}

#[test]
fn a_wrong_key_is_refused_at_both_ends_and_the_listener_goes_on() {
    let (listener, address) = tcp(&Key::new("right"));
    thread::scope(|scope| {
        let client = scope.spawn(move || connect_tcp(address, &Key::new("wrong")).map(drop));
        assert!(matches!(listener.accept(), Err(AuthError::WrongKey)));
        assert!(matches!(client.join().unwrap(), Err(AuthError::WrongKey)));
        let client = scope.spawn(move || connect_tcp(address, &Key::new("right")).map(drop));
        listener.accept().unwrap();
        client.join().unwrap().unwrap();
    });
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_server_that_does_not_know_the_key_is_refused_by_the_client() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It sends back the client's own proof, then a made-up one, then that of another version.
    for answer in 0..3 {
        thread::scope(|scope| {
            let client = scope.spawn(move || connect_tcp(address, &Key::new("key")).map(drop));
            let (mut stream, _) = listener.accept().unwrap();
            let greeting = [&b"sync-ipc auth 1"[..], &[5; 32]].concat();
            let greeting = if answer == 2 { b"sync-ipc auth 2".to_vec() } else { greeting };
            stream.write_all(&frame(&greeting)).unwrap();
            if answer < 2 {
                let theirs = read_frame(&mut stream);
                let proof = if answer == 0 { theirs[32..].to_vec() } else { vec![9; 32] };
                stream.write_all(&frame(&[&[1], &proof[..]].concat())).unwrap();
            }
            let refused = client.join().unwrap();
            match (answer, refused) {
                (2, Err(AuthError::Protocol)) | (0 | 1, Err(AuthError::WrongKey)) => {}
                other => panic!("{other:?}"),
            }
        });
    }
}

#[test]
fn a_recorded_proof_opens_no_second_connection() {
    let key = Key::new("key");
    let (listener, address) = tcp(&key);
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxied = proxy.local_addr().unwrap();
    thread::scope(|scope| {
        // Between the two stands a listener that records the client's proof.
        let client = scope.spawn(|| connect_tcp(proxied, &key).map(drop));
        let server = scope.spawn(|| listener.accept().map(drop));
        let (mut to_client, _) = proxy.accept().unwrap();
        let mut to_server = TcpStream::connect(address).unwrap();
        to_client.write_all(&frame(&read_frame(&mut to_server))).unwrap();
        let recorded = read_frame(&mut to_client);
        to_server.write_all(&frame(&recorded)).unwrap();
        to_client.write_all(&frame(&read_frame(&mut to_server))).unwrap();
        client.join().unwrap().unwrap();
        server.join().unwrap().unwrap();

        let server = scope.spawn(|| listener.accept().map(drop));
        let mut again = TcpStream::connect(address).unwrap();
        read_frame(&mut again);
        again.write_all(&frame(&recorded)).unwrap();
        assert!(matches!(server.join().unwrap(), Err(AuthError::WrongKey)));
        assert_eq!(read_frame(&mut again), [0]);
    });
}

#[test]
fn clients_that_say_nothing_or_nonsense_end_within_the_limit() {
    let (listener, address) = tcp(&Key::new("key"));
    let listener = listener.limit(Duration::from_millis(200));
    let silent = TcpStream::connect(address).unwrap();
    assert!(matches!(listener.accept(), Err(AuthError::TimedOut)));
    drop(silent);
    drop(TcpStream::connect(address).unwrap());
    assert!(listener.accept().is_err());
    // Lengths that must not be believed, and random bytes from a seed.
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = seed;
    let mut byte = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as u8
    };
    for round in 0..200 {
        let mut stream = TcpStream::connect(address).unwrap();
        let bytes: Vec<u8> = match round % 4 {
            0 => vec![0xff; 12],
            1 => 257_u32.to_be_bytes().to_vec(),
            2 => frame(&(0..64).map(|_| byte()).collect::<Vec<_>>()),
            _ => (0..usize::from(byte())).map(|_| byte()).collect(),
        };
        // The server may have closed it already.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        assert!(listener.accept().is_err(), "{bytes:?}");
    }
}

#[test]
fn a_key_shows_itself_nowhere() {
    assert_eq!(format!("{:?}", Key::new("secret")), "Key(..)");
    #[cfg(feature = "process")]
    assert!(serde_json::to_string(&Key::new("secret")).is_err());
    assert_ne!(Key::random().unwrap(), Key::random().unwrap());
}

#[test]
fn a_limit_past_the_end_of_the_clock_and_a_wait_for_no_client() {
    let key = Key::new("k");
    let (listener, address) = tcp(&key);
    let listener = listener.limit(Duration::MAX);
    assert!(listener.accept_pending_timeout(Duration::from_millis(20)).unwrap().is_none());
    thread::scope(|scope| {
        let client = scope.spawn(|| connect_tcp(address, &key).unwrap());
        let pending = listener.accept_pending_timeout(Duration::from_secs(20)).unwrap();
        pending.expect("a client").authenticate().unwrap().send("hello").unwrap();
        assert_eq!(client.join().unwrap().recv::<String>().unwrap(), "hello");
    });
}
