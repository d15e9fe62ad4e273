//! The futex system call of Linux.

use core::ptr;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::time::Instant;

use rustix::io::Errno;
use rustix::thread::futex as sys;
use rustix::time::Timespec;

use super::Channel;

/// An absolute point on `CLOCK_MONOTONIC`, the clock of [`Instant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Timespec);

impl Deadline {
    /// The point `timeout` from now; `None` if that is past the end of the clock, which means
    /// forever.
    #[must_use]
    pub fn after(timeout: Duration) -> Option<Self> {
        let timeout = Timespec::try_from(timeout).ok()?;
        now().checked_add(timeout).map(Self)
    }

    /// The point `instant`, or now if it is in the past; `None` if it is past the end of the clock.
    #[must_use]
    pub fn at(instant: Instant) -> Option<Self> {
        Self::after(instant.saturating_duration_since(Instant::now()))
    }
}

/// The time of `CLOCK_MONOTONIC`, from the C library. rustix looks for the system's own function in
/// the program's memory map, and that look ends a program under valgrind (rustix #1559).
fn now() -> Timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local `timespec`, which the call writes.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    debug_assert_eq!(result, 0, "every Linux has a monotonic clock");
    #[allow(clippy::unnecessary_cast, reason = "the fields have 32 bits on some systems")]
    Timespec { tv_sec: now.tv_sec as i64, tv_nsec: now.tv_nsec as _ }
}

/// Sleeps while `*word == expected`.
#[inline]
pub fn wait(word: &AtomicU32, expected: u32) {
    let no_timeout = ptr::null::<libc::timespec>();
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: `word` is a live word for the time of the call, and this operation reads it only; a
    // null timeout means none. A signal (EINTR) and a changed word (EAGAIN) both let the caller
    // load its word again.
    unsafe { libc::syscall(libc::SYS_futex, ptr::from_ref(word), operation, expected, no_timeout) };
}

/// Sleeps while `*word == expected`, at most until `deadline`. `false`: the deadline passed and no
/// wake was consumed.
#[inline]
pub fn wait_until(word: &AtomicU32, expected: u32, deadline: Deadline) -> bool {
    wait_flags(word, expected, Some(deadline), sys::Flags::PRIVATE, Channel::ALL)
}

/// Sleeps on a channel of `word` while `*word == expected`, at most until `deadline`, or forever
/// where there is none. `false`: the deadline passed and no wake was consumed.
pub fn wait_channel(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    channel: Channel,
) -> bool {
    wait_flags(word, expected, deadline, sys::Flags::PRIVATE, channel)
}

fn wait_flags(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    flags: sys::Flags,
    channel: Channel,
) -> bool {
    let timespec = deadline.as_ref().map(|deadline| &deadline.0);
    // A signal (EINTR) and a changed word (EAGAIN) both let the caller load its word again.
    !matches!(
        sys::wait_bitset(word, flags, expected, timespec, channel.bits()),
        Err(Errno::TIMEDOUT)
    )
}

/// Wakes one thread that sleeps on the address.
#[inline]
pub fn wake_one(word: *const AtomicU32) {
    wake(word, 1);
}

/// Wakes every thread that sleeps on the address.
#[inline]
pub fn wake_all(word: *const AtomicU32) {
    wake(word, u32::MAX);
}

/// Wakes at most `count` threads that sleep on the address; returns the number, as a hint (not
/// every system reports it).
pub fn wake(word: *const AtomicU32, count: u32) -> usize {
    wake_flags(word, count, libc::FUTEX_PRIVATE_FLAG)
}

fn wake_flags(word: *const AtomicU32, count: u32, flags: i32) -> usize {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // Not through rustix, which takes a reference: the word may be gone, and only its address is
    // used (rule 4 of the module). SAFETY: FUTEX_WAKE takes an address by value and never writes to
    // it; an address that is not mapped gives an error, which is ignored.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | flags, count) };
    usize::try_from(woken).unwrap_or(0)
}

