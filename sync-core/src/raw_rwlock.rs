//! The lock inside [`RwLock`](crate::RwLock): eight bytes; readers in a count, waiters in two bits, writers asleep on a word of their own.
//!
//! # Source
//!
//! The two-futex layout of `std`'s readers-writer lock, with three differences:
//!
//! * **Phases**, after Brandenburg and Anderson's phase-fair locks: a reader that a writer kept out goes before the next writer, and a waiting
//!   writer keeps newcomers out of a phase of readers. Neither side can starve the other.
//! * **No count of the woken is trusted.** `std` wakes readers if waking a writer "woke nobody". Some systems cannot say, and some say it
//!   wrong (litebox #809), and then a reader sleeps for ever. Here a bit that may be stale never decides who is left asleep (invariant 4).
//! * **Wake after free.** `std` counts up the writers' word after the release; here nothing is touched after it but addresses.
//!
//! The upgradable reader, the downgrades and their names are `parking_lot`'s. The reservation is that of `raw_mutex.rs`.
//!
//! # State
//!
//! `state`, from the low bit up:
//!
//! | bits | meaning | legal to be stale? |
//! |---|---|---|
//! | `WRITER` | a writer holds the lock; then the count is 0 | no |
//! | `UPGRADABLE` | one of the counted readers may become the writer | no |
//! | `UPGRADING` | that reader waits for the others to leave | no |
//! | `READERS_WAITING` | a reader, an upgradable reader or the upgrading one may sleep on `state` | may be set without a sleeper (one system call) |
//! | `WRITERS_WAITING` | a writer may sleep on `turns`; bars new readers | set without a waiting writer only while `WRITER` is set |
//! | `STARVING` | the next acquisition is for one that has waited | may be set without such a one (costs a newcomer one `PATIENCE`) |
//! | the rest | how many readers hold the lock, the upgradable one included | no |
//!
//! `turns` counts how often waiting writers were called, modulo 2^32. A writer that is held up between reading it and falling asleep for exactly
//! 2^32 calls sleeps on until the next one.
//!
//! | release by | leaves | who waits | what is cleared and woken |
//! |---|---|---|---|
//! | a writer | nobody | anyone | both bits; all readers, then one writer |
//! | the last reader | nobody | a writer (and readers) | `WRITERS_WAITING`; one writer. The readers' bit stays: the writer's release sees it |
//! | the last reader | nobody | readers only | `READERS_WAITING`; all readers |
//! | a reader | the upgrading one | | all who sleep on `state` |
//! | the upgradable reader | readers | readers | `READERS_WAITING`; all readers: one of them may want to be upgradable |
//! | a downgrade | readers | anyone | both bits; all readers, one writer |
//!
//! # Invariants
//!
//! 1. **Exclusion.** `WRITER` is set only from a state without holders, or by the upgradable reader when it is the only one; the count grows only
//!    without `WRITER` and `UPGRADING`; `UPGRADABLE` is set only from a state without it and `WRITER`.
//! 2. **Who clears a waiting bit wakes** those it speaks of: all readers, or one writer. A woken writer that does not get the lock sets the
//!    bit again before it sleeps, and one that does get it sets the bit with it: so the others behind it are not forgotten.
//! 3. **No writer sleeps through its call.** A writer reads `turns` before it sees its bit set. Who clears the bit does so while it still
//!    holds the lock, and counts up `turns` before it releases. So a writer that saw the bit before it was cleared has an old number and
//!    does not fall asleep or is woken; and one that set it again made the release's compare-and-swap fail.
//! 4. **Without `WRITER`, `WRITERS_WAITING` speaks of a writer that is there**, awake or asleep: a writer that gives up clears the bit and
//!    wakes everybody, who then announce themselves again; a downgrade clears it, too. So a reader that stands back behind that bit, and
//!    the readers' bit that a last reader leaves to the next writer, have somebody who will see to them. With `WRITER` the bit may be stale,
//!    and therefore a writer's release wakes both sides.
//! 5. **Nobody sleeps on a free lock** for longer than `PATIENCE`: only a reservation keeps anybody out of it, and that sleep is timed.
//! 6. **Phases.** A reader that saw `WRITER` while it waited enters as soon as `WRITER` is gone, waiting writers or not, and so does one that has
//!    waited for `PATIENCE`; any other reader stands back behind `WRITERS_WAITING`.
//! 7. **Wake after free.** A release ends with one compare-and-swap; after it only addresses are used.
//!
//! # Orderings
//!
//! Acquire on every compare-and-swap that takes the lock in any mode, Release on every one that gives up or weakens a mode. A writer
//! (and an upgrade) follows all readers' releases because these are read-modify-writes of one word, so each continues the release
//! sequence of those before it. A downgrade is a Release for the readers it lets in. On `turns`, the increment is a Release and the
//! waiting writer's load an Acquire: it that sees the new number sees the bit cleared (invariant 3). Announcements are Relaxed: they publish
//! nothing.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::primitive::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitive::futex::{self, Deadline};
use crate::primitive::{const_new, hint::Spin, time::Stopwatch};
use crate::raw_mutex::NotLocked;

