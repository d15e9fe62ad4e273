//! Functions that several tests let workers run.

use std::time::{Duration, Instant};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn square(n: u64) -> u64 {
    n * n
}

pub(crate) fn add(a: u64, b: u64) -> u64 {
    a + b
}

pub(crate) fn pid() -> u32 {
    std::process::id()
}

pub(crate) fn pid_of(_: u64) -> u32 {
    std::process::id()
}

pub(crate) fn fail_at_three(n: u64) -> u64 {
    assert!(n != 3, "three is no number");
    n
}

pub(crate) fn sleep_for(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

pub(crate) fn end_by(signal: i32) {
    // SAFETY: a signal to this very process.
    unsafe { libc::raise(signal) };
}

/// A segment that is dropped here, with `n` in it.
pub(crate) fn fresh_segment(n: u64) -> sync_ipc::Segment {
    let segment = sync_ipc::Segment::anonymous(4096).unwrap();
    sync_ipc::RawValue::create(&segment, "n", n).unwrap();
    segment
}

pub(crate) fn send_late(sender: sync_ipc::Sender<u64>) {
    std::thread::sleep(Duration::from_millis(200));
    sender.send(7).unwrap();
}

sync_ipc::entry!(square, add, pid, pid_of, fail_at_three, sleep_for, end_by);
sync_ipc::entry!(fresh_segment, send_late);

/// Waits until `done`, for conditions that another process brings about.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}
