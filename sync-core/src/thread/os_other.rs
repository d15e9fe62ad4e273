//! The same functions for a system without special support.

use crate::primitive::thread;

/// A number of the calling thread: our own, where the system's is not known.
pub(super) fn native_id() -> u32 {
    u32::try_from(thread::id().get()).unwrap_or(u32::MAX)
}

/// Returns whether the calling thread is the one that runs `main`: `std` names it so.
pub(super) fn is_main() -> bool {
    std::thread::current().name() == Some("main")
}

/// The system's number of the main thread: 0, not known before that thread is seen.
pub(super) fn main_id() -> u32 {
    0
}

/// The number of the thread that forked this process: our own numbers do not change in a fork.
pub(super) fn first_thread_id(parents: u32) -> u32 {
    parents
}

/// The name for the system's tools is set when a thread is started, and stays.
pub(super) fn set_name(_: &str) {}