/// Wakes at most `count` threads that sleep on a channel of the address; returns the number, as a
/// hint.
pub fn wake_channel(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    wake_bitset(word, count, channel)
}

fn wake_bitset(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let (operation, unused) =
        (libc::FUTEX_WAKE_BITSET | libc::FUTEX_PRIVATE_FLAG, ptr::null::<u32>());
    // SAFETY: as in `wake_flags`; the two pointers that this operation does not use are null.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex, word, operation, count, unused, unused, channel.bits().get())
    };
    usize::try_from(woken).unwrap_or(0)
}

/// If `*from == expected`, wakes at most `wake` of the threads that sleep on `from` and moves at
/// most `move_` others to sleep on `to`. Returns `false` if the word had another value; then
/// nothing was done.
pub fn requeue(
    from: &AtomicU32,
    expected: u32,
    wake: u32,
    move_: u32,
    to: *const AtomicU32,
) -> bool {
    let [wake, move_] = [wake, move_].map(|count| i32::try_from(count).unwrap_or(i32::MAX));
    // SAFETY: `from` is a live word; of `to` only the address is used, as in `wake_flags`. The
    // count travels in the timeout's place.
    let done = unsafe {
        libc::syscall(
            libc::SYS_futex,
            ptr::from_ref(from),
            libc::FUTEX_CMP_REQUEUE | libc::FUTEX_PRIVATE_FLAG,
            wake,
            move_ as usize,
            to.addr(),
            expected,
        )
    };
    done >= 0
}

/// The same functions on words in memory that several processes share. They are keyed by the
/// memory, not by this process's address.
pub mod shared {
    use super::{AtomicU32, Channel, Deadline, Errno, ptr, sys, wait_flags, wake_flags};

    /// The most words that one thread can sleep on, its own one included.
    pub const MOST_WORDS: usize = 128;

    /// Sleeps while `*word == expected`, at most until `deadline`, or forever where there is none.
    /// `false`: the deadline passed.
    pub fn wait_maybe(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> bool {
        wait_flags(word, expected, deadline, sys::Flags::empty(), Channel::ALL)
    }

    /// Sleeps while every word has the value that stands beside it, at most until `deadline`. `own`
    /// is a word of this process, the others are shared, and fewer than [`MOST_WORDS`]. Wakes on
    /// several of the words may have been consumed when it returns.
    ///
    /// Returns `false`, without having slept, if the system has no such call (Linux before 5.16) or
    /// does not permit it.
    pub fn wait_many(
        own: (&AtomicU32, u32),
        others: &[(&AtomicU32, u32)],
        deadline: Option<Deadline>,
    ) -> bool {
        let wait = |(word, expected): (&AtomicU32, u32), flags| {
            let mut wait = sys::Wait::new();
            wait.val = u64::from(expected);
            wait.uaddr = sys::WaitPtr::new(ptr::from_ref(word).cast_mut().cast());
            wait.flags = sys::WaitFlags::SIZE_U32 | flags;
            wait
        };
        let mut waits = [sys::Wait::new(); MOST_WORDS];
        waits[0] = wait(own, sys::WaitFlags::PRIVATE);
        for (place, other) in waits[1..].iter_mut().zip(others) {
            *place = wait(*other, sys::WaitFlags::empty());
        }
        let timespec = deadline.as_ref().map(|deadline| &deadline.0);
        let clock = sys::ClockId::Monotonic;
        let waits = &waits[..1 + others.len()];
        match sys::waitv(waits, sys::WaitvFlags::empty(), timespec, clock) {
            // A signal, a changed word and the deadline all let the caller look again.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => true,
            Err(_) => false,
        }
    }

    /// Wakes at most `count` threads of any process; returns the number, as a hint.
    pub fn wake(word: *const AtomicU32, count: u32) -> usize {
        wake_flags(word, count, 0)
    }
}
