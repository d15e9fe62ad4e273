//! The lock inside [`RwLock`](crate::RwLock): one word of four bytes with a count of readers and
//! two bits for waiters. Waiting readers and waiting writers sleep on different channels.
//!
//! The bits are in `raw_rwlock/state.rs`, the slow paths in `raw_rwlock/slow_path.rs`; this file
//! has the fast paths and the interface.
//!
//! # Source
//!
//! The readers-writer lock of `std`, which has two futexes, with these differences:
//!
//! * **One word.** `std` has a second word for its writers to sleep on, because it must be able to
//!   wake one writer and no reader. Here writers sleep on the state itself, on a [`Channel`] of the
//!   futex. So a release is one step that decides everything (invariant 3).
//! * **Phases**, after Brandenburg and Anderson's phase-fair locks: a reader that a writer kept out
//!   goes before the next writer, and a waiting writer keeps newcomers out of a phase of readers.
//!   So neither readers nor writers starve.
//! * **No count of woken threads is trusted.** `std` wakes readers if the wake of a writer reports
//!   that it woke no thread. Some systems do not report it, and some report it wrongly (litebox
//!   #809), and then a reader sleeps forever. Here a bit that may be stale never decides which
//!   thread is left asleep (invariant 4).
//! * **Wake after free.** `std` increments the writers' word after the release; here only the
//!   address of the word is used after the release.
//!
//! The upgradable reader, the downgrades and their names come from `parking_lot`. The reservation
//! is that of `raw_mutex.rs`.
//!
//! # State
//!
//! The bits, from the lowest:
//!
//! | bits | meaning | legal to be stale? |
//! |---|---|---|
//! | `WRITER` | a writer holds the lock; then the count is 0 | no |
//! | `UPGRADABLE` | one of the counted readers may become the writer | no |
//! | `UPGRADING` | that reader waits for the other readers to leave, on the channel `UPGRADE` | no |
//! | `READERS_WAITING` | a thread that is to become a reader, or the upgradable reader, may sleep on the channel `READERS` | may be set without a sleeper (one system call) |
//! | `WRITERS_WAITING` | a thread that is to become the writer may sleep on the channel `WRITERS`; keeps new readers out | set without a waiting writer only while `WRITER` is set |
//! | `STARVING` | the next acquisition is for a thread that has waited | may be set without such a thread (costs a newcomer one `STARVATION_THRESHOLD`) |
//! | the rest | the number of readers that hold the lock, including the upgradable reader | no |
//!
//! | release by | leaves | waiters | cleared bits; woken threads |
//! |---|---|---|---|
//! | a writer | no holder | any | both bits; all readers, then one writer |
//! | the last reader | no holder | a writer (and readers) | `WRITERS_WAITING`; one writer; if that is a task and no thread, all readers too. The readers' bit stays: the writer's release sees it |
//! | the last reader | no holder | readers only | `READERS_WAITING`; all readers |
//! | a reader | the upgrading reader | | the upgrading reader |
//! | the upgradable reader | readers | readers | `READERS_WAITING`; all readers: one of them may wait to become upgradable |
//! | a downgrade | readers | any | both bits; all readers, one writer |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `WRITER` is set only from a state without holders, or by the upgradable reader
//!    when it is the only reader; the count grows only without `WRITER`, and only a recursive read
//!    (`recursive.rs`) enters while `UPGRADING` is set; `UPGRADABLE` is set only from a state
//!    without it and `WRITER`.
//! 2. **A thread that clears a waiting bit wakes** the waiters that the bit stands for: all
//!    readers, or one writer. A woken writer that does not get the lock sets the bit again before
//!    it sleeps, and a woken writer that gets the lock sets the bit in the same step. So the
//!    writers behind it are not forgotten.
//! 3. **No thread misses its wake.** A waiter falls asleep only while the word contains its own
//!    bit. If the word has changed and come back to such a value (folly b927c055), then the bit is
//!    set again, and stands for this sleeper as well as for the thread that set it: invariant 2.
//! 4. **Without `WRITER`, `WRITERS_WAITING` stands for a writer that exists**, awake or asleep. A
//!    writer that gives up clears the bit and wakes all readers and one writer, and these announce
//!    themselves again; a downgrade clears the bit, too. So a reader that waits because of this
//!    bit, and the readers' bit that a last reader leaves to the next writer, have a writer that
//!    will serve them. With `WRITER` the bit may be stale, and therefore a writer's release wakes
//!    readers and a writer.
//! 5. **No thread sleeps on a free lock** for longer than `STARVATION_THRESHOLD`: only a
//!    reservation keeps a thread out of a free lock, and that sleep is timed. A release that wakes
//!    a task wakes a thread as well, a writer or all readers: the task takes the lock at its next
//!    poll only, and the thread may be the one that polls it.
//! 6. **Phases.** A reader that saw `WRITER` while it waited enters as soon as `WRITER` is gone,
//!    whether writers wait or not, and so does a reader that has waited for `STARVATION_THRESHOLD`.
//!    Any other reader waits while `WRITERS_WAITING` is set.
//! 7. **Wake after free.** A release is one compare-and-swap; after it only the address of the word
//!    is used.
//!
//! # Progress
//!
//! The compare-and-swap of a release fails only if another thread changed the word in between. A
//! bit that is set stays set until a release clears it, or a waiter that gives up. So a writer's
//! release fails at most once for each of the three bits and once for each waiter that gives up in
//! that moment; a reader's release also once for each reader that enters or leaves. No waiter can
//! come back and set its bit again within one release.
//!
//! # Orderings
//!
//! Acquire on every compare-and-swap that takes the lock in any mode; it pairs with the Release on
//! every compare-and-swap that gives up or weakens a mode. A writer (and an upgrade) is ordered
//! after all readers' releases because these are read-modify-writes of one word, so each continues
//! the release sequence of the releases before it. A downgrade is a Release for the readers it lets
//! in. Announcements are Relaxed: they publish nothing, and no sleeper is missed because the futex
//! itself compares the one word that holds the whole state.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::lock::raw_mutex::NotLocked;
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::const_new;
use crate::primitive::futex::{self, Channel, Deadline};

