//! One way through the tree, with processes.
//!
//! A [`sync_ipc::Pool`] counts; the calling thread walks the tree and gives it files by the dozen.
//! The processes share a segment: a [`Semaphore`] bounds the files that all of them have open at
//! once, an [`Event`] stops them, and an atomic number counts the files for the progress, which a
//! [`sync_timer::Interval`] reads. The words of a task come back through a memory file.
//!
//! A task counts when it is done, so a worker that is killed loses nothing: its task is run again
//! by another one, and the permits that it held come back. `chaos` kills one now and then.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sync_ipc::{Event, Pool, RawValue, Segment, Semaphore};
use sync_timer::Interval;

use super::Observer;
use super::tally::{Counter, Tally};
use super::tree::{Tree, open};

/// The files of one task.
const FILES: usize = 64;

/// The files that a process may have open at once, on average.
const OPEN_FILES: usize = 2;

/// The times that a task is run again after its worker died.
const RETRIES: u32 = 1000;

/// The time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(100);

/// The longest time between two kills of `chaos`, in milliseconds, while tasks are done in between.
/// It doubles with each kill after which no task was done before the next: else a task that takes
/// longer than its worker lives would never be done.
const CHAOS: u64 = 150;

/// The objects that all processes share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shared {
    open_files: Semaphore,
    stop: Event,
    counted: RawValue<u64>,
}

impl Shared {
    /// New ones, for this many processes.
    ///
    /// # Errors
    ///
    /// When there is no memory.
    pub fn new(processes: usize) -> sync_ipc::Result<Self> {
        let segment = Segment::anonymous(1 << 16)?;
        let permits = processes * OPEN_FILES;
        Ok(Self {
            open_files: Semaphore::create(&segment, "open files", permits, permits)?,
            stop: Event::create(&segment, "stop")?,
            counted: RawValue::create(&segment, "counted", 0)?,
        })
    }

    /// Ends the processes' work early.
    pub fn stop(&self) {
        self.stop.set();
    }

    /// Returns the number of files that were counted. A file that is counted again after a kill
    /// counts again.
    fn progress(&self) -> u64 {
        // Relaxed: no data is published through it.
        self.counted.as_atomic().load(Ordering::Relaxed)
    }
}

/// Paths, which need not be text.
#[derive(Serialize, Deserialize)]
struct Task {
    root: Vec<u8>,
    paths: Vec<Vec<u8>>,
}

/// The outcome of a task.
#[derive(Serialize, Deserialize)]
struct Counted {
    tally: Tally,
    unreadable: Vec<(Vec<u8>, String)>,
}

/// The shared objects in a worker.
static SHARED: OnceLock<Shared> = OnceLock::new();

fn prepare(shared: Shared) {
    // An initializer runs once in a worker.
    let _ = SHARED.set(shared);
}

fn count(task: Task) -> Counted {
    let shared = SHARED.get().expect("the initializer has run");
    let root = PathBuf::from(OsStr::from_bytes(&task.root));
    let mut counted = Counted { tally: Tally::default(), unreadable: Vec::new() };
    let mut counter = Counter::default();
    for path in &task.paths {
        if shared.stop.is_set() {
            break;
        }
        // A permit of a worker that was killed comes back by itself.
        let permit = shared.open_files.acquire().expect("the semaphore is sound");
        let file = open(&root, Path::new(OsStr::from_bytes(path)));
        let added = file.and_then(|mut file| {
            counter.add(&mut file, &mut counted.tally, || shared.stop.is_set())
        });
        drop(permit);
        match added {
            Ok(_) => {
                // Relaxed: see `progress`.
                shared.counted.as_atomic().fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                counted.tally.unreadable += 1;
                counted.unreadable.push((path.clone(), error.to_string()));
            }
        }
    }
    counted
}

sync_ipc::entry!(prepare, count);

/// The outcome of a pass.
#[derive(Debug)]
pub struct Passed {
    /// The totals.
    pub tally: Tally,
    /// The time.
    pub time: Duration,
    /// Workers that were killed.
    pub kills: u64,
}

