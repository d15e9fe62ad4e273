//! Processes: ours, Python's `multiprocessing` (if it is installed), and what the system gives.
//!
//! * `spawn`: from the call that starts a process to its first instruction, in a function of this
//!   program; beside procspawn and mitosis, which do the same, and `std::process::Command` and
//!   tokio's, which execute the same program;
//! * `map`: a task of a map of 100,000 tasks that do next to nothing, over two processes; beside
//!   the thread pool's `map`, and the thread pool with as many batches as ours has chunks;
//! * `apply`: one call there and its result back, one at a time; beside procspawn's pool, a bare
//!   socket pair to a process that sends back what it gets, and tokio's process with two pipes;
//! * `bytes16m`: a call with 16 MiB of arguments; beside the same through a socket pair, and a copy
//!   into new memory, which is the least that any of them can do;
//! * `manager`: one call of a dictionary in a server process; beside a bare socket pair.

pub mod bare;
#[cfg(not(feature = "heavy-peers"))]
#[path = "no_peers.rs"]
pub mod peers;
#[cfg(feature = "heavy-peers")]
pub mod peers;
mod python;

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sync_ipc::manager::{Dict, Manager};
use sync_ipc::{Bytes, Descriptor, Pool, Process, SpawnError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use self::bare::now;
use self::python::python;
use super::ipc_messages::ops;
use crate::compare::shapes::expect;
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Subject, Workload};

/// Tasks of a map.
const TASKS: u64 = 100_000;

/// The length of a large argument.
const LARGE: usize = 16 << 20;

/// All workloads of processes.
pub fn workloads() -> Vec<Workload> {
    let workload = |name: &str, ms, contestants: Vec<Option<Contestant>>| {
        Workload::team("processes", name, 2, contestants.into_iter().flatten().collect())
            .paced_by_ops()
            .rounds_of(Duration::from_millis(ms))
            .with_rounds(15)
    };
    vec![
        workload(
            "spawn",
            20,
            vec![
                Some(our_spawn()),
                Some(command_spawn()),
                Some(tokio_spawn()),
                peers::procspawn_spawn(),
                peers::mitosis_spawn(),
                python("python-spawn", "spawn", 0, 1, 1),
                python("python-fork", "fork", 0, 1, 1),
            ],
        ),
        workload(
            "map",
            10,
            vec![
                Some(our_map()),
                Some(thread_batches()),
                Some(thread_map()),
                python("python", "map", TASKS, 1, TASKS),
            ],
        ),
        workload(
            "apply",
            10,
            vec![
                Some(our_apply()),
                Some(socketpair()),
                Some(tokio_pipes()),
                peers::procspawn_apply(),
                python("python", "apply", 0, 100, 1),
            ],
        ),
        workload(
            "bytes16m",
            30,
            vec![
                Some(our_bytes()),
                Some(socketpair_bytes()),
                Some(copy_bytes()),
                python("python", "bytes", LARGE as u64, 1, 1),
            ],
        ),
        workload(
            "manager",
            10,
            vec![Some(our_manager()), Some(socketpair()), python("python", "manager", 0, 100, 1)],
        ),
    ]
}

/// A subject whose operations are long: its self-check has few.
struct Few<F>(F, u64);

impl<F: FnMut(u64) -> Result<Outcome, String>> Subject for Few<F> {
    fn round(&mut self, length: Length) -> Result<Outcome, String> {
        (self.0)(ops(length)?)
    }

    fn check(&mut self) -> Result<(), String> {
        self.round(Length::Ops(self.1)).map(drop)
    }
}

/// Does `n` operations, and takes the time.
fn timed(n: u64, mut operation: impl FnMut(u64) -> Result<(), String>) -> Result<Outcome, String> {
    let start = Instant::now();
    (0..n).try_for_each(&mut operation)?;
    Ok(Outcome::timed(n, start.elapsed()))
}

/// `n` processes, one after another: `start` starts one and returns when it was at its first
/// instruction, by the monotonic clock, which it has at its end.
fn spawned(n: u64, mut start: impl FnMut() -> Result<u64, String>) -> Result<Outcome, String> {
    let mut total = Duration::ZERO;
    for _ in 0..n {
        let before = now();
        let first = start()?;
        total += Duration::from_nanos(first.checked_sub(before).ok_or("before its start")?);
    }
    Ok(Outcome::timed(n, total))
}

fn first() -> u64 {
    now()
}