mod fair;
mod recursive;
mod slow_path;
mod state;

use self::state::{
    COUNT, HOLDERS, READER, STARVING, TOO_MANY, UPGRADABLE, UPGRADER, UPGRADING, WRITER,
    WRITERS_WAITING, upgraded,
};

/// The channel on which threads sleep that are to become readers, or the upgradable reader.
const READERS: Channel = Channel::new(0);
/// The channel on which threads sleep that are to become the writer.
const WRITERS: Channel = Channel::new(1);
/// The channel on which the upgradable reader sleeps that is to become the writer.
const UPGRADE: Channel = Channel::new(2);

/// A readers-writer lock without data and without a guard.
///
/// Any thread may release it, not only the one that took it. For a lock that protects data, use
/// [`RwLock`](crate::RwLock), whose documentation lists the modes that can be held at the same
/// time.
///
/// ```
/// use sync_core::RawRwLock;
///
/// let lock = RawRwLock::new();
/// lock.read();
/// lock.upgradable_read();
/// assert!(!lock.try_write() && !lock.try_upgradable_read() && lock.try_read());
/// lock.unlock_read().unwrap();
/// lock.unlock_read().unwrap();
/// lock.upgrade().unwrap();
/// assert!(lock.is_locked_exclusive() && !lock.try_read());
/// lock.unlock_write().unwrap();
/// assert!(lock.unlock_write().is_err(), "it is free already");
/// ```
pub struct RawRwLock {
    state: AtomicU32,
}

impl RawRwLock {
    const_new! {
        /// Creates a free lock.
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    /// Takes the lock for reading, together with other readers; sleeps while a writer holds it or
    /// waits for it.
    ///
    /// A thread that holds it for reading already and takes it again can wait forever, if a writer
    /// came in between.
    ///
    /// # Panics
    ///
    /// If there are 2^25 readers; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before an [`unlock_write`](Self::unlock_write) happens before the
    /// return of a `read` that follows it.
    #[inline]
    #[track_caller]
    pub fn read(&self) {
        if !self.read_at_once() {
            self.shared_contended_forever(READER);
        }
    }

    /// Takes the lock for reading if [`read`](Self::read) would not wait, or would wait only
    /// because another thread is next.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> bool {
        self.read_at_once() || self.try_shared(READER)
    }

