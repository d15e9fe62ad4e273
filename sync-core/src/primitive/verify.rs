//! The build under `--cfg sync_verify`: the types of the workspace's own checker. It models the
//! futex, time and spurious wake-ups itself.

/// Atomics and fences.
pub mod atomic {
    pub use verify::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
        AtomicUsize, Ordering, compiler_fence, fence,
    };
}

/// Interior mutability with loom's closures.
pub mod cell {
    pub use verify::cell::UnsafeCell;
}

/// The checker's futex, under the names of the real one.
pub mod threads {
    use verify::sync::atomic::AtomicU32;

    pub use crate::futex::Channel;
    pub use crate::primitive::checked::Deadline;

    /// Sleeps while `*word == expected`.
    #[track_caller]
    pub fn wait(word: &AtomicU32, expected: u32) {
        verify::futex::wait(word, expected);
    }

    /// Sleeps while `*word == expected`, at most until some moment. `false`: that moment came and
    /// no wake was consumed.
    #[track_caller]
    pub fn wait_until(word: &AtomicU32, expected: u32, _: Deadline) -> bool {
        verify::futex::wait_timeout(word, expected)
    }

    /// Like [`wait_until`]; forever where there is no deadline.
    #[track_caller]
    pub fn wait_maybe(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> bool {
        match deadline {
            None => {
                wait(word, expected);
                true
            }
            Some(deadline) => wait_until(word, expected, deadline),
        }
    }

    /// Like [`wait_maybe`], on a channel.
    #[track_caller]
    pub fn wait_channel(
        word: &AtomicU32,
        expected: u32,
        deadline: Option<Deadline>,
        channel: Channel,
    ) -> bool {
        match deadline {
            None => {
                verify::futex::wait_bitset(word, expected, channel.bits());
                true
            }
            Some(_) => verify::futex::wait_bitset_timeout(word, expected, channel.bits()),
        }
    }

    /// Wakes at most `count` threads that sleep on a channel of the address; returns the number.
    #[track_caller]
    pub fn wake_channel(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
        super::super::checked::said(verify::futex::wake_bitset(
            word,
            count as usize,
            channel.bits(),
        ))
    }

    /// Wakes one thread that sleeps on the address.
    #[track_caller]
    pub fn wake_one(word: *const AtomicU32) {
        verify::futex::wake(word, 1);
    }

    /// Wakes every thread that sleeps on the address.
    #[track_caller]
    pub fn wake_all(word: *const AtomicU32) {
        verify::futex::wake(word, usize::MAX);
    }

    /// Wakes at most `count` threads that sleep on the address; returns the number.
    #[track_caller]
    pub fn wake(word: *const AtomicU32, count: u32) -> usize {
        super::super::checked::said(verify::futex::wake(word, count as usize))
    }

    /// If `*from == expected`, wakes at most `wake` of the threads that sleep on `from` and moves
    /// at most `move_` others to sleep on `to`.
    #[track_caller]
    pub fn requeue(
        from: &AtomicU32,
        expected: u32,
        wake: u32,
        move_: u32,
        to: *const AtomicU32,
    ) -> bool {
        verify::futex::requeue(from, expected, wake as usize, move_ as usize, to).is_some()
    }

    /// Futexes in memory that processes share: in a model, all participants share one memory
    /// anyway.
    pub mod shared {
        pub use super::super::super::checked::{MOST_WORDS, wait_many};
        pub use super::{wait_maybe, wake};
    }
}

/// Spinning.
pub mod hint {
    pub use super::super::checked::{Looks, Spin, pause_for, prefetch};
    pub use verify::hint::spin_loop;
}

/// Reference counting: a checker must see which thread drops the last reference, because a `Drop`
/// may be part of the algorithm. And the lock of the table of tasks.
pub mod sync {
    pub use verify::sync::{Arc, Mutex, MutexGuard};
}

/// Threads.
pub mod thread {
    pub use super::super::checked::{id, sleep};
    pub use std::thread::panicking;
    pub use verify::thread::{Builder, JoinHandle, Thread, current, park, spawn, yield_now};
    pub use verify::thread_local;
}

/// Time as an algorithm sees it: the checker tries both answers.
pub mod time {
    use core::cell::Cell;
    use core::time::Duration;

    /// Measures how long a thread has been waiting.
    #[derive(Clone, Debug)]
    pub struct Stopwatch(Cell<Option<bool>>);

    impl Stopwatch {
        /// Starts now.
        pub fn start() -> Self {
            Self(Cell::new(None))
        }

        /// Returns whether at least `limit` has passed: decided once for every wait, at the first
        /// question. To decide at every question would multiply the executions and add no behaviour
        /// that some wait does not have already.
        #[track_caller]
        pub fn has_run(&self, _limit: Duration) -> bool {
            let decided = self.0.get().unwrap_or_else(|| verify::choose(2) == 1);
            self.0.set(Some(decided));
            decided
        }
    }
}
