//! Futexes, with what Linux promises and no more.
//!
//! A word and a queue of sleepers that belongs to its address. [`wait`] compares the word and goes
//! to sleep in one step. The comparison sees every store to the word that a waker's thread made
//! before a wake that came earlier in the queue's order (that is what makes a futex usable at
//! all), but neither the comparison nor the wake-up gives happens-before: whoever needs it has to
//! get it from atomics. Waits return spuriously
//! ([`Builder::spurious_wakeups`](crate::model::Builder::spurious_wakeups)), and a wake may choose
//! any of the sleepers.

use crate::engine::event::{Kind, Label, Rmw};
use crate::engine::object::Queue;
use crate::engine::queue::COMPARE;
use crate::sync::atomic::{AtomicU32, Ordering};
use std::panic::Location;

/// Compares as the kernel does, and takes a place in the queue when the value is the expected one.
fn enter(word: &AtomicU32, expected: u32, site: &'static Location<'static>) -> Option<u64> {
    let label = Label {
        a: u64::from(expected),
        b: COMPARE,
        ..Label::new(Kind::Load, Rmw::Swap, Ordering::Relaxed, site)
    };
    (word.request(label).value == u64::from(expected))
        .then(|| Queue::at(std::ptr::from_ref(word).addr()).enter(true, site))
}

/// Sleeps if the word is `expected`, until a wake or a spurious wake-up.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32) {
    let site = Location::caller();
    if let Some(ticket) = enter(word, expected, site) {
        Queue::at(std::ptr::from_ref(word).addr()).sleep(ticket, false, site);
    }
}

/// As [`wait`], and the time may run out: at any point as often as
/// [`Builder::early_timeouts`](crate::model::Builder::early_timeouts) says, and whenever nothing
/// else can run. Gives `false` then.
#[track_caller]
pub fn wait_timeout(word: &AtomicU32, expected: u32) -> bool {
    let site = Location::caller();
    match enter(word, expected, site) {
        Some(ticket) => Queue::at(std::ptr::from_ref(word).addr()).sleep(ticket, true, site),
        None => true,
    }
}

/// Wakes up to `n` of those that sleep on the word. Gives how many.
///
/// Only the address counts: the word may be gone.
#[track_caller]
pub fn wake(word: *const AtomicU32, n: usize) -> usize {
    Queue::at(word.addr()).wake(n as u64, Location::caller()) as usize
}

/// If the word at `from` is `expected`, wakes up to `wake` of its sleepers and moves up to
/// `requeue` others to the queue of `to`. Gives how many were woken or moved; `None` when the word
/// was another.
///
/// The word at `from` is read, so it has to be alive; of `to` only the address counts.
#[track_caller]
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the signature is the system call's; the kernel reads the word by its address too"
)]
pub fn requeue(
    from: *const AtomicU32,
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
    // SAFETY: the caller says that it is alive, as whoever compares a word must.
    if unsafe { &*from }.request(label).value != u64::from(expected) {
        return None;
    }
    Some(
        Queue::at(from.addr()).requeue(wake as u64, requeue as u64, &Queue::at(to.addr()), site)
            as usize,
    )
}
