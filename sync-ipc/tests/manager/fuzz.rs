//! Hostile bytes, before and after the authentication. `sync-ipc/fuzz` has the same as targets of
//! cargo-fuzz.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sync_ipc::Connection;
use sync_ipc::auth;
use sync_ipc::manager::{Address, Manager};

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % most;
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn rounds() -> u32 {
    std::env::var("SYNC_IPC_FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300)
}

/// Valid requests, to be changed. `id` is the number of an object, as its bytes on the wire.
fn valid_frames(id: &[u8]) -> Vec<Vec<u8>> {
    // Thread, object, call: see `wire`. Numbers are varints, calls are numbered from `Ping`.
    let mut frames = vec![vec![1, 0, 0], vec![1, 0, 7]];
    for kind in 0..12_u8 {
        frames.push(create(kind));
    }
    // Calls of the object: `Retain`, `Hold`, and those of all kinds.
    for call in [3, 5].into_iter().chain(8..20_u8) {
        for method in 0..20_u8 {
            let mut frame = vec![1];
            frame.extend_from_slice(id);
            frame.extend_from_slice(&[call, method, 3, b'a', b'b', b'c', 0, 0, 0]);
            frames.push(frame);
        }
    }
    frames
}

/// `Create` of a kind, with a tag and no name.
fn create(kind: u8) -> Vec<u8> {
    vec![1, 0, 1, kind, 0, 0, 0, 1, b't', 0]
}

/// The kinds of objects that `new_object` makes, with their fields: map, sequence, cell, lock,
/// semaphore, event, condition, barrier, queue.
const KINDS: [&[u8]; 9] =
    [&[0], &[1, 0, 0, 0], &[2, 0, 0], &[3, 0], &[4, 1, 0], &[5], &[6], &[7, 2], &[8, 0]];

/// Makes an object; its number on the wire.
fn new_object(connection: &Connection, kind: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 1];
    frame.extend_from_slice(kind);
    frame.extend_from_slice(&[1, b't', 0]);
    connection.send_bytes(&frame).unwrap();
    let answer = connection.recv_bytes_timeout(1 << 12, Duration::from_secs(60)).unwrap();
    match answer.as_slice() {
        // The answer `Opened`.
        [11, id @ ..] => id.to_vec(),
        other => panic!("no object: {other:?}"),
    }
}

#[test]
fn a_server_survives_hostile_bytes_before_the_authentication() {
    let seed = 0xf022_0001;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let manager = Manager::builder()
        .limits(|limits| limits.handshake = Duration::from_millis(200))
        .start()
        .unwrap();
    let Address::Path(path) = manager.address().clone() else { panic!("no path") };
    for round in 0..rounds() {
        let mut stream = UnixStream::connect(&path).unwrap();
        let mut bytes = random.bytes(600);
        if round % 3 == 0 {
            // A frame with the right length, of proofs that are none.
            let length = (bytes.len() as u32).to_be_bytes();
            bytes.splice(0..0, length);
        }
        if round % 7 == 0 {
            // A claim of 4 GiB.
            bytes.splice(0..0, [255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 0]);
        }
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.take(10_000).read_to_end(&mut answer);
        assert!(answer.len() <= 600, "an unproved client got {} bytes", answer.len());
    }
    manager.ping().unwrap();
    assert_eq!(manager.stats().unwrap().clients, 1);
    assert_eq!(manager.stats().unwrap().objects, 0);
}

