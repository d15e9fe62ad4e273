//! Helpers of several tests of processes.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it: no claim about speed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `done`, for conditions that another process brings about.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sleeps until another process ends this one.
pub(crate) fn sleep_until_killed() {
    std::thread::sleep(LIMIT);
}
sync_ipc::entry!(sleep_until_killed);

/// Whether a process with this number exists and is no zombie.
pub(crate) fn exists(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().split_whitespace().next();
    state.is_some_and(|state| state != "Z")
}
