//! Futexes, with what Linux promises and no more.
//!
//! A word and a queue of sleepers that belongs to its address. [`wait`] compares the word and goes
//! to sleep in one step. The comparison reads the word no older than what happens before a wake or
//! a wait that came earlier in the queue's order: that is what the kernel's lock and its two full
//! barriers give (`kernel/futex/waitwake.c`, "Basic futex operation and ordering guarantees").
//! Neither the comparison nor the wake-up gives happens-before: an algorithm that needs it gets it
//! from atomics. Waits return spuriously
//! ([`Builder::spurious_wakeups`](crate::model::Builder::spurious_wakeups)), and a wake may choose
//! any of the sleepers.

use crate::engine::explore::wait_queue::COMPARE;
use crate::engine::memory_model::event::{Kind, Label, Rmw};
use crate::engine::runtime::object::Queue;
use crate::sync::atomic::{AtomicU32, Ordering};
use std::num::NonZeroU32;
use std::panic::Location;

/// Sleeps if the word is `expected`, on the given channels. Returns whether another thread took it
/// from there.
fn sleep(
    word: &AtomicU32,
    expected: u32,
    channels: u32,
    timed: bool,
    site: &'static Location<'static>,
) -> bool {
    // Compares as the kernel does, and takes a place in the queue when the value is the expected
    // one.
    let label = Label {
        a: u64::from(expected),
        b: COMPARE,
        ..Label::new(Kind::Load, Rmw::Swap, Ordering::Relaxed, site)
    };
    if word.request(label).value != u64::from(expected) {
        return true;
    }
    let queue = Queue::at(std::ptr::from_ref(word).addr()).on(channels);
    let ticket = queue.enter(true, site);
    queue.sleep(ticket, timed, site)
}

/// Sleeps if the word is `expected`, until a wake or a spurious wake-up.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32) {
    sleep(word, expected, u32::MAX, false, Location::caller());
}

/// As [`wait`], and the time may run out: at any point as often as
/// [`Builder::early_timeouts`](crate::model::Builder::early_timeouts) says, and whenever nothing
/// else can run. Gives `false` then.
#[track_caller]
pub fn wait_timeout(word: &AtomicU32, expected: u32) -> bool {
    sleep(word, expected, u32::MAX, true, Location::caller())
}

/// As [`wait`], on some channels only, a bit each: wakes on other ones pass over it
/// (`FUTEX_WAIT_BITSET`).
#[track_caller]
pub fn wait_bitset(word: &AtomicU32, expected: u32, channels: NonZeroU32) {
    sleep(word, expected, channels.get(), false, Location::caller());
}

/// As [`wait_timeout`], on some channels only.
#[track_caller]
pub fn wait_bitset_timeout(word: &AtomicU32, expected: u32, channels: NonZeroU32) -> bool {
    sleep(word, expected, channels.get(), true, Location::caller())
}

/// Wakes up to `n` of those that sleep on the word. Gives how many.
///
/// Only the address counts: the word may be gone.
#[track_caller]
pub fn wake(word: *const AtomicU32, n: usize) -> usize {
    Queue::at(word.addr()).wake(n as u64, Location::caller()) as usize
}

/// As [`wake`], only those that sleep on one of the channels (`FUTEX_WAKE_BITSET`).
#[track_caller]
pub fn wake_bitset(word: *const AtomicU32, n: usize, channels: NonZeroU32) -> usize {
    Queue::at(word.addr()).on(channels.get()).wake(n as u64, Location::caller()) as usize
}

/// If the word at `from` is `expected`, wakes up to `wake` of its sleepers and moves up to
/// `requeue` others to the queue of `to`. Gives how many were woken or moved; `None` when the word
/// was another.
///
/// Of `to` only the address counts.
#[track_caller]
pub fn requeue(
    from: &AtomicU32,
    expected: u32,
    wake: usize,
    requeue: usize,
    to: *const AtomicU32,
) -> Option<usize> {
    let site = Location::caller();
    let label = Label {
        a: u64::from(expected),
        ..Label::new(Kind::Load, Rmw::Swap, Ordering::Relaxed, site)
    };
    if from.request(label).value != u64::from(expected) {
        return None;
    }
    Some(Queue::at(std::ptr::from_ref(from).addr()).requeue(
        wake as u64,
        requeue as u64,
        &Queue::at(to.addr()),
        site,
    ) as usize)
}
