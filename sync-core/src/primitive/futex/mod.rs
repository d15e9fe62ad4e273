//! The futex of the build, with tasks as waiters next to threads.
//!
//! Threads sleep in the build's own futex: the system's, or the checker's ([`threads`]). Tasks wait
//! in a table of this process, see [`task`]. A wake here reaches both kinds, and the kinds take
//! turns where both wait. A process without tasks does what it did before there were any: a wake
//! costs one fence and two loads more, next to a system call.

pub mod task;

pub use self::task::retire;
#[cfg(any(loom, sync_verify, all(target_os = "linux", not(sync_futex_fallback))))]
pub use super::threads::shared;
pub use super::threads::{Deadline, wait, wait_channel, wait_maybe, wait_until};
pub use crate::futex::Channel;

use super::atomic::AtomicU32;
use super::threads;

/// Wakes one thread or task that waits on the address.
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wake_one(word: *const AtomicU32) {
    wake(word, 1);
}

/// Wakes every thread and every task that waits on the address.
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wake_all(word: *const AtomicU32) {
    wake(word, u32::MAX);
}

/// Wakes at most `count` threads and tasks that wait on the address; returns the number, as a hint
/// (not every system reports it).
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wake(word: *const AtomicU32, count: u32) -> usize {
    match task::waiting_at(word.addr()) {
        None => threads::wake(word, count),
        Some(bucket) => {
            bucket.share(word.addr(), count, Channel::ALL, |count| threads::wake(word, count))
        }
    }
}

/// Wakes at most `count` threads and tasks that wait on a channel of the address; returns the
/// number, as a hint.
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wake_channel(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    match task::waiting_at(word.addr()) {
        None => threads::wake_channel(word, count, channel),
        Some(bucket) => bucket.share(word.addr(), count, channel, |count| {
            threads::wake_channel(word, count, channel)
        }),
    }
}

/// If `*from == expected`, wakes at most `wake` of the threads that sleep on `from` and moves at
/// most `move_` others to sleep on `to`. Wakes all tasks that wait on `from`: a task is not moved.
/// Returns `false` if the word had another value; then nothing was done.
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn requeue(
    from: &AtomicU32,
    expected: u32,
    wake: u32,
    move_: u32,
    to: *const AtomicU32,
) -> bool {
    let done = threads::requeue(from, expected, wake, move_, to);
    if done {
        let address = core::ptr::from_ref(from).addr();
        if let Some(bucket) = task::waiting_at(address) {
            bucket.share(address, u32::MAX, Channel::ALL, |_| 0);
        }
    }
    done
}
