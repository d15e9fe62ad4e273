//! The build under `--cfg loom`: loom's types, so that a user's own `loom::model` sees our
//! primitives as instrumented ones.
//!

/// Atomics and fences.
pub mod atomic {
    pub use core::sync::atomic::compiler_fence;
    pub use loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
        AtomicUsize, Ordering, fence,
    };
}

/// Interior mutability with loom's closures.
pub mod cell {
    pub use loom::cell::UnsafeCell;
}

pub use super::loom_futex as threads;

/// Spinning.
pub mod hint {
    pub use super::super::checked::{Looks, Spin, pause_for, prefetch};
    pub use loom::hint::spin_loop;
}

/// Reference counting: a checker must see which thread drops the last reference, because a `Drop`
/// may be part of the algorithm. And the lock of the table of tasks.
pub mod sync {
    pub use loom::sync::{Arc, Mutex, MutexGuard};
}

/// Threads.
pub mod thread {
    pub use super::super::checked::{id, sleep};
    pub use loom::thread::{Builder, JoinHandle, Thread, current, park, spawn, yield_now};
    pub use loom::thread_local;
    pub use std::thread::panicking;
}

/// Time as an algorithm sees it: loom has no clock, so the model says what time it is.
pub mod time {
    use core::time::Duration;

    /// Measures how long a thread has been waiting.
    #[derive(Clone, Copy, Debug)]
    pub struct Stopwatch(());

    impl Stopwatch {
        /// Starts now.
        pub fn start() -> Self {
            Self(())
        }

        /// Returns whether at least `limit` has passed: the value of
        /// [`Knobs::impatient`](crate::primitive::Knobs).
        pub fn has_run(&self, _limit: Duration) -> bool {
            super::super::loom_futex::knobs().impatient
        }
    }
}
