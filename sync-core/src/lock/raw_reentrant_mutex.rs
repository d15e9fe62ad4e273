//! The lock inside [`ReentrantMutex`](crate::ReentrantMutex): a [`RawMutex`] with the number of its
//! owner and a count of holds.
//!
//! # Source
//!
//! The owner and the count next to a plain lock, as in Java's monitors, `parking_lot` and `std`,
//! with what `parking_lot`'s commit da16c2c fixed: the count belongs to the holder, so it is
//! written before the lock is released and never after.
//!
//! # State
//!
//! | `lock` | `owner` | `depth` | meaning |
//! |---|---|---|---|
//! | free | 0 | 0 | no thread holds it |
//! | held | 0 | 0 | inside an acquisition or a release |
//! | held | thread's number | n >= 1 | that thread holds it n times |
//!
//! | thread | event | effect |
//! |---|---|---|
//! | not the owner | lock | takes `lock`; `depth` = 1; `owner` = me |
//! | the owner | lock | `depth` + 1 |
//! | the owner | unlock, `depth` > 1 | `depth` - 1 |
//! | the owner | unlock, `depth` = 1 | `depth` = 0; `owner` = 0; releases `lock` |
//! | not the owner | unlock | nothing: an error |
//!
//! # Invariants
//!
//! 1. `owner` and `depth` are written by the holder of `lock` only.
//! 2. `owner` is a thread's number only while that thread holds `lock`: it is written after the
//!    acquisition and cleared before the release.
//! 3. So a thread reads its own number in `owner` exactly if it holds the lock: no other thread
//!    writes that number, and a thread sees its own writes in order. Numbers are never used again
//!    ([`thread::id`]), so no later thread becomes the owner of a lock that a thread held when it
//!    ended.
//! 4. `depth` is at least the number of guards alive; it is exact, and an acquisition that would
//!    overflow it changes nothing.
//!
//! # Orderings
//!
//! All accesses of `owner` and `depth` are Relaxed: between holders, `lock` orders everything, and
//! a thread that checks whether it is the owner only needs to see its own writes (invariant 3).
//! Both are atomics, so that `Debug` and [`depth`](RawReentrantMutex::depth) may read them from any
//! thread without a race.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::diagnostics::instrument::{Attempt, Instrument};
use crate::diagnostics::lock_kind::LockKind;
use crate::lock::instrumented::RELOCK;
use crate::lock::raw_lock::RawLock;
use crate::lock::raw_mutex::RawMutex;
use crate::primitive::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::primitive::{const_new, thread};
use crate::user_code::AbortOnUnwind;

/// A lock that its holder may take again, without data and without a guard: Python's
/// `threading.RLock`.
///
/// The thread that took it must release it as many times as it took it. For a lock that protects
/// data, use [`ReentrantMutex`](crate::ReentrantMutex).
///
/// ```
/// use sync_core::RawReentrantMutex;
///
/// let lock = RawReentrantMutex::new();
/// lock.lock();
/// lock.lock();
/// assert_eq!(lock.depth(), 2);
/// std::thread::scope(|scope| {
///     scope.spawn(|| assert!(lock.unlock().is_err(), "not the owner"));
/// });
/// lock.unlock().unwrap();
/// lock.unlock().unwrap();
/// assert!(!lock.is_locked());
/// ```
#[doc(alias = "RLock")]
pub struct RawReentrantMutex {
    owner: AtomicU64,
    lock: RawMutex,
    depth: AtomicU32,
    instrument: Instrument,
}

impl RawReentrantMutex {
    const_new! {
        /// Creates a free lock.
        pub const fn new() -> Self {
            Self {
                owner: AtomicU64::new(0),
                lock: RawMutex::new(),
                depth: AtomicU32::new(0),
                instrument: Instrument::new(LockKind::ReentrantMutex),
            }
        }
    }

    /// Takes the lock, once more if this thread holds it; sleeps while another thread does.
    ///
    /// # Panics
    ///
    /// If this thread holds it 2^32 - 1 times already; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before the last [`unlock`](Self::unlock) of one thread happens
    /// before the return of the first `lock` of the next.
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn lock(&self) {
        let me = thread::id().get();
        if !self.deepen(me) {
            let mut attempt = self.instrument.attempt(|| self.is_locked());
            if !attempt.at_once(|| self.lock.acquire_at_once()) {
                self.lock.lock();
            }
            self.begin(me, 1);
            attempt.ended(true);
        }
    }

