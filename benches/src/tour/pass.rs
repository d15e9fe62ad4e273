//! One way through the tree.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::Mutex;
use sync_queue::Queue;

use super::tally::{Counter, Tally};
use super::tree::Tree;
use super::{Observer, Silent, Tour};

/// The paths that wait to be counted.
pub type Paths = Queue<PathBuf>;

/// How many paths may wait. Enough that no counter ever runs dry while the walker reads a folder,
/// little enough to be nothing in memory.
const WAITING: usize = 1024;

/// A counter whose own tally has this many different words merges it into the total, so that a
/// thousand counters do not hold a thousand times the words there are. Not earlier: every tally
/// begins with the words that all files have, and must find room for them again.
const BRING_AT: usize = 1 << 20;

/// The queue for a pass.
pub fn queue() -> Paths {
    Queue::bounded(WAITING)
}

/// Counts with one walking thread and several counting threads, until all is counted or the queue
/// is shut down.
///
/// # Errors
///
/// When a thread cannot be started.
pub fn with_threads(
    tree: &Tree,
    tour: &Tour,
    queue: &Paths,
    threads: usize,
    observer: &dyn Observer,
) -> io::Result<(Tally, Duration)> {
    let start = Instant::now();
    let totals = Mutex::new(Tally::default());
    thread::scope(|scope| {
        let start_all = || -> io::Result<()> {
            for number in 0..threads {
                let counting = || count(tree, tour, queue, &totals, observer);
                thread::Builder::new()
                    .name(format!("count-{number}"))
                    .spawn_scoped(scope, counting)?;
            }
            let walking = || walk(tree, queue, &totals, observer);
            thread::Builder::new().name("walk".to_owned()).spawn_scoped(scope, walking)?;
            Ok(())
        };
        // Those that have started must not wait for the one that could not.
        start_all().inspect_err(|_| queue.shutdown())
    })?;
    Ok((totals.into_inner(), start.elapsed()))
}

fn walk(tree: &Tree, queue: &Paths, totals: &Mutex<Tally>, observer: &dyn Observer) {
    for file in tree.files() {
        match file {
            Ok(path) => {
                observer.found();
                if queue.put(path).is_err() {
                    return; // Shut down: no more files are wanted.
                }
            }
            Err(unreadable) => {
                observer.unreadable(&unreadable.path, &unreadable.error);
                totals.lock().unreadable += 1;
            }
        }
        if queue.is_shutdown() {
            return;
        }
    }
    queue.join();
    queue.shutdown();
}

fn count(tree: &Tree, tour: &Tour, queue: &Paths, totals: &Mutex<Tally>, observer: &dyn Observer) {
    let (mut counter, mut mine) = (Counter::default(), Tally::default());
    // The task is done when its guard goes, even if this thread panics: `join` never waits for
    // nothing.
    while let Ok(path) = queue.get_task() {
        count_one(tree, tour, &path, &mut counter, &mut mine, observer);
        if mine.distinct() >= BRING_AT {
            totals.lock().merge(std::mem::take(&mut mine));
        }
    }
    totals.lock().merge(mine);
}

fn count_one(
    tree: &Tree,
    tour: &Tour,
    path: &Path,
    counter: &mut Counter,
    tally: &mut Tally,
    observer: &dyn Observer,
) {
    match tree.open(path).and_then(|mut file| counter.add(&mut file, tally, || tour.is_stopped())) {
        Ok(Some(bytes)) => observer.counted(bytes),
        Ok(None) => {} // Stopped within the file.
        Err(error) => {
            observer.unreadable(path, &error);
            tally.unreadable += 1;
        }
    }
}

/// The same by this thread alone, without a queue and a lock: what the threads are compared with.
pub fn alone(tree: &Tree, tour: &Tour) -> (Tally, Duration) {
    let start = Instant::now();
    let (mut counter, mut tally) = (Counter::default(), Tally::default());
    for file in tree.files() {
        if tour.is_stopped() {
            break;
        }
        match file {
            Ok(path) => count_one(tree, tour, &path, &mut counter, &mut tally, &Silent),
            Err(_) => tally.unreadable += 1,
        }
    }
    (tally, start.elapsed())
}
