//! Futex: sleeps while a word holds a value, and wakes the threads that sleep on an address.
//!
//! There are two implementations, and only this file chooses:
//!
//! * `linux`: the futex system call. Timed and process-shared waits go through `rustix`, with
//!   absolute `CLOCK_MONOTONIC` deadlines, so that an interrupted wait continues with the same
//!   deadline.
//! * `fallback`: a table of std mutexes and condition variables keyed by address, for every other
//!   system. `--cfg sync_futex_fallback` chooses it on Linux too, which is how it is tested.
//!
//! Rules that a caller may rely on, and no more:
//!
//! 1. For every wake on the same address, the comparison in `wait` and the start of the sleep are
//!    one step: a wake that comes after the word was changed is never lost.
//! 2. A wait may return for no reason. The caller loads its word again.
//! 3. A wait that reports a timeout did not consume a wake.
//! 4. A wake uses the address only and reads nothing there: the memory may be gone already.
//! 5. A wake on one [`Channel`] of a word reaches the threads that sleep on that channel, and wakes
//!    no thread on another channel, except on a system without channels. A caller must work in both
//!    cases.
//! 6. Waits and wakes order no other memory. A waiter orders its later reads by its own atomics.

#[cfg(any(not(target_os = "linux"), sync_futex_fallback))]
#[cfg_attr(feature = "waits", allow(unreachable_pub, reason = "`sleepers` wraps the waits"))]
mod fallback;
#[cfg(all(target_os = "linux", not(sync_futex_fallback)))]
#[cfg_attr(feature = "waits", allow(unreachable_pub, reason = "`sleepers` wraps the waits"))]
mod linux;
#[cfg(feature = "waits")]
pub(crate) mod sleepers;

#[cfg(any(not(target_os = "linux"), sync_futex_fallback))]
use self::fallback as system;
#[cfg(all(target_os = "linux", not(sync_futex_fallback)))]
use self::linux as system;

#[cfg(all(target_os = "linux", not(sync_futex_fallback), not(feature = "waits")))]
pub use self::linux::shared;
#[cfg(all(target_os = "linux", not(sync_futex_fallback), feature = "waits"))]
pub use self::sleepers::shared;
#[cfg(feature = "waits")]
pub use self::sleepers::{wait, wait_channel, wait_until};
pub use self::system::{Deadline, requeue, wake, wake_all, wake_channel, wake_one};
#[cfg(not(feature = "waits"))]
pub use self::system::{wait, wait_channel, wait_until};

use core::num::NonZeroU32;
use core::sync::atomic::AtomicU32;

/// A subset of the threads that sleep on a word: a primitive of one word can wake one kind of
/// waiter and let the others sleep.
///
/// On Linux a channel is a bit of `FUTEX_WAIT_BITSET`. A thread that sleeps without a channel
/// sleeps on all channels; [`wake`], [`wake_one`] and [`wake_all`] wake on all channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel(NonZeroU32);

impl Channel {
    /// All channels.
    pub const ALL: Self = Self(NonZeroU32::MAX);

    /// Channel number `n`, of 32.
    #[must_use]
    pub const fn new(n: u32) -> Self {
        match NonZeroU32::new(1 << n) {
            Some(bit) => Self(bit),
            None => unreachable!(),
        }
    }

    /// The bits of the channels.
    #[must_use]
    pub const fn bits(self) -> NonZeroU32 {
        self.0
    }

    /// Returns whether a wake on `other` concerns a sleeper on `self`.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.0.get() & other.0.get() != 0
    }
}

/// Sleeps while `*word == expected`, at most until `deadline`, or forever where there is none.
/// Returns `false` if the deadline passed.
#[inline]
pub fn wait_maybe(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> bool {
    match deadline {
        None => {
            wait(word, expected);
            true
        }
        Some(deadline) => wait_until(word, expected, deadline),
    }
}

#[cfg(test)]
mod tests;
