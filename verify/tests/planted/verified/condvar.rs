//! A condition variable that counts notifications (the one of Rust's standard library on futexes).

use std::sync::Arc;

use super::checker::cell::UnsafeCell;
use super::checker::futex;
use super::checker::sync::atomic::{AtomicU32, Ordering::*};
use super::futex_mutex::{self, Mutex};
use super::support::{fails, passes, run};

#[derive(Clone, Copy)]
struct Variant {
    /// Whether a waiter reads the counter before it unlocks the mutex.
    counter_first: bool,
    /// Whether a notification counts.
    counts: bool,
    /// Whether it counts before it wakes.
    counts_first: bool,
    /// Whether `notify_all` wakes all.
    wakes_all: bool,
    /// Whether the user looks at its condition again after a wait.
    looks_again: bool,
    /// Whether the user changes the condition under the lock.
    under_lock: bool,
}

const RIGHT: Variant = Variant {
    counter_first: true,
    counts: true,
    counts_first: true,
    wakes_all: true,
    looks_again: true,
    under_lock: true,
};

struct Shared {
    mutex: Mutex,
    counter: AtomicU32,
    ready: UnsafeCell<bool>,
}

// SAFETY: the mutex gives `ready` to one thread at a time, or the checker says so.
unsafe impl Send for Shared {}
// SAFETY: the mutex gives `ready` to one thread at a time, or the checker says so.
unsafe impl Sync for Shared {}

impl Shared {
    fn wait(&self, variant: Variant) {
        let counter = if variant.counter_first {
            let counter = self.counter.load(Relaxed);
            self.mutex.unlock();
            counter
        } else {
            self.mutex.unlock();
            self.counter.load(Relaxed)
        };
        futex::wait(&self.counter, counter);
        self.mutex.lock();
    }

    fn notify_all(&self, variant: Variant) {
        if variant.counts && variant.counts_first {
            self.counter.fetch_add(1, Relaxed);
        }
        futex::wake(&raw const self.counter, if variant.wakes_all { usize::MAX } else { 1 });
        if variant.counts && !variant.counts_first {
            self.counter.fetch_add(1, Relaxed);
        }
    }

    fn is_ready(&self) -> bool {
        // SAFETY: under the lock.
        self.ready.with(|ready| unsafe { *ready })
    }

    fn make_ready(&self) {
        // SAFETY: under the lock, or the checker says so.
        self.ready.with_mut(|ready| unsafe { *ready = true });
    }
}

/// `waiters` wait for what one thread makes ready.
fn model(reversed: bool, waiters: usize, variant: Variant) {
    let shared = Arc::new(Shared {
        mutex: Mutex::new(futex_mutex::RIGHT),
        counter: AtomicU32::new(0),
        ready: UnsafeCell::new(false),
    });
    let mut threads: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for _ in 0..waiters {
        let shared = shared.clone();
        threads.push(Box::new(move || {
            shared.mutex.lock();
            if variant.looks_again {
                while !shared.is_ready() {
                    shared.wait(variant);
                }
            } else if !shared.is_ready() {
                shared.wait(variant);
            }
            assert!(shared.is_ready(), "woken before it was ready");
            shared.mutex.unlock();
        }));
    }
    threads.push(Box::new(move || {
        if variant.under_lock {
            shared.mutex.lock();
            shared.make_ready();
            shared.mutex.unlock();
        } else {
            shared.make_ready();
        }
        shared.notify_all(variant);
    }));
    run(reversed, threads);
}

#[test]
fn right() {
    passes(|reversed| model(reversed, 1, RIGHT));
}

#[test]
fn counter_read_after_the_unlock() {
    fails(&["deadlock"], |reversed| model(reversed, 1, Variant { counter_first: false, ..RIGHT }));
}

#[test]
fn notification_not_counted() {
    fails(&["deadlock"], |reversed| model(reversed, 1, Variant { counts: false, ..RIGHT }));
}

#[test]
fn notification_counted_after_the_wake() {
    fails(&["deadlock"], |reversed| model(reversed, 1, Variant { counts_first: false, ..RIGHT }));
}

#[test]
fn one_woken_of_two() {
    fails(&["deadlock"], |reversed| model(reversed, 2, Variant { wakes_all: false, ..RIGHT }));
}

/// Found through a spurious wake-up.
#[test]
fn condition_not_looked_at_again() {
    fails(&["woken before"], |reversed| {
        model(reversed, 1, Variant { looks_again: false, ..RIGHT })
    });
}

#[test]
fn condition_changed_without_the_lock() {
    fails(&["race"], |reversed| model(reversed, 1, Variant { under_lock: false, ..RIGHT }));
}
