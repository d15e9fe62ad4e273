//! Semaphores: POSIX's `sem_t`, and a counter under std's mutex with a condition variable.
//!
//! * `uncontended`: acquire a permit and give it back, in one thread;
//! * `contended-<permits>`: all threads do that;
//! * `weighted`: eight threads take one to four of four permits at a time: `sem_t` cannot.
//!
//! With one permit the holder counts without an atomic, so a permit too many would lose a count; with more, the permits that are out are
//! counted and must never be more than there are.

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use crate::compare::shapes;
use crate::compare::subject::{Contestant, OURS, Workload};

/// What a workload needs of a semaphore.
pub trait Semaphore: Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// A semaphore with so many permits.
    fn new(permits: u32) -> Self;
    /// Takes so many permits, does something, gives them back.
    fn with<R>(&self, permits: u32, f: impl FnOnce() -> R) -> R;
}

/// Ours.
#[derive(Debug)]
pub struct Ours(sync_core::Semaphore);

impl Semaphore for Ours {
    const PEER: &'static str = OURS;

    fn new(permits: u32) -> Self {
        Self(sync_core::Semaphore::new(permits))
    }

    #[inline]
    fn with<R>(&self, permits: u32, f: impl FnOnce() -> R) -> R {
        let _permits = self.0.acquire_many(permits).expect("nobody closes it");
        f()
    }
}

/// POSIX's; one permit at a time.
pub struct Posix(Box<UnsafeCell<libc::sem_t>>);

impl fmt::Debug for Posix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posix").finish_non_exhaustive()
    }
}

// SAFETY: a `sem_t` is for several threads, and it stays where it is: in its box.
unsafe impl Sync for Posix {}

impl Semaphore for Posix {
    const PEER: &'static str = "sem_t";

    fn new(permits: u32) -> Self {
        // SAFETY: plain bytes, which `sem_init` makes a semaphore of before anybody uses it.
        let semaphore = Box::new(UnsafeCell::new(unsafe { std::mem::zeroed() }));
        // SAFETY: the pointer is to a live `sem_t` that nobody else knows yet.
        assert_eq!(unsafe { libc::sem_init(semaphore.get(), 0, permits) }, 0);
        Self(semaphore)
    }

    #[inline]
    fn with<R>(&self, permits: u32, f: impl FnOnce() -> R) -> R {
        debug_assert_eq!(permits, 1, "sem_t has no weights");
        // SAFETY: the semaphore was initialised in `new` and lives in its box. A signal may interrupt the wait.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {}
        let result = f();
        // SAFETY: as above.
        unsafe { libc::sem_post(self.0.get()) };
        result
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: nobody waits on it: it is owned.
        unsafe { libc::sem_destroy(self.0.get()) };
    }
}

/// A counter under std's mutex.
#[derive(Debug)]
pub struct Std {
    permits: Mutex<u32>,
    freed: Condvar,
}

impl Semaphore for Std {
    const PEER: &'static str = "std";

    fn new(permits: u32) -> Self {
        Self { permits: Mutex::new(permits), freed: Condvar::new() }
    }

    #[inline]
    fn with<R>(&self, permits: u32, f: impl FnOnce() -> R) -> R {
        let free = self.permits.lock().expect("nobody panics");
        *self.freed.wait_while(free, |free| *free < permits).expect("nobody panics") -= permits;
        let result = f();
        *self.permits.lock().expect("nobody panics") += permits;
        // Waiters of different weights: who is woken alone may be one for whom it is not enough.
        if permits == 1 {
            self.freed.notify_one()
        } else {
            self.freed.notify_all()
        }
        result
    }
}

/// All workloads of the semaphore.
pub fn workloads() -> Vec<Workload> {
    let mut all =
        vec![Workload::single("semaphore", "uncontended", vec![uncontended::<Ours>(), uncontended::<Std>(), uncontended::<Posix>()])];
    for (permits, threads) in [(1, 4), (4, 8)] {
        let contestants =
            vec![contended::<Ours>(permits, threads), contended::<Std>(permits, threads), contended::<Posix>(permits, threads)];
        all.push(Workload::team("semaphore", format!("contended-{permits}"), threads, contestants));
    }
    all.push(Workload::team("semaphore", "weighted", 8, vec![weighted::<Ours>(8), weighted::<Std>(8)]));
    all
}

/// A semaphore, what it guards, and what is seen of it.
struct Guarded<S> {
    semaphore: S,
    permits: u32,
    /// What the only holder of the only permit counts.
    alone: Alone,
    /// Operations, and how often more permits were out than there are.
    seen: [AtomicU64; 3],
}

/// A counter for one at a time.
struct Alone(UnsafeCell<u64>);

// SAFETY: used only by the holder of a semaphore's only permit. If the semaphore is broken, so is this: that is how it shows.
unsafe impl Sync for Alone {}

impl<S: Semaphore> Guarded<S> {
    fn new(permits: u32) -> Self {
        Self { semaphore: S::new(permits), permits, alone: Alone(UnsafeCell::new(0)), seen: Default::default() }
    }

    fn once(&self, weight: u32) {
        let [done, out, too_many] = &self.seen;
        self.semaphore.with(weight, || {
            if self.permits == 1 {
                // SAFETY: the only permit is held.
                unsafe { *self.alone.0.get() += 1 };
                return;
            }
            // Relaxed: counters, read after the threads have been joined.
            let before = out.fetch_add(weight.into(), Ordering::Relaxed);
            if before + u64::from(weight) > self.permits.into() {
                too_many.fetch_add(1, Ordering::Relaxed);
            }
            done.fetch_add(1, Ordering::Relaxed);
            out.fetch_sub(weight.into(), Ordering::Relaxed);
        });
    }

    /// Operations that were done under no more permits than there are.
    fn right(&self) -> u64 {
        let [done, _, too_many] = &self.seen;
        // SAFETY: the threads have been joined.
        unsafe { *self.alone.0.get() + done.load(Ordering::Relaxed) - too_many.load(Ordering::Relaxed) }
    }
}

fn uncontended<S: Semaphore>() -> Contestant {
    let ops = |guarded: &Guarded<S>, n| {
        for _ in 0..n {
            guarded.once(1);
        }
    };
    shapes::looping(S::PEER, || Guarded::<S>::new(1), ops, Guarded::right)
}

fn contended<S: Semaphore>(permits: u32, threads: usize) -> Contestant {
    shapes::team(S::PEER, threads, move || Guarded::<S>::new(permits), |guarded: &Guarded<S>, _| guarded.once(1), Guarded::right)
}

fn weighted<S: Semaphore>(threads: usize) -> Contestant {
    let op = |guarded: &Guarded<S>, thread: usize| guarded.once(1 + thread as u32 % 4);
    shapes::team(S::PEER, threads, || Guarded::<S>::new(4), op, Guarded::right)
}
