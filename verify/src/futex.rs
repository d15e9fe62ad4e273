//! Futexes, with what Linux promises and no more.
//!
//! A word and a queue of sleepers that belongs to its address. [`wait`] compares the word and goes
//! to sleep in one step. The comparison sees every store to the word that a waker's thread made
//! before a wake that came earlier in the queue's order (that is what makes a futex usable at
//! all), but neither the comparison nor the wake-up gives happens-before: whoever needs it has to
//! get it from atomics. Waits return spuriously
//! ([`Builder::spurious_wakeups`](crate::model::Builder::spurious_wakeups)), and a wake may choose
//! any of the sleepers.
//!
//! The `bitset` calls are those of `FUTEX_WAIT_BITSET`: a sleeper is on some of 32 channels, a wake
//! passes by those that are on none of its own. The other calls mean all channels.

use crate::engine::event::{Kind, Label, Rmw};
use crate::engine::object::{ALL, Queue};
use crate::engine::queue::COMPARE;
use crate::sync::atomic::{AtomicU32, Ordering};
use std::panic::Location;

/// Compares as the kernel does, and takes a place in the queue when the value is the expected one.
fn enter(word: &AtomicU32, expected: u32, channels: u32, site: &'static Location<'static>) -> Option<u64> {
    let label = Label { a: u64::from(expected), b: COMPARE, ..Label::new(Kind::Load, Rmw::Swap, Ordering::Relaxed, site) };
    (word.request(label).value == u64::from(expected)).then(|| Queue::at(std::ptr::from_ref(word).addr()).enter(true, channels, site))
}

/// Sleeps if the word is `expected`, until a wake or a spurious wake-up.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32) {
    sleep(word, expected, ALL, false, Location::caller());
}

fn sleep(word: &AtomicU32, expected: u32, channels: u32, timed: bool, site: &'static Location<'static>) -> bool {
    match enter(word, expected, channels, site) {
        Some(ticket) => Queue::at(std::ptr::from_ref(word).addr()).sleep(ticket, timed, site),
        None => true,
    }
}

/// As [`wait`], and the time may run out: at any point as often as
/// [`Builder::early_timeouts`](crate::model::Builder::early_timeouts) says, and whenever nothing
/// else can run. Gives `false` then.
#[track_caller]
pub fn wait_timeout(word: &AtomicU32, expected: u32) -> bool {
    sleep(word, expected, ALL, true, Location::caller())
}

/// As [`wait`], on some channels only.
///
/// # Panics
/// Without a channel, which the system refuses too.
#[track_caller]
pub fn wait_bitset(word: &AtomicU32, expected: u32, channels: u32) {
    assert!(channels != 0, "a sleeper without a channel");
    sleep(word, expected, channels, false, Location::caller());
}

/// As [`wait_timeout`], on some channels only.
///
/// # Panics
/// As [`wait_bitset`].
#[track_caller]
pub fn wait_bitset_timeout(word: &AtomicU32, expected: u32, channels: u32) -> bool {
    assert!(channels != 0, "a sleeper without a channel");
    sleep(word, expected, channels, true, Location::caller())
}

/// Wakes up to `n` of those that sleep on the word. Gives how many.
///
/// Only the address counts: the word may be gone.
#[track_caller]
pub fn wake(word: *const AtomicU32, n: usize) -> usize {
    Queue::at(word.addr()).wake(n as u64, ALL, Location::caller()) as usize
}

/// Wakes up to `n` of those that sleep on the word, on one of these channels. Gives how many.
#[track_caller]
pub fn wake_bitset(word: *const AtomicU32, n: usize, channels: u32) -> usize {
    Queue::at(word.addr()).wake(n as u64, channels, Location::caller()) as usize
}

/// If the word at `from` is `expected`, wakes up to `wake` of its sleepers and moves up to
/// `requeue` others to the queue of `to`. Gives how many were woken or moved; `None` when the word
/// was another.
///
/// The word at `from` is read, so it has to be alive; of `to` only the address counts.
#[track_caller]
#[expect(clippy::not_unsafe_ptr_arg_deref, reason = "the signature is the system call's; the kernel reads the word by its address too")]
pub fn requeue(from: *const AtomicU32, expected: u32, wake: usize, requeue: usize, to: *const AtomicU32) -> Option<usize> {
    let site = Location::caller();
    let label = Label { a: u64::from(expected), ..Label::new(Kind::Load, Rmw::Swap, Ordering::Relaxed, site) };
    // SAFETY: the caller says that it is alive, as whoever compares a word must.
    if unsafe { &*from }.request(label).value != u64::from(expected) {
        return None;
    }
    Some(Queue::at(from.addr()).requeue(wake as u64, requeue as u64, &Queue::at(to.addr()), site) as usize)
}
