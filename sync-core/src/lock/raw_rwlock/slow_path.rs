//! The slow paths: waits, wakes, and the steps of a waiter that gives up. The state table and the
//! invariants are in `raw_rwlock/mod.rs`.

use core::time::Duration;

use super::state::{
    COUNT, HOLDERS, READER, READERS_WAITING, STARVING, UPGRADER, UPGRADING, WAITING, WRITER,
    WRITERS_WAITING, due, entered, is_held, shut_for,
};
use super::{READERS, RawRwLock, UPGRADE, WRITERS};
use crate::lock::raw_mutex::NotLocked;
use crate::primitive::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::futex::{self, Deadline};
use crate::primitive::steps::{self, Sleep, Step, Steps};
use crate::primitive::{hint::Looks, time::Stopwatch};

/// The time for which a waiter lets newcomers overtake it, as in `raw_mutex.rs`.
const STARVATION_THRESHOLD: Duration = Duration::from_millis(1);

impl RawRwLock {
    /// Attempts once to become a reader, or the upgradable reader. It ignores reservations: a
    /// caller that is refused here does not come back, so it could not detect a stale reservation.
    #[cold]
    #[track_caller]
    pub(super) fn try_shared(&self, mode: u32) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            let behind_a_writer = state & WRITERS_WAITING != 0 && state & HOLDERS != 0;
            if state & shut_for(mode) != 0 || behind_a_writer {
                return false;
            }
            // Acquire: as in `read_at_once`.
            match self.state.compare_exchange(state, entered(state, mode), Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
    }

    /// Attempts once to become the writer. It ignores reservations, like `try_shared`.
    #[cold]
    pub(super) fn try_exclusive(&self) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        while state & HOLDERS == 0 {
            // Acquire: as in `write_at_once`.
            match self.state.compare_exchange(state, state | WRITER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }

    /// Like [`shared_contended`](Self::shared_contended) without a deadline: the fast path then has
    /// no argument to lay out on its stack.
    #[cold]
    #[track_caller]
    pub(super) fn shared_contended_forever(&self, mode: u32) {
        self.shared_contended(mode, None);
    }

    /// Waits until the thread is a reader, or the upgradable reader. Returns `false` if the
    /// deadline passed.
    #[cold]
    #[track_caller]
    pub(super) fn shared_contended(&self, mode: u32, deadline: Option<Deadline>) -> bool {
        steps::run(self.entering(mode), deadline).is_some()
    }

    /// Returns the slow path of a thread or task that is to become a reader, or the upgradable
    /// reader.
    #[inline]
    pub(super) fn entering(&self, mode: u32) -> Entering<'_> {
        Entering { lock: self, mode, waiting: None, entitled: false, slept: false, is_task: false }
    }

