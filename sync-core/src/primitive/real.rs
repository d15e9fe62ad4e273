//! The build that users run: re-exports, and wrappers that compile to nothing.

/// Atomics and fences.
pub mod atomic {
    pub use core::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
        AtomicUsize, Ordering, compiler_fence, fence,
    };
}

/// Interior mutability with loom's closures.
pub mod cell {
    /// [`core::cell::UnsafeCell`] whose accesses are closures, so that a checker can see where they
    /// begin and end.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A new cell.
        #[inline(always)]
        pub const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        /// Returns the value.
        #[inline(always)]
        pub fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    impl<T: ?Sized> UnsafeCell<T> {
        /// Calls `f` with a pointer for reading.
        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Calls `f` with a pointer for writing.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

pub use crate::futex as threads;

/// Spinning.
pub mod hint {
    pub use core::hint::spin_loop;
    use core::sync::atomic::{AtomicU8, Ordering};
    use core::time::Duration;
    use std::time::Instant;

    /// A bounded spin: it ends by time, not by count, and never begins where there is only one
    /// processor.
    ///
    /// A count of turns has a different length on every processor: a `pause` is 3 ns on one and 40
    /// ns on the next.
    #[derive(Debug)]
    pub struct Spin {
        started: Option<Instant>,
        pauses: u32,
    }

    impl Spin {
        /// How long a spin lasts: about the cost of a sleep and a wake, which the spin may save.
        pub const LIMIT: Duration = Duration::from_micros(2);

        /// The longest run of pauses between two looks.
        const LONGEST_RUN: u32 = 16;

        /// A spin that has not begun.
        #[inline]
        pub const fn new() -> Self {
            Self { started: None, pauses: 1 }
        }

        /// Pauses for a moment, longer each time; `false` once it is time to sleep instead.
        #[inline]
        pub fn turn(&mut self) -> bool {
            match self.started {
                None if one_processor() => return false,
                None => self.started = Some(Instant::now()),
                Some(started) if started.elapsed() >= Self::LIMIT => return false,
                Some(_) => {}
            }
            for _ in 0..self.pauses {
                spin_loop();
            }
            self.pauses = (self.pauses * 2).min(Self::LONGEST_RUN);
            true
        }
    }

    impl Default for Spin {
        fn default() -> Self {
            Self::new()
        }
    }

    /// The spin of a thread that waits for a contended lock: few looks, far apart.
    ///
    /// Each look takes the word's cache line away from the holder. A thread that looks every few
    /// nanoseconds makes every operation of the holder wait for the line, and still observes a held
    /// lock most of the time. So it looks every 250 ns, for 4 us. The interval is measured by the
    /// clock: a clock read disturbs no other thread, and a `pause` takes 3 ns on one processor and
    /// 50 ns on another. With intervals that double, the free lock lies idle until the next look,
    /// which loses where the lock is held for about a microsecond.
    #[derive(Debug)]
    pub struct Looks {
        left: u32,
    }

    impl Looks {
        const INTERVAL: Duration = Duration::from_nanos(250);
        const LOOKS: u32 = 15;

        /// A spin that has not begun.
        #[inline]
        pub const fn new() -> Self {
            Self { left: Self::LOOKS }
        }

        /// A spin of no turn, for a task.
        #[inline]
        pub const fn none() -> Self {
            Self { left: 0 }
        }

        /// Lets one interval pass. Returns `false` once it is time to sleep instead.
        pub fn turn(&mut self) -> bool {
            if self.left == 0 || one_processor() {
                return false;
            }
            self.left -= 1;
            pause_for(Self::INTERVAL);
            true
        }
    }

    impl Default for Looks {
        fn default() -> Self {
            Self::new()
        }
    }

    /// Spins until `time` has passed. Returns at once where there is one processor: the thread that
    /// is waited for needs it.
    pub fn pause_for(time: Duration) {
        if one_processor() {
            return;
        }
        let since = Instant::now();
        loop {
            spin_loop();
            if since.elapsed() >= time {
                return;
            }
        }
    }

    /// Asks the processor to fetch the cache line at `place`, which is soon needed. Only speed
    /// rests on it: `place` need not be valid.
    #[inline]
    pub fn prefetch<T: ?Sized>(place: *const T) {
        // SAFETY: a prefetch is no access: it faults for no address.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(place.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = place;
    }

    /// Returns whether this thread may use one processor only. The system is asked once in a
    /// process.
    ///
    /// It neither allocates nor opens a file, unlike `std::thread::available_parallelism`: it is
    /// called with a lock that is waited for, which may be the lock of the global allocator, and in
    /// a signal handler.
    fn one_processor() -> bool {
        const UNKNOWN: u8 = 0;
        const ONE: u8 = 1;
        const SEVERAL: u8 = 2;
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        // Relaxed: the value is a fact about the machine and publishes nothing else; two threads
        // that compute it at once get the same value.
        match KNOWN.load(Ordering::Relaxed) {
            UNKNOWN => {
                let one = only_one_processor();
                KNOWN.store(if one { ONE } else { SEVERAL }, Ordering::Relaxed);
                one
            }
            known => known == ONE,
        }
    }

    /// One system call, with its answer on the stack. A machine with more processors than the
    /// answer has bits for makes it fail, and has several.
    #[cfg(target_os = "linux")]
    fn only_one_processor() -> bool {
        rustix::thread::sched_getaffinity(None).is_ok_and(|allowed| allowed.count() == 1)
    }

    /// An answer of the C library, which has it from a system call or a shared page.
    #[cfg(all(unix, not(target_os = "linux")))]
    fn only_one_processor() -> bool {
        // SAFETY: it takes a number and returns one.
        unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) == 1 }
    }

