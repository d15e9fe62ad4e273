//! Catches a hang: a generous limit, and the place of every thread when it was reached.
//!
//! No test here fails by a clock. A test that hangs is stopped after [`LIMIT`] with the notes that
//! its threads left ([`note`]) and the system's report of every thread (Linux: name, state, and
//! what it sleeps in).

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::Location;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Far beyond what any test takes on a busy machine with one processor.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

static NOTES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Watches until it is dropped.
#[must_use = "it watches only as long as it lives"]
pub(crate) struct Watchdog {
    done: Option<Sender<()>>,
}

/// Starts to watch the calling test.
#[track_caller]
pub(crate) fn watch() -> Watchdog {
    let place = Location::caller();
    let test = thread::current().name().unwrap_or("unnamed test").to_owned();
    note(format!("began {test}"));
    let (done, watched) = channel();
    thread::spawn(move || {
        if watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let mut report = format!(
                "watchdog: {test} at {place} has not ended after {LIMIT:?}; where each thread is:\n"
            );
            for (thread, text) in NOTES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                report += &format!("  {thread}: {text}\n");
            }
            report += &threads();
            // Past the capture of the test's output, which an abort would lose.
            let _ = std::io::stderr().write_all(report.as_bytes());
            #[cfg(feature = "waits")]
            sync_core::waits::print();
            std::process::abort();
        }
    });
    Watchdog { done: Some(done) }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.done.take());
    }
}

/// Notes the place of the calling thread, for the report of a hang.
pub(crate) fn note(text: impl Into<String>) {
    let thread = thread::current();
    let name = format!("{:?} {}", thread.id(), thread.name().unwrap_or(""));
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).insert(name, text.into());
}

fn threads() -> String {
    let mut report = String::new();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return report };
    for task in tasks.flatten() {
        let read = |what: &str| std::fs::read_to_string(task.path().join(what)).unwrap_or_default();
        let status = read("status");
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned()
        };
        let (name, state) = (field("Name:"), field("State:"));
        report += &format!(
            "  task {:?} {name}: {state}, in {}, system call {}\n",
            task.file_name(),
            read("wchan").trim(),
            read("syscall").trim()
        );
    }
    report
}