    /// [`entering`](Self::entering) as a reader.
    #[inline]
    pub(crate) fn reading(&self) -> Entering<'_> {
        self.entering(READER)
    }

    /// [`entering`](Self::entering) as the upgradable reader.
    #[inline]
    pub(crate) fn upgradable_reading(&self) -> Entering<'_> {
        self.entering(UPGRADER)
    }

    /// Ends a reader's wait whose time is up. It owes no thread a wake, because readers are woken
    /// all at once. But a reservation may have been its own, so it clears it.
    #[track_caller]
    fn leave_shared(&self, mode: u32) -> bool {
        if self.try_shared(mode) {
            return true;
        }
        self.drop_reservation();
        false
    }

    /// Clears a reservation. If it belonged to another thread, that thread sets it again when it
    /// needs it.
    fn drop_reservation(&self) {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        while state & STARVING != 0 {
            // Relaxed: a reservation publishes nothing.
            match self.state.compare_exchange(state, state & !STARVING, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(seen) => state = seen,
            }
        }
    }

    /// Like [`write_contended`](Self::write_contended) without a deadline.
    #[cold]
    pub(super) fn write_contended_forever(&self) {
        self.write_contended(None);
    }

    /// Waits until the thread is the writer. Returns `false` if the deadline passed.
    #[cold]
    pub(super) fn write_contended(&self, deadline: Option<Deadline>) -> bool {
        steps::run(self.writing(), deadline).is_some()
    }

    /// Returns the slow path of a thread or task that is to become the writer.
    #[inline]
    pub(crate) fn writing(&self) -> Writing<'_> {
        Writing { lock: self, waiting: None, slept: false, is_task: false }
    }

    /// Ends a writer's wait whose time is up: takes the lock if it is free after all, or makes sure
    /// that no reader waits for a writer that is gone (invariant 4).
    fn leave_exclusive(&self) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            if state & HOLDERS == 0 {
                // The bit is not set, although this thread slept: it has consumed no wake since it
                // announced itself (rule 3 of the futex module). So the other writers are covered
                // by a bit that is still set, or by a writer that was woken.
                let taken = (state | WRITER) & !STARVING;
                // Acquire: as in `write_at_once`.
                match self.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(seen) => state = seen,
                }
                continue;
            }
            let cleared =
                if state & WRITER != 0 { state & !STARVING } else { state & !(WAITING | STARVING) };
            if cleared != state {
                // Relaxed: it gives up no mode and publishes nothing.
                if let Err(seen) = self.state.compare_exchange(state, cleared, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            let gone = state & !cleared;
            if gone & WRITERS_WAITING != 0 {
                // One wake is enough: the woken writer announces itself again, or takes the lock
                // and sets the bit in the same step, or gives up in turn (invariant 2).
                futex::wake_for_lock(&raw const self.state, WRITERS);
            }
            if gone & READERS_WAITING != 0 {
                futex::wake_channel(&raw const self.state, u32::MAX, READERS);
            }
            return false;
        }
    }

    pub(super) fn upgrade_until(&self, deadline: Option<Deadline>) -> Result<bool, NotLocked> {
        steps::run(self.upgrading(), deadline).unwrap_or(Ok(false))
    }

    /// Returns the slow path of the upgradable reader that is to become the writer.
    #[inline]
    pub(crate) fn upgrading(&self) -> Upgrading<'_> {
        Upgrading { lock: self }
    }

    /// Ends an upgrade whose time is up: becomes the writer if the other readers have left after
    /// all, or lets the readers in that it kept out.
    fn stop_upgrading(&self) -> Result<bool, NotLocked> {
        loop {
            let Err(state) = self.upgrade_at_once()? else { return Ok(true) };
            // Relaxed: it gives up no mode and publishes nothing.
            if self
                .state
                .compare_exchange(state, state & !(UPGRADING | READERS_WAITING), Relaxed, Relaxed)
                .is_ok()
            {
                if state & READERS_WAITING != 0 {
                    futex::wake_channel(&raw const self.state, u32::MAX, READERS);
                }
                // Another thread may wait to use the same right: wake it, and it announces itself
                // again.
                futex::wake_channel(&raw const self.state, u32::MAX, UPGRADE);
                return Ok(false);
            }
        }
    }

    /// Releases one mode and wakes the waiters that the table in `mod.rs` lists for it.
    #[cold]
    pub(super) fn release(&self, mode: u32) -> Result<(), NotLocked> {
        self.release_reserving(mode, 0)
    }

    /// Like [`release`](Self::release). Where that frees the lock and wakes a waiter, it sets
    /// `reservation` too, which is 0 or `STARVING`.
    pub(super) fn release_reserving(&self, mode: u32, reservation: u32) -> Result<(), NotLocked> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            if !is_held(state, mode) {
                return Err(NotLocked);
            }
            let mut left = state - mode;
            if mode == UPGRADER {
                // Another thread may wait to upgrade the hold that this thread releases: wake it,
                // and it observes that there is nothing left to upgrade.
                left &= !UPGRADING;
            }
            let due = due(left, mode);
            left &= !due;
            if state & WAITING == 0 {
                // No thread waits: a reservation would be stale.
                left &= !STARVING;
            } else if left & HOLDERS == 0 && due != 0 {
                left |= reservation;
            }
            // Release: pairs with the Acquire of the next holder, in any mode.
            match self.state.compare_exchange(state, left, Release, Relaxed) {
                Ok(_) => {
                    // Invariant 7: from here on only the address is used.
                    if due & READERS_WAITING != 0 {
                        futex::wake_channel(&raw const self.state, u32::MAX, READERS);
                    }
                    if due & WRITERS_WAITING != 0
                        && !futex::wake_for_lock(&raw const self.state, WRITERS)
                        && left & READERS_WAITING != 0
                    {
                        // Invariant 5: the writer is a task, and may not be polled for long.
                        futex::wake_channel(&raw const self.state, u32::MAX, READERS);
                    }
                    let upgrade_now = left & UPGRADING != 0 && left & COUNT == READER;
                    let upgrade_off = state & UPGRADING != left & UPGRADING;
                    if upgrade_now || upgrade_off {
                        futex::wake_channel(&raw const self.state, u32::MAX, UPGRADE);
                    }
                    return Ok(());
                }
                Err(seen) => state = seen,
            }
        }
    }

    /// Turns a mode into a weaker one and wakes the waiters that may now enter. The lock stays
    /// held, so the order of the steps is free.
    pub(super) fn weaken(&self, from: u32, to: u32) -> Result<(), NotLocked> {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        loop {
            if !is_held(state, from) {
                return Err(NotLocked);
            }
            // Only a writer's bits may be stale (invariant 4); under an upgradable reader the
            // writers' bit is not stale and stays set.
            let cleared =
                if from == WRITER { WAITING | STARVING } else { READERS_WAITING | UPGRADING };
            // Release: pairs with the Acquire of the readers that this lets in.
            match self.state.compare_exchange(
                state,
                (state - from + to) & !cleared,
                Release,
                Relaxed,
            ) {
                Ok(_) => break,
                Err(seen) => state = seen,
            }
        }
        if state & READERS_WAITING != 0 {
            futex::wake_channel(&raw const self.state, u32::MAX, READERS);
        }
        if from == WRITER && state & WRITERS_WAITING != 0 {
            futex::wake_for_lock(&raw const self.state, WRITERS);
        }
        if state & UPGRADING != 0 {
            futex::wake_channel(&raw const self.state, u32::MAX, UPGRADE);
        }
        Ok(())
    }

    /// Spins for a moment until a lock that no thread sleeps on is without `held`, and returns the
    /// last value read.
    fn spin(&self, held: u32, looks: &mut Looks) -> u32 {
        loop {
            // Relaxed: a hint.
            let state = self.state.load(Relaxed);
            // Where other threads sleep already, a spinning thread would only overtake them.
            if state & held == 0 || state & WAITING != 0 || !looks.turn() {
                return state;
            }
        }
    }
}