const WRITER: u32 = 1;
const UPGRADABLE: u32 = 2;
const UPGRADING: u32 = 4;
const READERS_WAITING: u32 = 8;
const WRITERS_WAITING: u32 = 16;
const STARVING: u32 = 32;
/// One reader.
const READER: u32 = 64;
/// The upgradable reader.
const UPGRADER: u32 = READER | UPGRADABLE;

const COUNT: u32 = !(READER - 1);
/// Set once there are 2^25 readers: more than there can be threads, so guards were forgotten.
const TOO_MANY: u32 = 1 << 31;
const HOLDERS: u32 = WRITER | COUNT;
const WAITING: u32 = READERS_WAITING | WRITERS_WAITING;

/// How long anybody who waits lets newcomers overtake; see `raw_mutex.rs`.
const PATIENCE: Duration = Duration::from_millis(1);

/// A readers-writer lock without data and without a guard.
///
/// Any thread may release it, not only the one that took it. For a lock that protects data, use [`RwLock`](crate::RwLock), whose documentation
/// says how the modes go together.
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
    turns: AtomicU32,
}

impl RawRwLock {
    const_new! {
        /// A free lock.
        pub const fn new() -> Self {
            Self { state: AtomicU32::new(0), turns: AtomicU32::new(0) }
        }
    }

    /// Takes the lock for reading, beside other readers; sleeps while a writer holds it or is about to.
    ///
    /// A thread that holds it for reading already and takes it again can wait for ever, if a writer came in between.
    ///
    /// # Panics
    ///
    /// If there are 2^25 readers; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// What happened before an [`unlock_write`](Self::unlock_write) happens before the return of a `read` that follows it.
    #[inline]
    #[track_caller]
    pub fn read(&self) {
        if !self.read_fast() {
            self.shared_contended(READER, None);
        }
    }

