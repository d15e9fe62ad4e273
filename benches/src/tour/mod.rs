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
//! * [`report`]: the two ways to print it.

pub mod pass;
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
use self::report::Report;
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
}

impl Tour {
    /// A tour with `threads` counting threads.
    pub fn new(tree: Tree, threads: usize) -> Self {
        Self { tree, threads, stopped: AtomicBool::new(false), queue: Mutex::new(None) }
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
            threads: self.threads,
            with_threads: seconds,
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
        report.with_threads = seconds;
        if !self.is_stopped() {
            let (again, time) = pass::alone(&self.tree, self);
            if !self.is_stopped() {
                report.single = Some(time);
                report.changed |= again != report.tally;
            }
        }
        Ok(report)
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