/// The slow path of a thread or task that is to become a reader, or the upgradable reader.
pub(crate) struct Entering<'a> {
    lock: &'a RawRwLock,
    mode: u32,
    waiting: Option<Stopwatch>,
    /// Invariant 6: whether this thread may pass waiting writers and reservations.
    entitled: bool,
    slept: bool,
    is_task: bool,
}

impl<'a> Steps<'a> for Entering<'a> {
    type Output = ();

    fn as_task(&mut self) {
        self.is_task = true;
    }

    #[track_caller]
    fn step(&mut self, limit_passed: bool) -> Step<'a, ()> {
        let (lock, mode) = (self.lock, self.mode);
        let shut = shut_for(mode);
        let waiting = self.waiting.get_or_insert_with(Stopwatch::start);
        if self.slept {
            self.entitled |= limit_passed || waiting.has_run(STARVATION_THRESHOLD);
        }
        let mut looks = if self.is_task { Looks::none() } else { Looks::new() };
        let mut state = lock.spin(shut, &mut looks);
        loop {
            self.entitled |= state & WRITER != 0;
            let open = state & shut == 0;
            if open && (self.entitled || state & (WRITERS_WAITING | STARVING) == 0) {
                let next = entered(state, mode) & if self.entitled { !STARVING } else { !0 };
                // Acquire: as in `read_at_once`.
                match lock.state.compare_exchange(state, next, Acquire, Relaxed) {
                    Ok(_) => return Step::Done(()),
                    Err(seen) => {
                        state = seen;
                        continue;
                    }
                }
            }
            // Only a reservation keeps this thread out: this sleep ends by itself (invariant 5).
            let reserved = open && (state & WRITERS_WAITING == 0 || state & HOLDERS == 0);
            let starving = self.slept && !open && waiting.has_run(STARVATION_THRESHOLD);
            let announced = state | READERS_WAITING | if starving { STARVING } else { 0 };
            if announced != state {
                // Relaxed: an announcement publishes nothing, and the futex compares the word.
                if let Err(seen) = lock.state.compare_exchange(state, announced, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            self.slept = true;
            let limit = if reserved { Deadline::after(STARVATION_THRESHOLD) } else { None };
            let (word, expected, channel) = (&lock.state, announced, READERS);
            return Step::Sleep(Sleep { word, expected, channel, limit });
        }
    }

    #[track_caller]
    fn leave(&mut self) -> Option<()> {
        if self.is_task {
            // The future is dropped, and a lock that it got would be given back. An attempt panics
            // if 2^25 readers hold the lock, which a drop must not.
            self.lock.drop_reservation();
            return None;
        }
        self.lock.leave_shared(self.mode).then_some(())
    }

    fn undo(&mut self, (): ()) {
        unreachable!("`leave` takes nothing for a task");
    }
}

