//! Semaphores: POSIX's `sem_t`, and what one would write with a mutex and a condition variable of
//! `std` or parking_lot.
//!
//! * `uncontended`: take a permit and give it back, in one thread;
//! * `contended`: all threads do that with one permit, which is then a lock around a plain count;
//! * `two-permits`: all threads with two permits;
//! * `weighted`: one thread asks for all four permits, three for one each. `sem_t` cannot.

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::compare::shapes;
use crate::compare::subject::{Contestant, OURS, Workload};

/// Operations that a workload needs of a semaphore.
pub trait Semaphore: Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// With `n` permits.
    fn new(permits: u32) -> Self;
    /// Takes `n` permits.
    fn acquire(&self, n: u32);
    /// Gives them back.
    fn release(&self, n: u32);
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
    fn acquire(&self, n: u32) {
        self.0.acquire_many(n).expect("it is not closed").forget();
    }

    #[inline]
    fn release(&self, n: u32) {
        self.0.add_permits(n);
    }
}

/// POSIX's; it knows no requests for several.
pub struct Posix(Box<UnsafeCell<libc::sem_t>>);

// SAFETY: a semaphore is made for several threads.
unsafe impl Send for Posix {}
// SAFETY: threads may use a semaphore at the same time.
unsafe impl Sync for Posix {}

impl fmt::Debug for Posix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posix").finish_non_exhaustive()
    }
}

impl Semaphore for Posix {
    const PEER: &'static str = "sem_t";

    fn new(permits: u32) -> Self {
        // SAFETY: all zeroes are a valid value of this plain structure of C.
        let this = Self(Box::new(UnsafeCell::new(unsafe { std::mem::zeroed() })));
        // SAFETY: the box stays where it is until it is dropped.
        assert_eq!(unsafe { libc::sem_init(this.0.get(), 0, permits) }, 0);
        this
    }

    #[inline]
    fn acquire(&self, n: u32) {
        assert_eq!(n, 1);
        // SAFETY: it was initialized. A signal interrupts the wait.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {}
    }

    #[inline]
    fn release(&self, n: u32) {
        assert_eq!(n, 1);
        // SAFETY: it was initialized.
        assert_eq!(unsafe { libc::sem_post(self.0.get()) }, 0);
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and no thread waits: this call owns it.
        unsafe { libc::sem_destroy(self.0.get()) };
    }
}

/// A count under `std`'s mutex.
#[derive(Debug)]
pub struct Std(std::sync::Mutex<u32>, std::sync::Condvar);

impl Semaphore for Std {
    const PEER: &'static str = "std";

    fn new(permits: u32) -> Self {
        Self(std::sync::Mutex::new(permits), std::sync::Condvar::new())
    }

    #[inline]
    fn acquire(&self, n: u32) {
        let permits = self.0.lock().expect("no thread panics");
        *self.1.wait_while(permits, |permits| *permits < n).expect("no thread panics") -= n;
    }

    #[inline]
    fn release(&self, n: u32) {
        *self.0.lock().expect("no thread panics") += n;
        self.1.notify_all();
    }
}

/// A count under parking_lot's mutex.
#[derive(Debug)]
pub struct ParkingLot(parking_lot::Mutex<u32>, parking_lot::Condvar);

impl Semaphore for ParkingLot {
    const PEER: &'static str = "parking_lot";

    fn new(permits: u32) -> Self {
        Self(parking_lot::Mutex::new(permits), parking_lot::Condvar::new())
    }

    #[inline]
    fn acquire(&self, n: u32) {
        let mut permits = self.0.lock();
        self.1.wait_while(&mut permits, |permits| *permits < n);
        *permits -= n;
    }

    #[inline]
    fn release(&self, n: u32) {
        *self.0.lock() += n;
        self.1.notify_all();
    }
}

/// Calls a function for each, ours first.
macro_rules! each {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<Posix>($($argument),*),
            $function::<Std>($($argument),*),
            $function::<ParkingLot>($($argument),*),
        ]
    };
}

/// All workloads of the semaphore.
pub fn workloads() -> Vec<Workload> {
    let mut all = vec![Workload::single("semaphore", "uncontended", each!(uncontended()))];
    for threads in [2, 4, 8] {
        all.push(Workload::team("semaphore", "contended", threads, each!(contended(threads))));
    }
    all.push(Workload::team("semaphore", "two-permits", 4, each!(shared(4, |_| 1, 2))));
    let weight = |index: usize| if index == 0 { 4 } else { 1 };
    let weighted = vec![
        shared::<Ours>(4, weight, 4),
        shared::<Std>(4, weight, 4),
        shared::<ParkingLot>(4, weight, 4),
    ];
    all.push(Workload::team("semaphore", "weighted", 4, weighted));
    all
}

fn uncontended<S: Semaphore>() -> Contestant {
    let make = || (S::new(1), AtomicU64::new(0));
    let ops = |(semaphore, count): &(S, AtomicU64), n| {
        for _ in 0..n {
            semaphore.acquire(1);
            semaphore.release(1);
        }
        count.store(count.load(Relaxed) + n, Relaxed);
    };
    shapes::looping(S::PEER, make, ops, |(_, count)| count.load(Relaxed))
}

/// One permit is a lock: the count is read and written back, so two threads inside at once would
/// lose one.
fn contended<S: Semaphore>(threads: usize) -> Contestant {
    let op = |(semaphore, count): &(S, AtomicU64), _| {
        semaphore.acquire(1);
        count.store(count.load(Relaxed) + 1, Relaxed);
        semaphore.release(1);
    };
    shapes::team(
        S::PEER,
        threads,
        || (S::new(1), AtomicU64::new(0)),
        op,
        |(_, count)| count.load(Relaxed),
    )
}

/// Several permits; each thread asks for its own number of them.
fn shared<S: Semaphore>(threads: usize, weight: fn(usize) -> u32, permits: u32) -> Contestant {
    let op = move |(semaphore, count): &(S, AtomicU64), index| {
        semaphore.acquire(weight(index));
        count.fetch_add(1, Relaxed);
        semaphore.release(weight(index));
    };
    shapes::team(
        S::PEER,
        threads,
        move || (S::new(permits), AtomicU64::new(0)),
        op,
        |(_, count)| count.load(Relaxed),
    )
}