fn small(n: u64) -> u64 {
    n.wrapping_mul(n)
}

fn length(bytes: Bytes) -> usize {
    black_box(&bytes).len()
}

/// Sends back each 8 bytes.
fn echo(socket: Descriptor) {
    let mut socket = UnixStream::from(OwnedFd::from(socket));
    let mut word = [0; 8];
    while socket.read_exact(&mut word).is_ok() && socket.write_all(&word).is_ok() {}
}

/// Reads [`LARGE`] bytes, into new memory each time, and answers by their number.
fn swallow(socket: Descriptor) {
    let mut socket = UnixStream::from(OwnedFd::from(socket));
    loop {
        let mut bytes = vec![0; LARGE];
        let read = socket.read_exact(&mut bytes);
        let length = black_box(&bytes).len() as u64;
        if read.is_err() || socket.write_all(&length.to_ne_bytes()).is_err() {
            return;
        }
    }
}

sync_ipc::entry!(first, small, length, echo, swallow);

fn our_spawn() -> Contestant {
    let spawn =
        || Process::spawn(first, ()).map_err(text)?.result().map_err(|error| error.to_string());
    Contestant::new(OURS, move || Few(move |n| spawned(n, spawn), 2))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn command_spawn() -> Contestant {
    let spawn = || {
        let output = bare::first().stdin(Stdio::null()).output().map_err(text)?;
        output.stdout.try_into().map(u64::from_ne_bytes).map_err(|_| "no time".to_owned())
    };
    Contestant::new("command", move || Few(move |n| spawned(n, spawn), 2))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("descriptors")
}

fn tokio_spawn() -> Contestant {
    Contestant::new("tokio", || {
        let runtime = runtime();
        let spawn = move || {
            let mut command = tokio::process::Command::from(bare::first());
            command.stdin(Stdio::null());
            let output = runtime.block_on(async { command.output().await }).map_err(text)?;
            output.stdout.try_into().map(u64::from_ne_bytes).map_err(|_| "no time".to_owned())
        };
        Few(move |n| spawned(n, &spawn), 2)
    })
}

/// The sum of the results of a map.
fn sum() -> u64 {
    (0..TASKS).map(small).fold(0, u64::wrapping_add)
}

/// Maps of [`TASKS`] tasks: `map` does one, and returns the sum of the results.
fn maps(
    n: u64,
    expected: u64,
    mut map: impl FnMut() -> Result<u64, String>,
) -> Result<Outcome, String> {
    let start = Instant::now();
    let maps = n.div_ceil(TASKS);
    for _ in 0..maps {
        expect(expected, map()?)?;
    }
    Ok(Outcome::timed(maps * TASKS, start.elapsed()))
}

fn our_map() -> Contestant {
    Contestant::new(OURS, || {
        let (pool, expected) = (Pool::new(2).expect("two processes"), sum());
        let map = move || {
            let results = pool.map(small, 0..TASKS).map_err(text)?;
            Ok(results.into_iter().fold(0, u64::wrapping_add))
        };
        Few(move |n| maps(n, expected, &map), 1)
    })
}

/// As many jobs as our map has chunks; each has a vector of items and makes a vector of results.
fn thread_batches() -> Contestant {
    Contestant::new("thread-batches", || {
        let (pool, expected) = (sync_queue::ThreadPool::new(2), sum());
        let map = move || {
            let items: Vec<u64> = (0..TASKS).collect();
            let jobs = items.chunks(TASKS as usize / 8).map(|chunk| {
                let chunk = chunk.to_vec();
                let small = black_box(small as fn(u64) -> u64);
                pool.submit(move || chunk.into_iter().map(small).collect::<Vec<_>>())
            });
            let jobs: Result<Vec<_>, _> = jobs.collect();
            let jobs = jobs.map_err(|error| format!("{error:?}"))?;
            let mut results = Vec::with_capacity(TASKS as usize);
            for job in jobs {
                results.extend(job.result().map_err(text)?);
            }
            Ok(results.into_iter().fold(0, u64::wrapping_add))
        };
        Few(move |n| maps(n, expected, &map), 1)
    })
}

/// A job for each task.
fn thread_map() -> Contestant {
    Contestant::new("thread-map", || {
        let (pool, expected) = (sync_queue::ThreadPool::new(2), sum());
        let map = move || {
            let results = pool.map(0..TASKS, small).map_err(|error| format!("{error:?}"))?;
            let results: Result<Vec<_>, _> = results.collect();
            Ok(results.map_err(text)?.into_iter().fold(0, u64::wrapping_add))
        };
        Few(move |n| maps(n, expected, &map), 1)
    })
}

fn our_apply() -> Contestant {
    Contestant::new(OURS, || {
        let pool = Pool::new(1).expect("a process");
        let call = move |n| expect(small(n), pool.apply(small, n).map_err(text)?);
        Few(move |n| timed(n, &call), 100)
    })
}

/// A process that has one end of a socket pair, and the other end.
struct Peer {
    socket: UnixStream,
    process: Option<Process<()>>,
}

impl Peer {
    fn start(spawn: impl FnOnce(Descriptor) -> Result<Process<()>, SpawnError>) -> Self {
        let (socket, theirs) = UnixStream::pair().expect("descriptors");
        let process = spawn(OwnedFd::from(theirs).into()).expect("a process");
        Self { socket, process: Some(process) }
    }

    fn word(&mut self) -> Result<u64, String> {
        let mut word = [0; 8];
        self.socket.read_exact(&mut word).map_err(text)?;
        Ok(u64::from_ne_bytes(word))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.take().map(Process::result);
    }
}

fn socketpair() -> Contestant {
    Contestant::new("socketpair", || {
        let mut peer = Peer::start(|theirs| Process::spawn(echo, theirs));
        let mut call = move |n: u64| {
            peer.socket.write_all(&n.to_ne_bytes()).map_err(text)?;
            expect(n, peer.word()?)
        };
        Few(move |n| timed(n, &mut call), 100)
    })
}

fn tokio_pipes() -> Contestant {
    Contestant::new("tokio", || {
        let runtime = runtime();
        let mut command = tokio::process::Command::from(bare::echo());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = {
            let _inside = runtime.enter();
            command.spawn().expect("a process")
        };
        let mut stdin = child.stdin.take().expect("piped");
        let mut stdout = child.stdout.take().expect("piped");
        let rounds = move |n: u64| {
            // Its end is the end of its input, which comes with the end of this closure.
            let _ = &child;
            runtime.block_on(async {
                let start = Instant::now();
                for number in 0..n {
                    stdin.write_all(&number.to_ne_bytes()).await.map_err(text)?;
                    let mut word = [0; 8];
                    stdout.read_exact(&mut word).await.map_err(text)?;
                    expect(number, u64::from_ne_bytes(word))?;
                }
                Ok(Outcome::timed(n, start.elapsed()))
            })
        };
        Few(rounds, 100)
    })
}

/// The time of the call only: it takes its argument, which is copied before.
fn our_bytes() -> Contestant {
    Contestant::new(OURS, || {
        let (pool, bytes) = (Pool::new(1).expect("a process"), vec![0; LARGE]);
        let rounds = move |n: u64| {
            let mut total = Duration::ZERO;
            for _ in 0..n {
                let argument = Bytes(black_box(&bytes).clone());
                let start = Instant::now();
                let seen = pool.apply(length, argument).map_err(text)?;
                total += start.elapsed();
                expect(LARGE as u64, seen as u64)?;
            }
            Ok(Outcome::timed(n, total))
        };
        Few(rounds, 1)
    })
}

fn socketpair_bytes() -> Contestant {
    Contestant::new("socketpair", || {
        let (mut peer, bytes) =
            (Peer::start(|theirs| Process::spawn(swallow, theirs)), vec![0; LARGE]);
        let mut call = move |_| {
            peer.socket.write_all(&bytes).map_err(text)?;
            expect(LARGE as u64, peer.word()?)
        };
        Few(move |n| timed(n, &mut call), 1)
    })
}

fn copy_bytes() -> Contestant {
    Contestant::new("copy", || {
        let bytes = vec![0_u8; LARGE];
        let call = move |_| expect(LARGE as u64, black_box(black_box(&bytes).clone()).len() as u64);
        Few(move |n| timed(n, &call), 1)
    })
}

fn our_manager() -> Contestant {
    Contestant::new(OURS, || {
        let manager = Manager::start().expect("a server");
        let dict: Dict<u64, u64> = manager.dict().expect("a dictionary");
        dict.insert(&1, &42).expect("room");
        let call = move |_| {
            let _ = &manager;
            expect(42, dict.get(&1).map_err(text)?.unwrap_or(0))
        };
        Few(move |n| timed(n, &call), 100)
    })
}