    /// Takes the lock if no other thread holds it at this moment.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> bool {
        let me = thread::id().get();
        self.deepen(me) || self.take(me, self.instrument.try_attempt(), RawMutex::try_lock)
    }

    /// Takes the lock, or gives up after `timeout`: `false`. A timeout too long for the clock means
    /// forever.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> bool {
        let me = thread::id().get();
        self.deepen(me) || {
            let mut attempt = self.instrument.try_attempt();
            let at_once = attempt.at_once(|| self.lock.acquire_at_once());
            self.take(me, attempt, |lock| at_once || lock.try_lock_for(timeout))
        }
    }

    /// Takes the lock, or gives up at `deadline`: `false`. A deadline in the past still takes a
    /// lock that is free, or held by this thread.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> bool {
        let me = thread::id().get();
        self.deepen(me) || {
            let mut attempt = self.instrument.try_attempt();
            let at_once = attempt.at_once(|| self.lock.acquire_at_once());
            self.take(me, attempt, |lock| at_once || lock.try_lock_until(deadline))
        }
    }

    /// Releases one level of the lock. The release of the last level lets other threads in.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this thread does not hold it; nothing is changed.
    #[inline]
    #[doc(alias = "release")]
    pub fn unlock(&self) -> Result<(), NotOwner> {
        if !self.is_owned_by_current_thread() {
            return Err(NotOwner);
        }
        // SAFETY: this thread holds a level, and gives up one of its own.
        unsafe { self.release() };
        Ok(())
    }

    /// Like [`unlock`](Self::unlock), without a check that this thread holds the lock.
    ///
    /// # Safety
    ///
    /// This thread holds the lock, and no guard that lives represents the level that is released.
    #[inline]
    pub(crate) unsafe fn release(&self) {
        debug_assert!(
            self.is_owned_by_current_thread(),
            "a guard was dropped over a lock that its thread does not hold"
        );
        self.instrument.released();
        // Relaxed: only the owner, which is this thread, writes it (invariant 1).
        match self.depth.load(Relaxed) {
            1 => {
                self.end();
                // SAFETY: held by this thread, whose last level ends here.
                unsafe { RawLock::release(&self.lock) }
            }
            // Relaxed: only this thread, the owner, writes it (invariant 1).
            depth => self.depth.store(depth - 1, Relaxed),
        }
    }

    /// Like [`unlock`](Self::unlock); if this was the last level and a thread waits, no newcomer
    /// gets the lock before a waiter.
    ///
    /// # Errors
    ///
    /// Like [`unlock`](Self::unlock).
    pub fn unlock_fair(&self) -> Result<(), NotOwner> {
        if self.depth() != 1 {
            return self.unlock();
        }
        self.instrument.released();
        self.end();
        // SAFETY: held by this thread (its depth is 1), whose level ends here.
        unsafe { self.lock.release_fair() };
        Ok(())
    }

    /// Releases all levels at once and returns their number: Python's `_release_save`.
    ///
    /// # Errors
    ///
    /// Like [`unlock`](Self::unlock).
    #[doc(alias = "_release_save")]
    pub fn unlock_all(&self) -> Result<u32, NotOwner> {
        match self.depth() {
            0 => Err(NotOwner),
            depth => {
                self.instrument.released_all();
                self.end();
                // SAFETY: held by this thread (it has a depth), whose levels end here.
                unsafe { RawLock::release(&self.lock) };
                Ok(depth)
            }
        }
    }

    /// Takes the lock `levels` times at once: the reverse of [`unlock_all`](Self::unlock_all),
    /// Python's `_acquire_restore`.
    ///
    /// # Panics
    ///
    /// If this thread would hold it more than 2^32 - 1 times; nothing is changed.
    #[track_caller]
    #[doc(alias = "_acquire_restore")]
    pub fn lock_levels(&self, levels: u32) {
        let me = thread::id().get();
        if levels == 0 {
        } else if self.is_owner(me) {
            // Relaxed: only this thread, the owner, writes it (invariant 1).
            self.depth.store(deeper(self.depth.load(Relaxed), levels), Relaxed);
            self.instrument.deeper(levels);
        } else {
            let mut attempt = self.instrument.attempt_again();
            if !attempt.at_once(|| self.lock.acquire_at_once()) {
                self.lock.lock();
            }
            self.begin(me, levels);
            attempt.ended(true);
            self.instrument.deeper(levels - 1);
        }
    }

    /// Lets a waiter in, if there is one and this thread holds the lock once only, and takes the
    /// lock again. Does not unwind.
    ///
    /// # Safety
    ///
    /// A guard that represents the level is not used meanwhile.
    pub(crate) unsafe fn bump(&self) {
        if self.depth() == 1 {
            let abort = AbortOnUnwind::new(RELOCK);
            self.instrument.released();
            let attempt = self.instrument.attempt_again();
            self.end();
            // SAFETY: held by this thread (its depth is 1); the guard is the caller's promise.
            unsafe { RawLock::bump(&self.lock) };
            self.begin(thread::id().get(), 1);
            attempt.ended(true);
            abort.disarm();
        }
    }

    /// Returns whether any thread holds the lock. A snapshot: it may have changed before the call
    /// returns, unless this thread does.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Returns whether this thread holds the lock. This is exact.
    #[inline]
    #[doc(alias = "_is_owned")]
    pub fn is_owned_by_current_thread(&self) -> bool {
        self.is_owner(thread::id().get())
    }

    /// Returns the number of times that this thread holds the lock: 0 if it does not. This is
    /// exact.
    #[inline]
    #[doc(alias = "_recursion_count")]
    pub fn depth(&self) -> u32 {
        // Relaxed: only this thread, the owner, writes it (invariant 1).
        if self.is_owned_by_current_thread() { self.depth.load(Relaxed) } else { 0 }
    }

    /// Makes the lock free, whichever thread held it: for the child of a `fork`, where other
    /// holders do not exist any more.
    ///
    /// The thread that forked keeps its number in the child, so a lock that it held itself needs no
    /// reset.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        self.instrument.released_all();
        self.end();
        // SAFETY: passed on to the caller.
        unsafe { self.lock.reinit_after_fork() }
    }

    #[inline]
    fn is_owner(&self, thread: u64) -> bool {
        // Relaxed: a thread only compares with its own number, and sees its own writes (invariant
        // 3).
        self.owner.load(Relaxed) == thread
    }

    /// Takes the lock with `acquire`. This thread does not hold it.
    #[inline]
    fn take(&self, me: u64, attempt: Attempt<'_>, acquire: impl FnOnce(&RawMutex) -> bool) -> bool {
        let got = acquire(&self.lock);
        if got {
            self.begin(me, 1);
        }
        attempt.ended(got)
    }

    /// Takes the lock with `wait` if it is neither free nor held by this thread. Returns what
    /// `wait` returns.
    #[track_caller]
    pub(crate) fn lock_by(&self, wait: impl FnOnce(&RawMutex) -> bool) -> bool {
        let me = thread::id().get();
        self.deepen(me) || {
            let mut attempt = self.instrument.try_attempt();
            let at_once = attempt.at_once(|| self.lock.acquire_at_once());
            self.take(me, attempt, |lock| at_once || lock.try_lock() || wait(lock))
        }
    }

    /// Adds one level if this thread holds the lock, and returns whether it does.
    #[inline]
    #[track_caller]
    fn deepen(&self, me: u64) -> bool {
        let mine = self.is_owner(me);
        if mine {
            // Relaxed: only the owner, which is this thread, writes it (invariant 1).
            self.depth.store(deeper(self.depth.load(Relaxed), 1), Relaxed);
            self.instrument.deeper(1);
        }
        mine
    }

    /// Records this thread as the owner, directly after the acquisition. Relaxed: `lock` orders the
    /// holders.
    #[inline]
    fn begin(&self, me: u64, levels: u32) {
        self.depth.store(levels, Relaxed);
        self.owner.store(me, Relaxed);
    }

    /// Clears owner and depth. This is the last step before the release, never after it (invariant
    /// 2). Relaxed: the release of `lock` that follows orders the holders.
    #[inline]
    fn end(&self) {
        self.depth.store(0, Relaxed);
        self.owner.store(0, Relaxed);
    }
}

#[inline]
#[track_caller]
fn deeper(depth: u32, by: u32) -> u32 {
    depth.checked_add(by).unwrap_or_else(|| too_deep())
}

#[cold]
#[track_caller]
fn too_deep() -> ! {
    panic!("a reentrant lock was taken 2^32 times by one thread without being released");
}

impl Default for RawReentrantMutex {
    fn default() -> Self {
        Self::new()
    }
}

/// Never blocks, on any thread. The fields are read one after the other: while other threads take
/// and release the lock, they may be of different moments.
impl fmt::Debug for RawReentrantMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_locked() { "locked" } else { "unlocked" };
        f.debug_struct("RawReentrantMutex")
            .field("state", &format_args!("{state}"))
            // Relaxed, both: a snapshot for display.
            .field("owner", &self.owner.load(Relaxed))
            .field("count", &self.depth.load(Relaxed))
            .finish()
    }
}

/// The error of the release of a reentrant lock by a thread that does not hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not held by this thread")
    }
}

impl core::error::Error for NotOwner {}
