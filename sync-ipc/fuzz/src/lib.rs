//! The receivers of hostile bytes, in this process, so that their panics are the target's.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sync_ipc::Connection;
use sync_ipc::auth::{self, Key, Listener};
use sync_ipc::manager::{Address, Dict, List, Manager, ManagerClient, Queue, Server};

/// The targets, by their names, which are those of the folders of their corpora.
pub const TARGETS: [(&str, fn(&[u8])); 3] = [
    ("before_authentication", before_authentication),
    ("after_authentication", after_authentication),
    ("hostile_server", hostile_server),
];

/// A server that runs in a thread of this process.
struct Running {
    path: PathBuf,
    key: Key,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(server: Server) -> Self {
        let Address::Path(path) = server.address().clone() else { unreachable!("no TCP") };
        let key = server.key().clone();
        let thread = std::thread::spawn(move || server.run().expect("it serves"));
        Self { path, key, thread }
    }

    /// Whether the server ends soon. Each client may request that.
    fn ends(&self) -> bool {
        let limit = Instant::now() + Duration::from_secs(10);
        while !self.thread.is_finished() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.is_finished()
    }
}

/// Bytes of a client that has not proved that it knows the key.
pub fn before_authentication(bytes: &[u8]) {
    static SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
        let limit = Duration::from_millis(100);
        let builder = Manager::builder().limits(|limits| limits.handshake = limit);
        Running::start(builder.server().expect("a folder for the socket")).path
    });
    let mut stream = UnixStream::connect(&*SERVER).expect("the server is there");
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.take(1 << 16).read_to_end(&mut answer);
    // A frame of the greeting, and one of the refusal.
    assert!(answer.len() <= 2 * (256 + 4));
}

/// The pieces of `bytes`, each a byte with its length and that number of bytes.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first()?;
        let (frame, rest) = rest.split_at((*length as usize).min(rest.len()));
        bytes = rest;
        Some(frame)
    })
}

/// A server for clients that know its key.
fn attacked() -> Running {
    let builder = Manager::builder().limits(|limits| {
        limits.stored_bytes = 1 << 20;
        limits.objects = 1000;
        limits.pool_workers = 0;
    });
    Running::start(builder.server().expect("a folder for the socket"))
}

/// Frames of a client that has proved that it knows the key.
pub fn after_authentication(bytes: &[u8]) {
    static SERVER: LazyLock<Mutex<Running>> = LazyLock::new(|| Mutex::new(attacked()));
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let connection = auth::connect(&server.path, &server.key).unwrap_or_else(|error| {
        // An input before this one may have requested the end, and nothing else ends a server.
        assert!(server.ends(), "a server that was not shut down refuses its client: {error}");
        *server = attacked();
        auth::connect(&server.path, &server.key).expect("a new server answers")
    });
    for frame in frames(bytes) {
        if connection.send_bytes(frame).is_err() {
            return;
        }
        let _ = connection.recv_bytes_timeout(1 << 20, Duration::from_millis(2));
    }
}

/// The answers of the hostile server to its next client. Further connections are closed.
static ANSWERS: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn answers() -> MutexGuard<'static, Option<Vec<u8>>> {
    ANSWERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers of a server that knows the key, to a client that calls several objects.
pub fn hostile_server(bytes: &[u8]) {
    static SERVER: LazyLock<(PathBuf, Key)> = LazyLock::new(|| {
        let key = Key::random().expect("random numbers");
        let path = std::env::temp_dir().join(format!("sync-ipc-fuzz-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = Listener::bind(&path, key.clone()).expect("a path");
        std::thread::spawn(move || {
            while let Ok(pending) = listener.accept_pending() {
                let Some(bytes) = answers().take() else { continue };
                if let Ok(connection) = pending.authenticate() {
                    answer(&connection, &bytes);
                }
            }
        });
        (path, key)
    });
    let (path, key) = &*SERVER;
    *answers() = Some(bytes.to_vec());
    if let Ok(client) = ManagerClient::connect(Address::Path(path.clone()), key.clone()) {
        let _ = client.stats();
        if let Ok(dict) = client.dict::<u32, Vec<String>>() {
            let dict: Dict<u32, Vec<String>> = dict;
            let _ = (dict.get(&1), dict.items());
        }
        if let Ok(list) = client.list::<Option<u64>>() {
            let list: List<Option<u64>> = list;
            let _ = list.to_vec();
        }
        if let Ok(queue) = client.queue::<(bool, char)>(None) {
            let queue: Queue<(bool, char)> = queue;
            let _ = queue.try_get();
        }
    }
    *answers() = None;
}

/// Joins the client, and answers its requests by the frames in `bytes`, then closes.
fn answer(connection: &Connection, bytes: &[u8]) {
    let limit = Duration::from_millis(50);
    let _ = connection.recv_bytes_timeout(256, limit);
    let mut welcome = vec![0, 1];
    welcome.extend_from_slice(&[7; 16]);
    let _ = connection.send_bytes(&welcome);
    // The answer to the first `Ping` is right: the client goes on.
    let _ = connection.recv_bytes_timeout(1 << 16, limit);
    let _ = connection.send_bytes(&[0]);
    for frame in frames(bytes).take(16) {
        if connection.recv_bytes_timeout(1 << 16, limit).is_err()
            || connection.send_bytes(frame).is_err()
        {
            return;
        }
    }
}