#[test]
fn a_server_survives_hostile_bytes_after_the_authentication() {
    let seed = 0xf022_0002;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let manager = Manager::builder()
        .limits(|limits| {
            limits.message = 1 << 16;
            limits.stored_bytes = 1 << 20;
            limits.objects = 1000;
            limits.pool_workers = 0;
        })
        .start()
        .unwrap();
    let Address::Path(path) = manager.address().clone() else { panic!("no path") };
    let kept = manager.named("kept").list::<u32>().unwrap();
    kept.push(&7).unwrap();
    let mut objects = 0;
    for round in 0..rounds() {
        let connection = auth::connect(&path, manager.key()).unwrap();
        let mut id = vec![1];
        if round % 8 != 0 {
            // Version 1, no token: a good beginning.
            connection.send_bytes(&[1, 0]).unwrap();
            connection.recv_bytes_timeout(1 << 12, Duration::from_secs(60)).unwrap();
            id = new_object(&connection, KINDS[round as usize % KINDS.len()]);
            objects += 1;
        }
        let frames = valid_frames(&id);
        for _ in 0..1 + random.next() % 20 {
            let frame = if random.next() % 2 == 0 {
                random.bytes(200)
            } else {
                let mut frame = frames[(random.next() % frames.len() as u64) as usize].clone();
                for _ in 0..random.next() % 4 {
                    let at = (random.next() % frame.len() as u64) as usize;
                    frame[at] = random.next() as u8;
                }
                frame
            };
            if is_shutdown(&frame) || connection.send_bytes(&frame).is_err() {
                break;
            }
            // Answers are read only now and then.
            if random.next() % 2 == 0 {
                let _ = connection.recv_bytes_timeout(1 << 20, Duration::from_millis(1));
            }
        }
        if random.next() % 4 == 0 {
            // In the middle of a frame.
            let mut stream = UnixStream::from(std::os::fd::OwnedFd::from(connection));
            let _ = stream.write_all(&[0, 0, 1]);
        }
    }
    assert_eq!(kept.to_vec().unwrap(), [7]);
    assert!(objects > rounds() / 2, "only {objects} objects were attacked");
    super::support::until("all hostile clients are gone", || manager.stats().unwrap().clients == 1);
    assert!(manager.process().is_alive());
}

/// Whether a frame requests the end of the server, which each client may.
fn is_shutdown(frame: &[u8]) -> bool {
    // The thread, object 0, call 6.
    let call = varint(frame).and_then(|(_, rest)| varint(rest));
    call.is_some_and(|(object, rest)| {
        object == 0 && varint(rest).is_some_and(|(call, _)| call == 6)
    })
}

/// A number in 7 bits for each byte, the lowest first, and the bytes after it. Zeros may follow its
/// highest bits.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let digits = bytes[..=end].iter().rev();
    let number = digits.fold(0, |number: u64, byte| number << 7 | u64::from(byte & 0x7f));
    Some((number, &bytes[end + 1..]))
}

#[test]
fn a_client_survives_a_hostile_server() {
    let seed = 0xf022_0003;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let folder = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("socket");
    let key = auth::Key::random().unwrap();
    let listener = auth::Listener::bind(&path, key.clone()).unwrap();
    let rounds = rounds() / 4;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                let Ok(connection) = listener.accept() else { continue };
                serve_nonsense(&connection, &mut random);
            }
        });
        for _ in 0..rounds {
            let address = Address::Path(path.clone());
            if let Ok(client) = sync_ipc::manager::ManagerClient::connect(address, key.clone()) {
                if let Ok(dict) = client.dict::<u32, String>() {
                    let _ = dict.get(&1);
                }
            }
        }
    });
    drop(listener);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Joins the client, or not, and answers its requests by bytes that mean nothing.
fn serve_nonsense(connection: &Connection, random: &mut Random) {
    let _ = connection.recv_bytes_timeout(256, Duration::from_secs(60));
    let mut welcome = vec![0, 1];
    welcome.extend_from_slice(&[7; 16]);
    let _ = connection.send_bytes(&if random.next() % 4 == 0 { random.bytes(50) } else { welcome });
    // The answer to the first `Ping` is right: the client goes on.
    if connection.recv_bytes_timeout(1 << 16, Duration::from_millis(200)).is_ok() {
        let _ = connection.send_bytes(&[0]);
    }
    for _ in 0..2 {
        if connection.recv_bytes_timeout(1 << 16, Duration::from_millis(50)).is_err() {
            return;
        }
        let _ = connection.send_bytes(&random.bytes(40));
    }
}
