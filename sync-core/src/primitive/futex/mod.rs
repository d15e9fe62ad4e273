//! The futex of the build, with tasks as waiters next to threads.
//!
//! Threads sleep in the build's own futex: the system's, or the checker's ([`threads`]). Tasks wait
//! in a table of this process, see [`task`]. A wake here reaches both kinds, and the kinds take
//! turns where both wait. In a process without tasks a wake costs one fence and two loads more,
//! next to a system call, and a sleep a fence and two locked instructions. A wake that finds tasks
//! calls the system only where a thread may sleep, see `asleep.rs`.
//!
//! A checker's build knows the place of a wake: its caller's. What is inside (the fences, the
//! counts, the table) has its own lines.

mod asleep;
mod hash;
pub mod task;

pub use self::task::{Word, retire};
pub use super::threads::Deadline;
pub use crate::futex::Channel;

use self::asleep::Asleep;
use super::atomic::AtomicU32;
use super::threads;

/// Sleeps while `*word == expected`.
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wait(word: &AtomicU32, expected: u32) {
    wait_maybe(word, expected, None);
}

/// Sleeps while `*word == expected`, at most until `deadline`. Returns `false` if the deadline
/// passed; then no wake was consumed.
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wait_until(word: &AtomicU32, expected: u32, deadline: Deadline) -> bool {
    wait_maybe(word, expected, Some(deadline))
}

/// Like [`wait_until`]; forever where there is no deadline.
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wait_maybe(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> bool {
    let _asleep = Asleep::on(address(word));
    threads::wait_maybe(word, expected, deadline)
}

/// Like [`wait_maybe`], on a channel of the word.
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wait_channel(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    channel: Channel,
) -> bool {
    let _asleep = Asleep::on(address(word));
    threads::wait_channel(word, expected, deadline, channel)
}

fn address(word: &AtomicU32) -> usize {
    core::ptr::from_ref(word).addr()
}

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
    share(word, count, Channel::ALL)
}

/// Wakes at most `count` threads and tasks that wait on a channel of the address; returns the
/// number, as a hint.
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wake_channel(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    share(word, count, channel)
}

/// Wakes one thread or task that waits on a channel of the address, for a lock that was released;
/// if it is a task, one thread as well. Returns `false` if there was a task and no thread.
///
/// A task that was chosen takes the lock at its next poll, and that may be a long time away: its
/// executor may be the very thread that sleeps here. So no thread depends on it. The lock must bear
/// that both come.
#[cold]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn wake_for_lock(word: *const AtomicU32, channel: Channel) -> bool {
    let address = word.addr();
    match task::waiting_at(address) {
        Some(bucket) => bucket.share_for_lock(address, channel, asleep::may_be(address), || {
            wake_threads(word, 1, channel) > 0
        }),
        // As in `share`.
        None => {
            wake_threads(word, 1, channel);
            true
        }
    }
}

/// Wakes at most `count` threads and tasks; returns the number.
#[inline]
#[cfg_attr(any(loom, sync_verify), track_caller)]
fn share(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    let address = word.addr();
    match task::waiting_at(address) {
        Some(bucket) => bucket.share(address, count, channel, asleep::may_be(address), |count| {
            wake_threads(word, count, channel)
        }),
        // Whether a thread sleeps is not asked: see `asleep`. A call and not that closure: the
        // checker tells wakes apart by their callers, and changes each by itself.
        None => wake_threads(word, count, channel),
    }
}

/// Wakes at most `count` threads; returns the number. For all channels it is the simpler call.
#[inline]
#[cfg_attr(any(loom, sync_verify), track_caller)]
fn wake_threads(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    if channel == Channel::ALL {
        threads::wake(word, count)
    } else {
        threads::wake_channel(word, count, channel)
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
    asleep::will_be_moved_to(to.addr());
    let done = threads::requeue(from, expected, wake, move_, to);
    if done {
        let address = address(from);
        if let Some(bucket) = task::waiting_at(address) {
            bucket.share(address, u32::MAX, Channel::ALL, false, |_| 0);
        }
    }
    done
}

/// The same functions on words in memory that several processes share. Tasks do not wait on these.
#[cfg(any(loom, sync_verify, all(target_os = "linux", not(sync_futex_fallback))))]
pub mod shared {
    pub use super::super::threads::shared::{MOST_WORDS, wait_maybe, wake};

    use super::{Asleep, AtomicU32, Deadline, address, threads};

    /// Sleeps while every word has the value that stands beside it, at most until `deadline`. `own`
    /// is a word of this process, the others are shared, and fewer than [`MOST_WORDS`]. Wakes on
    /// several of the words may have been consumed when it returns.
    ///
    /// Returns `false`, without having slept, if the system has no such call (Linux before 5.16) or
    /// does not permit it.
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    pub fn wait_many(
        own: (&AtomicU32, u32),
        others: &[(&AtomicU32, u32)],
        deadline: Option<Deadline>,
    ) -> bool {
        let _asleep = Asleep::on(address(own.0));
        threads::shared::wait_many(own, others, deadline)
    }
}
