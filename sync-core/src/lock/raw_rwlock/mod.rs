//! The lock inside [`RwLock`](crate::RwLock): one word of four bytes; readers in a count, waiters
//! in two bits, each kind asleep on a channel of its own.
//!
//! The bits are in `raw_rwlock/state.rs`, the slow paths in `raw_rwlock/slow_path.rs`; this file
//! has the fast paths and the interface.
//!
//! # Source
//!
//! The readers-writer lock of `std`, which has two futexes, with these differences:
//!
//! * **One word.** `std` has a second one for its writers to sleep on, because it must be able to
//!   wake one of them and no reader. Here they sleep on the state itself, on a [`Channel`] of the
//!   futex; so a release is one step that decides everything (invariant 3).
//! * **Phases**, after Brandenburg and Anderson's phase-fair locks: a reader that a writer kept out
//!   goes before the next writer, and a waiting writer keeps newcomers out of a phase of readers.
//!   Neither side can starve the other.
//! * **No count of the woken is trusted.** `std` wakes readers if waking a writer "woke nobody".
//!   Some systems cannot say, and some say it wrong (litebox #809), and then a reader sleeps for
//!   ever. Here a bit that may be stale never decides who is left asleep (invariant 4).
//! * **Wake after free.** `std` counts up the writers' word after the release; here nothing is
//!   touched after it but the address.
//!
//! The upgradable reader, the downgrades and their names are `parking_lot`'s. The reservation is
//! that of `raw_mutex.rs`.
//!
//! # State
//!
//! From the low bit up:
//!
//! | bits | meaning | legal to be stale? |
//! |---|---|---|
//! | `WRITER` | a writer holds the lock; then the count is 0 | no |
//! | `UPGRADABLE` | one of the counted readers may become the writer | no |
//! | `UPGRADING` | that reader waits for the others to leave, on the channel `UPGRADE` | no |
//! | `READERS_WAITING` | one that wants to be a reader, or the upgradable one, may sleep on the channel `READERS` | may be set without a sleeper (one system call) |
//! | `WRITERS_WAITING` | one that wants to be the writer may sleep on the channel `WRITERS`; bars new readers | set without a waiting writer only while `WRITER` is set |
//! | `STARVING` | the next acquisition is for one that has waited | may be set without such a one (costs a newcomer one `STARVATION_THRESHOLD`) |
//! | the rest | how many readers hold the lock, the upgradable one included | no |
//!
//! | release by | leaves | who waits | what is cleared and woken |
//! |---|---|---|---|
//! | a writer | nobody | anyone | both bits; all readers, then one writer |
//! | the last reader | nobody | a writer (and readers) | `WRITERS_WAITING`; one writer. The readers' bit stays: the writer's release sees it |
//! | the last reader | nobody | readers only | `READERS_WAITING`; all readers |
//! | a reader | the upgrading one | | the upgrading one |
//! | the upgradable reader | readers | readers | `READERS_WAITING`; all readers: one of them may want to be upgradable |
//! | a downgrade | readers | anyone | both bits; all readers, one writer |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `WRITER` is set only from a state without holders, or by the upgradable reader
//!    when it is the only one; the count grows only without `WRITER` and `UPGRADING`; `UPGRADABLE`
//!    is set only from a state without it and `WRITER`.
//! 2. **Who clears a waiting bit wakes** those it speaks of: all readers, or one writer. A woken
//!    writer that does not get the lock sets the bit again before it sleeps, and one that does get
//!    it sets the bit with it: so the others behind it are not forgotten.
//! 3. **Nobody sleeps through its call.** Who waits falls asleep only while the word is one with
//!    its own bit in it. Should the word have changed and come back to that (folly b927c055), then
//!    the bit is set again, and speaks of this sleeper as well as of whoever set it: invariant 2.
//! 4. **Without `WRITER`, `WRITERS_WAITING` speaks of a writer that is there**, awake or asleep: a
//!    writer that gives up clears the bit and wakes all readers and one writer, who then announce
//!    themselves again; a downgrade clears it, too. So a reader that stands back behind that bit,
//!    and the readers' bit that a last reader leaves to the next writer, have somebody who will see
//!    to them. With `WRITER` the bit may be stale, and therefore a writer's release wakes both
//!    sides.
//! 5. **Nobody sleeps on a free lock** for longer than `STARVATION_THRESHOLD`: only a reservation
//!    keeps anybody out of it, and that sleep is timed.
//! 6. **Phases.** A reader that saw `WRITER` while it waited enters as soon as `WRITER` is gone,
//!    waiting writers or not, and so does one that has waited for `STARVATION_THRESHOLD`; any other
//!    reader stands back behind `WRITERS_WAITING`.
//! 7. **Wake after free.** A release is one compare-and-swap; after it only the address is used.
//!
//! # Progress
//!
//! The compare-and-swap of a release fails only if somebody else changed the word in between. A bit
//! that is set stays set until a release or a waiter that gives up clears it, so beside a writer
//! that is at most a step for each of the three bits and one for each waiter that gives up in that
//! moment; beside a reader, also one for each that enters or leaves. No waiter can come back and
//! set its bit again within one release.
//!
//! # Orderings
//!
//! Acquire on every compare-and-swap that takes the lock in any mode, Release on every one that
//! gives up or weakens a mode. A writer (and an upgrade) follows all readers' releases because
//! these are read-modify-writes of one word, so each continues the release sequence of those before
//! it. A downgrade is a Release for the readers it lets in. Announcements are Relaxed: they publish
//! nothing, and that a sleeper is not missed rests on the futex's own comparison with the one word
//! that all of this is in.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::lock::raw_mutex::NotLocked;
use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::const_new;
use crate::primitive::futex::{Channel, Deadline};

