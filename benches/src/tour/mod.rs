//! `cargo tour`: the words of every regular file under a path, counted by threads that meet through
//! this workspace's primitives.
//!
//! One thread walks the tree and puts paths into a bounded [`sync_queue::Queue`]: when the counters
//! fall behind, it waits. N threads take paths out and count; what they found meets under a
//! [`sync_core::Mutex`]. The end is known by the queue's task tracking: when the walk is over, the
//! walker waits in `join` until every path that was put is done, and shuts the queue down, which
//! ends the counters. Ctrl-C does the same earlier: `shutdown_now` throws away what waits, and what
//! was counted so far is the result.
//!
//! * [`tree`]: which files, and what is not followed;
//! * [`tally`]: the words of a file, exactly `String::from_utf8_lossy(..).split_whitespace()`,
//!   without holding a large file in memory;
//! * [`pass`]: one way through the tree, with threads or without;
//! * `processes` (on Linux): one way through the tree, with processes;
//! * [`report`]: the two ways to print it.

pub mod pass;
#[cfg(target_os = "linux")]
pub mod processes;
pub mod report;
pub mod tally;
pub mod tree;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_core::Mutex;

use self::pass::Paths;
use self::report::{Report, Workers};
use self::tree::Tree;
use crate::usage::Usage;

/// Is told what happens, by all threads.
pub trait Observer: Sync {
    /// Another file was found.
    fn found(&self);
    /// Another file was counted.
    fn counted(&self, bytes: u64);
    /// A file or folder cannot be read.
    fn unreadable(&self, path: &Path, error: &io::Error);
}

/// An observer that ignores all reports.
#[derive(Debug)]
pub struct Silent;

impl Observer for Silent {
    fn found(&self) {}
    fn counted(&self, _: u64) {}
    fn unreadable(&self, _: &Path, _: &io::Error) {}
}

/// A tour through a tree.
#[derive(Debug)]
pub struct Tour {
    tree: Tree,
    threads: usize,
    stopped: AtomicBool,
    /// The queue of the pass that is under way.
    queue: Mutex<Option<Arc<Paths>>>,
    /// The objects of the processes that are under way.
    #[cfg(target_os = "linux")]
    shared: Mutex<Option<processes::Shared>>,
}

impl Tour {
    /// A tour with `threads` counting threads.
    pub fn new(tree: Tree, threads: usize) -> Self {
        Self {
            tree,
            threads,
            stopped: AtomicBool::new(false),
            queue: Mutex::new(None),
            #[cfg(target_os = "linux")]
            shared: Mutex::new(None),
        }
    }

    /// Ends the tour early, from any thread. `false` if it was ended before.
    pub fn stop(&self) -> bool {
        // Under the lock that a pass is entered with, so that a queue that comes later sees the
        // flag. Relaxed: the lock orders it.
        let queue = self.queue.lock();
        let first = !self.stopped.swap(true, Ordering::Relaxed);
        if let Some(queue) = &*queue {
            queue.shutdown_now();
        }
        drop(queue);
        #[cfg(target_os = "linux")]
        if let Some(shared) = &*self.shared.lock() {
            shared.stop();
        }
        first
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        // Relaxed: a flag; what must end is woken through the queue.
        self.stopped.load(Ordering::Relaxed)
    }

    /// Counts with threads, then again with one thread for comparison.
    ///
    /// If the first way through had to read from the disk, the threads go once more before they are
    /// compared with the one thread that then finds all files in memory.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn run(&self, observer: &dyn Observer) -> io::Result<Report> {
        let before = Usage::now();
        let (tally, mut seconds) = self.with_threads(observer)?;
        let mut report = Report {
            tally,
            workers: Workers::Threads(self.threads),
            together: seconds,
            single: None,
            changed: false,
        };
        if !self.is_stopped() && Usage::now().since(before).disk_reads > 0 {
            let (again, time) = self.with_threads(&Silent)?;
            if !self.is_stopped() {
                seconds = time;
                report.changed = again != report.tally;
            }
        }
        report.together = seconds;
        self.compare(&mut report);
        Ok(report)
    }

    /// Counts with processes, then again with one thread for comparison. `chaos` kills a process
    /// now and then, which changes nothing in the totals.
    ///
    /// # Errors
    ///
    /// When a process cannot be started, or a task is not done in all its attempts.
    #[cfg(target_os = "linux")]
    pub fn run_processes(
        &self,
        processes: usize,
        chaos: bool,
        observer: &dyn Observer,
    ) -> io::Result<Report> {
        let shared = processes::Shared::new(processes).map_err(io::Error::other)?;
        {
            let mut current = self.shared.lock();
            *current = Some(shared.clone());
            // A stop sets the flag before it takes this lock.
            if self.is_stopped() {
                shared.stop();
            }
        }
        let passed = processes::with_processes(&self.tree, processes, &shared, chaos, observer)?;
        let kills = chaos.then_some(passed.kills);
        let mut report = Report {
            tally: passed.tally,
            workers: Workers::Processes { count: processes, kills },
            together: passed.time,
            single: None,
            changed: false,
        };
        self.compare(&mut report);
        Ok(report)
    }

    /// Counts with one thread, unless the tour was stopped.
    fn compare(&self, report: &mut Report) {
        if !self.is_stopped() {
            let (again, time) = pass::alone(&self.tree, self);
            if !self.is_stopped() {
                report.single = Some(time);
                report.changed |= again != report.tally;
            }
        }
    }

    fn with_threads(&self, observer: &dyn Observer) -> io::Result<(tally::Tally, Duration)> {
        let queue = Arc::new(pass::queue());
        {
            let mut current = self.queue.lock();
            if self.is_stopped() {
                queue.shutdown();
            }
            *current = Some(Arc::clone(&queue));
        }
        pass::with_threads(&self.tree, self, &queue, self.threads, observer)
    }
}