/// Counts with several processes, until all is counted or `shared` is stopped.
///
/// # Errors
///
/// When the processes cannot be started, or a task is not done in all its attempts.
pub fn with_processes(
    tree: &Tree,
    processes: usize,
    shared: &Shared,
    chaos: bool,
    observer: &dyn Observer,
) -> io::Result<Passed> {
    let start = Instant::now();
    let pool = Pool::builder()
        .workers(processes)
        .name_prefix("count")
        .initializer(prepare, shared.clone())
        .retries(RETRIES)
        .build()
        .map_err(io::Error::other)?;
    let over = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    let mut ticks = Interval::new(LOOK);
    let stopper = ticks.stopper();
    let (outcome, kills) = thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while ticks.tick().is_some() {
                let now = shared.progress();
                (seen..now).for_each(|_| observer.counted(0));
                seen = now;
            }
        });
        let killing = chaos.then(|| scope.spawn(|| kill_now_and_then(&pool, &done, &over)));
        let outcome = count_all(tree, &pool, shared, &done, observer);
        // Relaxed: a flag.
        over.store(true, Ordering::Relaxed);
        stopper.stop();
        let kills = killing.map_or(0, |killing| killing.join().unwrap_or(0));
        (outcome, kills)
    });
    pool.shutdown(true, true);
    Ok(Passed { tally: outcome?, time: start.elapsed(), kills })
}

fn count_all(
    tree: &Tree,
    pool: &Pool,
    shared: &Shared,
    done: &AtomicU64,
    observer: &dyn Observer,
) -> io::Result<Tally> {
    let mut files = tree.files();
    let root = tree.root().as_os_str().as_bytes().to_vec();
    let unreadable_folders = std::cell::Cell::new(0);
    let tasks = std::iter::from_fn(|| {
        let mut paths = Vec::new();
        while paths.len() < FILES && !shared.stop.is_set() {
            match files.next() {
                None => break,
                Some(Ok(path)) => {
                    observer.found();
                    paths.push(path.into_os_string().into_vec());
                }
                Some(Err(unreadable)) => {
                    observer.unreadable(&unreadable.path, &unreadable.error);
                    unreadable_folders.set(unreadable_folders.get() + 1);
                }
            }
        }
        (!paths.is_empty()).then(|| Task { root: root.clone(), paths })
    });
    let mut total = Tally::default();
    for counted in pool.imap_unordered(count, tasks, 1).map_err(io::Error::other)? {
        let Counted { tally, unreadable } = counted.map_err(io::Error::other)?;
        // Relaxed: only counted.
        done.fetch_add(1, Ordering::Relaxed);
        for (path, error) in unreadable {
            observer.unreadable(Path::new(OsStr::from_bytes(&path)), &io::Error::other(error));
        }
        total.merge(tally);
    }
    total.unreadable += unreadable_folders.get();
    Ok(total)
}

/// Kills a worker now and then, until it is `over`. Returns the number of kills.
fn kill_now_and_then(pool: &Pool, done: &AtomicU64, over: &AtomicBool) -> u64 {
    let (mut random, mut kills) = (u64::from(std::process::id()) | 1, 0);
    let mut below = |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    let (mut longest, mut done_before) = (CHAOS, 0);
    // Relaxed: a flag.
    while !over.load(Ordering::Relaxed) {
        let until = Instant::now() + Duration::from_millis(below(longest));
        // Relaxed: a flag. In small steps, so that the end does not wait for the next kill.
        while Instant::now() < until && !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        // Relaxed: only compared.
        let done_now = done.load(Ordering::Relaxed);
        longest = if done_now == done_before { longest * 2 } else { CHAOS };
        done_before = done_now;
        let workers = pool.workers();
        if let Some(worker) = workers.get(below(workers.len().max(1) as u64) as usize) {
            // Ended by itself is as good.
            kills += u64::from(worker.is_alive() && worker.kill().is_ok());
        }
    }
    kills
}