mod slow_path;
mod state;

use self::state::{
    COUNT, HOLDERS, READER, STARVING, TOO_MANY, UPGRADABLE, UPGRADER, UPGRADING, WRITER,
    WRITERS_WAITING, upgraded,
};

/// Where those sleep who want to be readers, or the upgradable one.
const READERS: Channel = Channel::new(0);
/// Where those sleep who want to be the writer.
const WRITERS: Channel = Channel::new(1);
/// Where the upgradable reader sleeps that wants to be the writer.
const UPGRADE: Channel = Channel::new(2);

/// A readers-writer lock without data and without a guard.
///
/// Any thread may release it, not only the one that took it. For a lock that protects data, use
/// [`RwLock`](crate::RwLock), whose documentation says how the modes go together.
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
        /// A free lock.
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    /// Takes the lock for reading, beside other readers; sleeps while a writer holds it or is about
    /// to.
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
    /// What happened before an [`unlock_write`](Self::unlock_write) happens before the return of a
    /// `read` that follows it.
    #[inline]
    #[track_caller]
    pub fn read(&self) {
        if !self.read_at_once() {
            self.shared_contended_for_ever(READER);
        }
    }

    /// Takes the lock for reading if [`read`](Self::read) would not wait, or would only for the
    /// sake of somebody's turn.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
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
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> bool {
        self.read_at_once() || self.shared_contended(READER, Deadline::after(timeout))
    }

    /// Takes the lock for reading, or gives up at `deadline`: `false`. One in the past still takes
    /// a lock that is free.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_until(&self, deadline: Instant) -> bool {
        self.read_at_once() || self.shared_contended(READER, Deadline::at(deadline))
    }

    /// Takes the lock for writing, alone; sleeps while anybody else holds it.
    ///
    /// # Memory ordering
    ///
    /// What happened before the releases of all that held the lock earlier happens before the
    /// return of `write`.
    #[inline]
    pub fn write(&self) {
        if !self.write_at_once() {
            self.write_contended_for_ever();
        }
    }

    /// Takes the lock for writing if nobody holds it at this moment.
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

    /// Takes the lock for writing, or gives up at `deadline`: `false`. One in the past still takes
    /// a lock that is free.
    #[inline]
    pub fn try_write_until(&self, deadline: Instant) -> bool {
        self.write_at_once() || self.write_contended(Deadline::at(deadline))
    }

    /// Takes the lock for reading with the right to [`upgrade`](Self::upgrade): beside other
    /// readers, but alone in that right.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) {
        if !self.upgradable_at_once() {
            self.shared_contended_for_ever(UPGRADER);
        }
    }

    /// As [`try_read`](Self::try_read), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> bool {
        self.upgradable_at_once() || self.try_shared(UPGRADER)
    }

    /// As [`try_read_for`](Self::try_read_for), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_for(&self, timeout: Duration) -> bool {
        self.upgradable_at_once() || self.shared_contended(UPGRADER, Deadline::after(timeout))
    }

    /// As [`try_read_until`](Self::try_read_until), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_until(&self, deadline: Instant) -> bool {
        self.upgradable_at_once() || self.shared_contended(UPGRADER, Deadline::at(deadline))
    }

    /// Gives back what [`read`](Self::read) took.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds the lock in this mode; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// What happened before it happens before the return of the [`write`](Self::write) that
    /// follows.
    #[inline]
    pub fn unlock_read(&self) -> Result<(), NotLocked> {
        let mut state = self.state.load(Relaxed);
        // Without flags there is nobody to wake, and nobody who is upgradable.
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

    /// As [`unlock_read`](Self::unlock_read), without looking at the count.
    ///
    /// # Safety
    ///
    /// The lock is held for reading, on behalf of the caller: the count is not zero.
    #[inline]
    pub(crate) unsafe fn unlock_reader(&self) -> Result<(), NotLocked> {
        let mut state = self.state.load(Relaxed);
        while state & !COUNT == 0 {
            debug_assert!(state != 0, "a guard over a lock that nobody holds");
            // Release: as in `unlock_read`.
            match self.state.compare_exchange(state, state.wrapping_sub(READER), Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => state = seen,
            }
        }
        self.release(READER)
    }

    /// Gives back what [`write`](Self::write) took.
    ///
    /// # Errors
    ///
    /// As [`unlock_read`](Self::unlock_read).
    #[inline]
    pub fn unlock_write(&self) -> Result<(), NotLocked> {
        // Release: pairs with the Acquire of whoever takes it next.
        match self.state.compare_exchange(WRITER, 0, Release, Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.release(WRITER),
        }
    }

    /// Gives back what [`upgradable_read`](Self::upgradable_read) took.
    ///
    /// # Errors
    ///
    /// As [`unlock_read`](Self::unlock_read).
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
    /// Nobody writes in between: what was read before is still so.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds the lock as upgradable reader; nothing is changed.
    pub fn upgrade(&self) -> Result<(), NotLocked> {
        self.upgrade_until(None).map(|_| ())
    }

    /// Turns the upgradable reader into the writer if it is the only reader at this moment.
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn try_upgrade(&self) -> Result<bool, NotLocked> {
        Ok(self.upgrade_at_once()?.is_ok())
    }

    /// As [`upgrade`](Self::upgrade), or gives up after `timeout`: `false`, and the lock is still
    /// held as upgradable reader.
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn try_upgrade_for(&self, timeout: Duration) -> Result<bool, NotLocked> {
        if self.try_upgrade()? { Ok(true) } else { self.upgrade_until(Deadline::after(timeout)) }
    }

    /// As [`upgrade`](Self::upgrade), or gives up at `deadline`: `false`, and the lock is still
    /// held as upgradable reader.
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn try_upgrade_until(&self, deadline: Instant) -> Result<bool, NotLocked> {
        if self.try_upgrade()? { Ok(true) } else { self.upgrade_until(Deadline::at(deadline)) }
    }

    /// Turns the writer into a reader, and lets other readers in. No other writer gets in between.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds the lock for writing; nothing is changed.
    pub fn downgrade(&self) -> Result<(), NotLocked> {
        self.weaken(WRITER, READER)
    }

    /// Turns the writer into the upgradable reader.
    ///
    /// # Errors
    ///
    /// As [`downgrade`](Self::downgrade).
    pub fn downgrade_to_upgradable(&self) -> Result<(), NotLocked> {
        self.weaken(WRITER, UPGRADER)
    }

    /// Turns the upgradable reader into an ordinary one.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds the lock as upgradable reader; nothing is changed.
    pub fn downgrade_upgradable(&self) -> Result<(), NotLocked> {
        self.weaken(UPGRADER, READER)
    }

    /// Whether anybody holds the lock. A snapshot: it may have changed before the call returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        // Relaxed: an observation that carries no right to anything.
        self.state.load(Relaxed) & HOLDERS != 0
    }

    /// Whether a writer holds the lock. A snapshot: it may have changed before the call returns.
    #[inline]
    pub fn is_locked_exclusive(&self) -> bool {
        // Relaxed: as above.
        self.state.load(Relaxed) & WRITER != 0
    }

    /// Makes the lock free, whoever held it: for the child of a `fork`, where the holders do not
    /// exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it
    /// may still be released.
    pub unsafe fn reinit_after_fork(&self) {
        self.state.store(0, Relaxed);
    }

    #[inline]
    pub(crate) fn read_at_once(&self) -> bool {
        const BARRED: u32 = WRITER | UPGRADING | WRITERS_WAITING | STARVING | TOO_MANY;
        let mut state = self.state.load(Relaxed);
        while state & BARRED == 0 {
            // Acquire: pairs with the Release of the last writer. It fails because of other
            // readers, mostly, and then only the count is new.
            match self.state.compare_exchange(state, state + READER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    #[inline]
    pub(crate) fn write_at_once(&self) -> bool {
        // Acquire: pairs with the Release of everybody who held it.
        self.state.compare_exchange(0, WRITER, Acquire, Relaxed).is_ok()
    }

    /// One attempt of the upgradable reader to become the writer; `Err` inside is the state with
    /// other readers in it.
    fn upgrade_at_once(&self) -> Result<Result<(), u32>, NotLocked> {
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

impl Default for RawRwLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a snapshot for people.
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