/// The slow path of a thread or task that is to become the writer.
pub(crate) struct Writing<'a> {
    lock: &'a RawRwLock,
    /// As in `raw_mutex.rs`: no clock read between the load and the attempt, and a thread that
    /// loses the race for a free lock spins on.
    waiting: Option<Stopwatch>,
    slept: bool,
    is_task: bool,
}

impl<'a> Steps<'a> for Writing<'a> {
    type Output = ();

    fn as_task(&mut self) {
        self.is_task = true;
    }

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        let lock = self.lock;
        let mut looks = if self.is_task { Looks::none() } else { Looks::new() };
        let mut state = lock.spin(HOLDERS, &mut looks);
        loop {
            if state & HOLDERS == 0 && (self.slept || state & STARVING == 0) {
                // Invariant 2: a thread that slept leaves the bit set for the writers that may
                // still sleep. Its reservation is used up.
                let taken = if self.slept {
                    (state | WRITER | WRITERS_WAITING) & !STARVING
                } else {
                    state | WRITER
                };
                // Acquire: as in `write_at_once`.
                match lock.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return Step::Done(()),
                    Err(_) => {
                        state = lock.spin(HOLDERS, &mut looks);
                        continue;
                    }
                }
            }
            let waiting = self.waiting.get_or_insert_with(Stopwatch::start);
            let free = state & HOLDERS == 0;
            let starving = self.slept && !free && waiting.has_run(STARVATION_THRESHOLD);
            let announced = state | WRITERS_WAITING | if starving { STARVING } else { 0 };
            if announced != state {
                // Relaxed: an announcement publishes nothing, and the futex compares the word.
                if let Err(seen) = lock.state.compare_exchange(state, announced, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            self.slept = true;
            // A reservation keeps this thread out: this sleep ends by itself (invariant 5).
            let limit = if free { Deadline::after(STARVATION_THRESHOLD) } else { None };
            let (word, expected, channel) = (&lock.state, announced, WRITERS);
            return Step::Sleep(Sleep { word, expected, channel, limit });
        }
    }

    fn leave(&mut self) -> Option<()> {
        self.lock.leave_exclusive().then_some(())
    }

    fn undo(&mut self, (): ()) {
        let released = self.lock.unlock_write();
        debug_assert!(released.is_ok(), "taken by `leave`");
    }
}

/// The slow path of the upgradable reader that is to become the writer.
pub(crate) struct Upgrading<'a> {
    lock: &'a RawRwLock,
}

impl<'a> Steps<'a> for Upgrading<'a> {
    type Output = Result<bool, NotLocked>;

    fn step(&mut self, _: bool) -> Step<'a, Self::Output> {
        let lock = self.lock;
        loop {
            let state = match lock.upgrade_at_once() {
                Err(error) => return Step::Done(Err(error)),
                Ok(Ok(())) => return Step::Done(Ok(true)),
                Ok(Err(state)) => state,
            };
            // The bit is set only in a state with an upgradable reader: another thread may have
            // released that right meanwhile.
            let announced = state | UPGRADING;
            if announced != state
                // Relaxed: an announcement publishes nothing, and the futex compares the word.
                && lock.state.compare_exchange(state, announced, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            let (word, expected, channel) = (&lock.state, announced, UPGRADE);
            return Step::Sleep(Sleep { word, expected, channel, limit: None });
        }
    }

    fn leave(&mut self) -> Option<Self::Output> {
        Some(self.lock.stop_upgrading())
    }

    /// The caller has dropped its guard, or keeps it: it knows which hold it had.
    fn undo(&mut self, output: Self::Output) {
        if output == Ok(true) {
            let weaker = self.lock.downgrade_to_upgradable();
            debug_assert!(weaker.is_ok(), "taken by `leave`");
        }
    }
}