    /// Takes the lock for reading if [`read`](Self::read) would not wait, or would only for the sake of somebody's turn.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> bool {
        self.read_fast() || self.try_shared(READER)
    }

    /// Takes the lock for reading, or gives up after `timeout`: `false`. A timeout too long for the clock means for ever.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> bool {
        self.read_fast() || self.shared_contended(READER, Deadline::after(timeout))
    }

    /// Takes the lock for reading, or gives up at `deadline`: `false`. One in the past still takes a lock that is free.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_until(&self, deadline: Instant) -> bool {
        self.read_fast() || self.shared_contended(READER, Deadline::at(deadline))
    }

    /// Takes the lock for writing, alone; sleeps while anybody else holds it.
    ///
    /// # Memory ordering
    ///
    /// What happened before the releases of all that held the lock earlier happens before the return of `write`.
    #[inline]
    pub fn write(&self) {
        if !self.write_fast() {
            self.write_contended(None);
        }
    }

    /// Takes the lock for writing if nobody holds it at this moment.
    #[inline]
    pub fn try_write(&self) -> bool {
        self.write_fast() || self.try_exclusive()
    }

    /// Takes the lock for writing, or gives up after `timeout`: `false`. A timeout too long for the clock means for ever.
    #[inline]
    pub fn try_write_for(&self, timeout: Duration) -> bool {
        self.write_fast() || self.write_contended(Deadline::after(timeout))
    }

    /// Takes the lock for writing, or gives up at `deadline`: `false`. One in the past still takes a lock that is free.
    #[inline]
    pub fn try_write_until(&self, deadline: Instant) -> bool {
        self.write_fast() || self.write_contended(Deadline::at(deadline))
    }

    /// Takes the lock for reading with the right to [`upgrade`](Self::upgrade): beside other readers, but alone in that right.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) {
        if !self.upgradable_fast() {
            self.shared_contended(UPGRADER, None);
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
        self.upgradable_fast() || self.try_shared(UPGRADER)
    }

    /// As [`try_read_for`](Self::try_read_for), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_for(&self, timeout: Duration) -> bool {
        self.upgradable_fast() || self.shared_contended(UPGRADER, Deadline::after(timeout))
    }

    /// As [`try_read_until`](Self::try_read_until), with the right to upgrade.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_until(&self, deadline: Instant) -> bool {
        self.upgradable_fast() || self.shared_contended(UPGRADER, Deadline::at(deadline))
    }

    /// Gives back what [`read`](Self::read) took.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if nobody holds the lock in this mode; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// What happened before it happens before the return of the [`write`](Self::write) that follows.
    #[inline]
    pub fn unlock_read(&self) -> Result<(), NotLocked> {
        let mut state = self.state.load(Relaxed);
        // Without flags there is nobody to wake, and nobody who is upgradable.
        while state & !COUNT == 0
            && let Some(left) = state.checked_sub(READER)
        {
            // Release: pairs with the Acquire of the next writer.
            match self.state.compare_exchange(state, left, Release, Relaxed) {
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

    /// Turns the upgradable reader into the writer; sleeps until the other readers have left, and lets no new ones in.
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
        let mut state = self.state.load(Relaxed);
        loop {
            if state & UPGRADABLE == 0 {
                return Err(NotLocked);
            }
            if state & COUNT != READER {
                return Ok(false);
            }
            // Acquire: pairs with the Release of the readers that have left.
            match self.state.compare_exchange(state, upgraded(state), Acquire, Relaxed) {
                Ok(_) => return Ok(true),
                Err(seen) => state = seen,
            }
        }
    }

    /// As [`upgrade`](Self::upgrade), or gives up after `timeout`: `false`, and the lock is still held as upgradable reader.
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Self::upgrade).
    pub fn try_upgrade_for(&self, timeout: Duration) -> Result<bool, NotLocked> {
        if self.try_upgrade()? { Ok(true) } else { self.upgrade_until(Deadline::after(timeout)) }
    }

    /// As [`upgrade`](Self::upgrade), or gives up at `deadline`: `false`, and the lock is still held as upgradable reader.
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

    /// Whether anybody holds the lock. Old news by the time it is returned.
    #[inline]
    pub fn is_locked(&self) -> bool {
        // Relaxed: an observation that carries no right to anything.
        self.state.load(Relaxed) & HOLDERS != 0
    }

    /// Whether a writer holds the lock. Old news by the time it is returned.
    #[inline]
    pub fn is_locked_exclusive(&self) -> bool {
        // Relaxed: as above.
        self.state.load(Relaxed) & WRITER != 0
    }

    /// Makes the lock free, whoever held it: for the child of a `fork`, where the holders do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock or anything it protects, and no guard of it may still be released.
    pub unsafe fn reinit_after_fork(&self) {
        self.state.store(0, Relaxed);
    }

    #[inline]
    fn read_fast(&self) -> bool {
        const BARRED: u32 = WRITER | UPGRADING | WRITERS_WAITING | STARVING | TOO_MANY;
        let mut state = self.state.load(Relaxed);
        while state & BARRED == 0 {
            // Acquire: pairs with the Release of the last writer. It fails because of other readers, mostly, and then only the count is new.
            match self.state.compare_exchange(state, state + READER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    #[inline]
    fn write_fast(&self) -> bool {
        // Acquire: pairs with the Release of everybody who held it.
        self.state.compare_exchange(0, WRITER, Acquire, Relaxed).is_ok()
    }

    #[inline]
    fn upgradable_fast(&self) -> bool {
        // Acquire: as in `read_fast`.
        self.state.compare_exchange(0, UPGRADER, Acquire, Relaxed).is_ok()
    }

    /// One attempt to become a reader, or the upgradable one. It ignores reservations, because nobody who is refused here comes back
    /// to find out that one was stale.
    #[cold]
    #[track_caller]
    fn try_shared(&self, mode: u32) -> bool {
        let mut state = self.state.load(Relaxed);
        loop {
            let behind_a_writer = state & WRITERS_WAITING != 0 && state & HOLDERS != 0;
            if state & shut_for(mode) != 0 || behind_a_writer {
                return false;
            }
            // Acquire: as in `read_fast`.
            match self.state.compare_exchange(state, entered(state, mode), Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
    }

    /// One attempt to become the writer; ignores reservations, as `try_shared` does.
    #[cold]
    fn try_exclusive(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        while state & HOLDERS == 0 {
            // Acquire: as in `write_fast`.
            match self.state.compare_exchange(state, state | WRITER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    /// Becomes a reader, or the upgradable one, sleeping as long as it must; `false` if the deadline passed.
    #[cold]
    #[track_caller]
    fn shared_contended(&self, mode: u32, deadline: Option<Deadline>) -> bool {
        let shut = shut_for(mode);
        let mut state = self.spin(shut);
        let waiting = Stopwatch::start();
        // Invariant 6: whether it may pass waiting writers and reservations.
        let mut entitled = false;
        let mut slept = false;
        loop {
            entitled |= state & WRITER != 0;
            let open = state & shut == 0;
            if open && (entitled || state & (WRITERS_WAITING | STARVING) == 0) {
                let next = entered(state, mode) & if entitled { !STARVING } else { !0 };
                // Acquire: as in `read_fast`.
                match self.state.compare_exchange(state, next, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(seen) => {
                        state = seen;
                        continue;
                    }
                }
            }
            // Kept out by a reservation alone: this sleep ends by itself (invariant 5).
            let reserved = open && (state & WRITERS_WAITING == 0 || state & HOLDERS == 0);
            let starving = slept && !open && waiting.has_run(PATIENCE);
            let announced = state | READERS_WAITING | if starving { STARVING } else { 0 };
            if announced != state
                && let Err(seen) = self.state.compare_exchange(state, announced, Relaxed, Relaxed)
            {
                state = seen;
                continue;
            }
            if reserved {
                let turn = Deadline::after(PATIENCE).into_iter().chain(deadline).min();
                entitled |= !futex::wait_maybe(&self.state, announced, turn);
            } else if !futex::wait_maybe(&self.state, announced, deadline) {
                return self.leave_shared(mode);
            }
            slept = true;
            entitled |= waiting.has_run(PATIENCE);
            state = self.spin(shut);
        }
    }

    /// The end of a reader's wait whose time is up. It owes nobody a wake, for readers are woken all at once; but a reservation may have been
    /// its own.
    #[track_caller]
    fn leave_shared(&self, mode: u32) -> bool {
        if self.try_shared(mode) {
            return true;
        }
        self.drop_reservation();
        false
    }

    /// Takes back a reservation; whose ever it was, it asks again if it must.
    fn drop_reservation(&self) {
        let mut state = self.state.load(Relaxed);
        while state & STARVING != 0 {
            match self.state.compare_exchange(state, state & !STARVING, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(seen) => state = seen,
            }
        }
    }

    /// Becomes the writer, sleeping as long as it must; `false` if the deadline passed.
    #[cold]
    fn write_contended(&self, deadline: Option<Deadline>) -> bool {
        let mut state = self.spin(HOLDERS);
        let waiting = Stopwatch::start();
        let mut slept = false;
        loop {
            if state & HOLDERS == 0 && (slept || state & STARVING == 0) {
                // Invariant 2: one that slept leaves the bit behind for those who may sleep on. Its reservation is used up.
                let taken = if slept { (state | WRITER | WRITERS_WAITING) & !STARVING } else { state | WRITER };
                // Acquire: as in `write_fast`.
                match self.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(seen) => {
                        state = seen;
                        continue;
                    }
                }
            }
            // Acquire: pairs with the Release in `call_writers`. Read before the bit is seen set (invariant 3).
            let turn_seen = self.turns.load(Acquire);
            state = self.state.load(Relaxed);
            let free = state & HOLDERS == 0;
            if free && (slept || state & STARVING == 0) {
                continue;
            }
            let starving = slept && !free && waiting.has_run(PATIENCE);
            let announced = state | WRITERS_WAITING | if starving { STARVING } else { 0 };
            if announced != state
                && let Err(seen) = self.state.compare_exchange(state, announced, Relaxed, Relaxed)
            {
                state = seen;
                continue;
            }
            if free {
                // Kept out by a reservation: this sleep ends by itself (invariant 5).
                let turn = Deadline::after(PATIENCE).into_iter().chain(deadline).min();
                futex::wait_maybe(&self.turns, turn_seen, turn);
            } else if !futex::wait_maybe(&self.turns, turn_seen, deadline) {
                return self.leave_exclusive();
            }
            slept = true;
            state = self.spin(HOLDERS);
        }
    }

    /// The end of a writer's wait whose time is up: takes the lock if it is free after all, or sees to it that nobody stands back behind a
    /// writer who is not there any more (invariant 4).
    fn leave_exclusive(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        loop {
            if state & HOLDERS == 0 {
                let taken = (state | WRITER | WRITERS_WAITING) & !STARVING;
                // Acquire: as in `write_fast`. It slept, hence the bit, as in `write_contended`.
                match self.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(seen) => state = seen,
                }
                continue;
            }
            let cleared = if state & WRITER != 0 { state & !STARVING } else { state & !(WAITING | STARVING) };
            if cleared != state
                && let Err(seen) = self.state.compare_exchange(state, cleared, Relaxed, Relaxed)
            {
                state = seen;
                continue;
            }
            let gone = state & !cleared;
            if gone & WRITERS_WAITING != 0 {
                self.call_writers();
                futex::wake_all(&raw const self.turns);
            }
            if gone & READERS_WAITING != 0 {
                futex::wake_all(&raw const self.state);
            }
            return false;
        }
    }

    /// Makes every number that a writer has read an old one. Before the release, because nothing may be touched after it.
    fn call_writers(&self) {
        // Release: pairs with the Acquire in `write_contended` (invariant 3).
        self.turns.fetch_add(1, Release);
    }

    fn upgrade_until(&self, deadline: Option<Deadline>) -> Result<bool, NotLocked> {
        loop {
            if self.try_upgrade()? {
                return Ok(true);
            }
            let state = self.state.load(Relaxed);
            let announced = state | UPGRADING;
            if state & COUNT == READER || (announced != state && self.state.compare_exchange(state, announced, Relaxed, Relaxed).is_err()) {
                continue;
            }
            if !futex::wait_maybe(&self.state, announced, deadline) {
                return self.stop_upgrading();
            }
        }
    }

    /// The end of an upgrade whose time is up: takes what is free after all, or lets the readers in that it kept out.
    fn stop_upgrading(&self) -> Result<bool, NotLocked> {
        loop {
            if self.try_upgrade()? {
                return Ok(true);
            }
            let state = self.state.load(Relaxed);
            if state & COUNT != READER
                && self.state.compare_exchange(state, state & !(UPGRADING | READERS_WAITING), Relaxed, Relaxed).is_ok()
            {
                if state & READERS_WAITING != 0 {
                    futex::wake_all(&raw const self.state);
                }
                return Ok(false);
            }
        }
    }

    /// Gives a mode back and wakes whom that concerns; the table at the top says whom.
    #[cold]
    fn release(&self, mode: u32) -> Result<(), NotLocked> {
        // The bits that this release cleared: it owes their wakes, whatever else happens.
        let mut owed = 0;
        let mut state = self.state.load(Relaxed);
        loop {
            if !is_held(state, mode) {
                return Err(NotLocked);
            }
            let mut left = state - mode;
            if mode == UPGRADER {
                // Another thread may wait to upgrade what this one gives back: it is told that there is nothing left to upgrade.
                left &= !UPGRADING;
            }
            let due = due(left, mode);
            if due & WRITERS_WAITING != 0 {
                // Invariant 3: cleared and called while the lock is still held.
                match self.state.compare_exchange(state, state & !due, Relaxed, Relaxed) {
                    Ok(_) => {
                        owed |= due;
                        state &= !due;
                        self.call_writers();
                    }
                    Err(seen) => state = seen,
                }
                continue;
            }
            // Who sleeps on `state` compares with all of it, so the readers' bit may go with the release itself.
            left &= !due;
            if (owed | state) & WAITING == 0 {
                // Nobody waits: a reservation would be for nobody.
                left &= !STARVING;
            }
            // Release: pairs with the Acquire of whoever takes the lock next.
            match self.state.compare_exchange(state, left, Release, Relaxed) {
                Ok(_) => {
                    // Invariant 7: from here on only addresses.
                    owed |= due;
                    let upgrade_now = left & UPGRADING != 0 && left & COUNT == READER;
                    let upgrade_off = state & UPGRADING != left & UPGRADING;
                    if owed & READERS_WAITING != 0 || upgrade_now || upgrade_off {
                        futex::wake_all(&raw const self.state);
                    }
                    if owed & WRITERS_WAITING != 0 {
                        futex::wake_one(&raw const self.turns);
                    }
                    return Ok(());
                }
                Err(seen) => state = seen,
            }
        }
    }

    /// Turns a mode into a weaker one and wakes whom that concerns. The lock stays held, so the order of the steps is free.
    fn weaken(&self, from: u32, to: u32) -> Result<(), NotLocked> {
        let mut state = self.state.load(Relaxed);
        loop {
            if !is_held(state, from) {
                return Err(NotLocked);
            }
            // Only a writer's bits may be stale (invariant 4); behind an upgradable reader the writers' bit is true and stays.
            let cleared = if from == WRITER { WAITING | STARVING } else { READERS_WAITING | UPGRADING };
            // Release: pairs with the Acquire of the readers that this lets in.
            match self.state.compare_exchange(state, (state - from + to) & !cleared, Release, Relaxed) {
                Ok(_) => break,
                Err(seen) => state = seen,
            }
        }
        if state & (READERS_WAITING | UPGRADING) != 0 {
            futex::wake_all(&raw const self.state);
        }
        if from == WRITER && state & WRITERS_WAITING != 0 {
            self.call_writers();
            futex::wake_one(&raw const self.turns);
        }
        Ok(())
    }

    /// Waits a moment for a lock that nobody sleeps on to be without `held`, and returns what it saw last.
    fn spin(&self, held: u32) -> u32 {
        let mut spin = Spin::new();
        loop {
            let state = self.state.load(Relaxed);
            // Where others sleep already, a spinner would only overtake them.
            if state & held == 0 || state & WAITING != 0 || !spin.turn() {
                return state;
            }
        }
    }
}

/// What keeps anybody from entering in this mode, whatever their rights.
const fn shut_for(mode: u32) -> u32 {
    WRITER | UPGRADING | (mode & UPGRADABLE)
}

/// The state with one reader more.
#[track_caller]
fn entered(state: u32, mode: u32) -> u32 {
    assert!(state & TOO_MANY == 0, "2^25 readers hold the lock");
    state + mode
}

/// The state once the only reader, who is upgradable, is the writer.
const fn upgraded(state: u32) -> u32 {
    (state & !(COUNT | UPGRADABLE | UPGRADING)) | WRITER
}

/// Whether somebody holds the lock in this mode.
const fn is_held(state: u32, mode: u32) -> bool {
    match mode {
        WRITER | UPGRADER => state & mode & (WRITER | UPGRADABLE) != 0,
        // The upgradable reader is counted, but not an ordinary one.
        _ => state & COUNT > if state & UPGRADABLE != 0 { READER } else { 0 },
    }
}

/// Which waiting bits a release clears, so that their wakes are due: by `mode`, to a state with `left`. The table at the top.
const fn due(left: u32, mode: u32) -> u32 {
    if left & HOLDERS == 0 {
        match mode {
            WRITER => left & WAITING,
            _ if left & WRITERS_WAITING != 0 => WRITERS_WAITING,
            _ => left & READERS_WAITING,
        }
    } else if mode == UPGRADER {
        left & READERS_WAITING
    } else {
        0
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