    /// Takes the lock for reading, or gives up after `timeout`: `false`. A timeout too long for the
    /// clock means forever.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> bool {
        self.read_at_once() || self.shared_contended(READER, Deadline::after(timeout))
    }

    /// Takes the lock for reading, or gives up at `deadline`: `false`. A deadline in the past still
    /// takes a lock that is free.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_until(&self, deadline: Instant) -> bool {
        self.read_at_once() || self.shared_contended(READER, Deadline::at(deadline))
    }

    /// Takes the lock for writing, alone; sleeps while any other thread holds it.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before the releases of all earlier holders happens before the
    /// return of `write`.
    #[inline]
    pub fn write(&self) {
        if !self.write_at_once() {
            self.write_contended_forever();
        }
    }

    /// Takes the lock for writing if no thread holds it at this moment.
    #[inline]
    pub fn try_write(&self) -> bool {
        self.write_at_once() || self.try_exclusive()
    }

    /// Takes the lock for writing, or gives up after `timeout`: `false`. A timeout too long for the
    /// clock means forever.
    #[inline]
    pub fn try_write_for(&self, timeout: Duration) -> bool {
        self.write_at_once() || self.write_contended(Deadline::after(timeout))
    }

    /// Takes the lock for writing, or gives up at `deadline`: `false`. A deadline in the past still
    /// takes a lock that is free.
    #[inline]
    pub fn try_write_until(&self, deadline: Instant) -> bool {
        self.write_at_once() || self.write_contended(Deadline::at(deadline))
    }

    /// Takes the lock for reading with the right to [`upgrade`](Self::upgrade): together with other
    /// readers, but only one thread has that right.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) {
        if !self.upgradable_at_once() {
            self.shared_contended_forever(UPGRADER);
        }
    }

    /// Like [`try_read`](Self::try_read), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> bool {
        self.upgradable_at_once() || self.try_shared(UPGRADER)
    }

    /// Like [`try_read_for`](Self::try_read_for), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_for(&self, timeout: Duration) -> bool {
        self.upgradable_at_once() || self.shared_contended(UPGRADER, Deadline::after(timeout))
    }

    /// Like [`try_read_until`](Self::try_read_until), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_until(&self, deadline: Instant) -> bool {
        self.upgradable_at_once() || self.shared_contended(UPGRADER, Deadline::at(deadline))
    }

    /// Releases a hold of [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock in this mode; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// Everything that happened before this call happens before the return of the
    /// [`write`](Self::write) that follows.
    #[inline]
    pub fn unlock_read(&self) -> Result<(), NotLocked> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        // Without flags there is no thread to wake and no upgradable reader.
        while state & !COUNT == 0 {
            let Some(left) = state.checked_sub(READER) else { break };
            // Release: pairs with the Acquire of the next writer.
            match self.state.compare_exchange(state, left, Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => state = seen,
            }
        }
        self.release(READER)
    }

    /// Like [`unlock_read`](Self::unlock_read), without a check of the count.
    ///
    /// # Safety
    ///
    /// The lock is held for reading, on behalf of the caller: the count is not zero.
    #[inline]
    pub(crate) unsafe fn unlock_reader(&self) -> Result<(), NotLocked> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        while state & !COUNT == 0 {
            debug_assert!(state != 0, "a guard over a lock that no thread holds");
            // Release: as in `unlock_read`.
            match self.state.compare_exchange(state, state.wrapping_sub(READER), Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => state = seen,
            }
        }
        self.release(READER)
    }

    /// Releases the hold of [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// Like [`unlock_read`](Self::unlock_read).
    #[inline]
    pub fn unlock_write(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire of the next holder, in any mode.
        match self.state.compare_exchange(WRITER, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.release(WRITER),
        }
    }

    /// Releases the hold of [`upgradable_read`](Self::upgradable_read).
    ///
    /// # Errors
    ///
    /// Like [`unlock_read`](Self::unlock_read).
    #[inline]
    pub fn unlock_upgradable(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire of the next writer.
        match self.state.compare_exchange(UPGRADER, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.release(UPGRADER),
        }
    }

    /// Turns the upgradable reader into the writer; sleeps until the other readers have left, and
    /// lets no new ones in.
    ///
    /// No other thread writes in between: data that was read before is unchanged.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock as upgradable reader; nothing is changed.
    pub fn upgrade(&self) -> Result<(), NotLocked> {
        self.upgrade_until(None).map(|_| ())
    }

    /// Turns the upgradable reader into the writer if it is the only reader at this moment.
    ///
    /// # Errors
    ///
    /// Like [`upgrade`](Self::upgrade).
    pub fn try_upgrade(&self) -> Result<bool, NotLocked> {
        Ok(self.upgrade_at_once()?.is_ok())
    }

    /// Like [`upgrade`](Self::upgrade), or gives up after `timeout`: `false`, and the lock is still
    /// held as upgradable reader.
    ///
    /// # Errors
    ///
    /// Like [`upgrade`](Self::upgrade).
    pub fn try_upgrade_for(&self, timeout: Duration) -> Result<bool, NotLocked> {
        if self.try_upgrade()? { Ok(true) } else { self.upgrade_until(Deadline::after(timeout)) }
    }

    /// Like [`upgrade`](Self::upgrade), or gives up at `deadline`: `false`, and the lock is still
    /// held as upgradable reader.
    ///
    /// # Errors
    ///
    /// Like [`upgrade`](Self::upgrade).
    pub fn try_upgrade_until(&self, deadline: Instant) -> Result<bool, NotLocked> {
        if self.try_upgrade()? { Ok(true) } else { self.upgrade_until(Deadline::at(deadline)) }
    }

    /// Turns the writer into a reader, and lets other readers in. No other writer gets in between.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock for writing; nothing is changed.
    pub fn downgrade(&self) -> Result<(), NotLocked> {
        self.weaken(WRITER, READER)
    }

    /// Turns the writer into the upgradable reader.
    ///
    /// # Errors
    ///
    /// Like [`downgrade`](Self::downgrade).
    pub fn downgrade_to_upgradable(&self) -> Result<(), NotLocked> {
        self.weaken(WRITER, UPGRADER)
    }

    /// Turns the upgradable reader into an ordinary one.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock as upgradable reader; nothing is changed.
    pub fn downgrade_upgradable(&self) -> Result<(), NotLocked> {
        self.weaken(UPGRADER, READER)
    }

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        self.state.load(Relaxed) & HOLDERS != 0
    }

    /// Returns whether a writer holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    pub fn is_locked_exclusive(&self) -> bool {
        // Relaxed: a snapshot; no data is read because of it.
        self.state.load(Relaxed) & WRITER != 0
    }

    /// Makes the lock free, whichever thread held it: for the child of a `fork`, where the holders
    /// do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    pub unsafe fn reinit_after_fork(&self) {
        // Relaxed: no other thread uses it (the caller's promise).
        self.state.store(0, Relaxed);
    }

    #[inline]
    pub(crate) fn read_at_once(&self) -> bool {
        const BARRED: u32 = WRITER | UPGRADING | WRITERS_WAITING | STARVING | TOO_MANY;
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        while state & BARRED == 0 {
            // Acquire: pairs with the Release of the last writer. It fails mostly because of other
            // readers, and then only the count has changed.
            match self.state.compare_exchange(state, state + READER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    #[inline]
    pub(crate) fn write_at_once(&self) -> bool {
        // Acquire: pairs with the Release of every holder before.
        self.state.compare_exchange(0, WRITER, Acquire, Relaxed).is_ok()
    }

    /// Attempts once to turn the upgradable reader into the writer. The inner `Err` is the state,
    /// which has other readers in it.
    fn upgrade_at_once(&self) -> Result<Result<(), u32>, NotLocked> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            if state & UPGRADABLE == 0 {
                return Err(NotLocked);
            }
            if state & COUNT != READER {
                return Ok(Err(state));
            }
            // Acquire: pairs with the Release of the readers that have left.
            match self.state.compare_exchange(state, upgraded(state), Acquire, Relaxed) {
                Ok(_) => return Ok(Ok(())),
                Err(seen) => state = seen,
            }
        }
    }

    #[inline]
    pub(crate) fn upgradable_at_once(&self) -> bool {
        // Acquire: as in `read_at_once`.
        self.state.compare_exchange(0, UPGRADER, Acquire, Relaxed).is_ok()
    }
}

impl Drop for RawRwLock {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.state);
    }
}

impl Default for RawRwLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a snapshot for display.
        let state = self.state.load(Relaxed);
        let shown = match state & HOLDERS {
            0 => "unlocked",
            WRITER => "write-locked",
            _ => "read-locked",
        };
        f.debug_struct("RawRwLock")
            .field("state", &format_args!("{shown}"))
            .field("readers", &(state / READER))
            .field("upgradable", &(state & UPGRADABLE != 0))
            .finish()
    }
}