    #[cfg(not(unix))]
    fn only_one_processor() -> bool {
        std::thread::available_parallelism().is_ok_and(|n| n.get() == 1)
    }
}

/// Reference counting: a checker must see which thread drops the last reference, because a `Drop`
/// may be part of the algorithm. And the lock of the table of tasks.
pub mod sync {
    pub use std::sync::{Arc, Mutex, MutexGuard};
}

/// Threads.
pub mod thread {
    use core::cell::Cell;
    use core::num::NonZeroU64;
    use core::sync::atomic::{AtomicU64, Ordering};
    pub use std::thread::{
        Builder, JoinHandle, Thread, current, panicking, park, sleep, spawn, yield_now,
    };
    pub use std::thread_local;

    /// The calling thread's number: never zero, and never used again in this process, unlike the
    /// system's own thread ids.
    ///
    /// The cell has no destructor, so it is there even while a thread's other thread-locals are
    /// being destroyed.
    #[inline]
    pub fn id() -> NonZeroU64 {
        thread_local! {
            static ID: Cell<u64> = const { Cell::new(0) };
        }
        ID.with(|id| match NonZeroU64::new(id.get()) {
            Some(known) => known,
            None => {
                let fresh = next_id();
                id.set(fresh.get());
                fresh
            }
        })
    }

    #[cold]
    fn next_id() -> NonZeroU64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: the numbers only have to differ, and every read-modify-write has its own place
        // in the modification order.
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        NonZeroU64::new(id).expect("2^64 threads were started")
    }
}

/// Time as an algorithm sees it.
pub mod time {
    use core::time::Duration;
    use std::time::Instant;

    /// Measures how long a thread has been waiting.
    #[derive(Clone, Copy, Debug)]
    pub struct Stopwatch(Instant);

    impl Stopwatch {
        /// Starts now.
        #[inline]
        pub fn start() -> Self {
            Self(Instant::now())
        }

        /// Returns whether at least `limit` has passed. A checker answers both.
        #[inline]
        pub fn has_run(&self, limit: Duration) -> bool {
            self.0.elapsed() >= limit
        }
    }
}
