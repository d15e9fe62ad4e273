//! The slow paths: who waits, who wakes whom, and what one leaves behind that gives up. The state
//! table and the invariants stand in `raw_rwlock/mod.rs`.

use core::time::Duration;

use super::state::{
    COUNT, HOLDERS, READER, READERS_WAITING, STARVING, UPGRADER, UPGRADING, WAITING, WRITER,
    WRITERS_WAITING, due, entered, is_held, shut_for,
};
use super::{READERS, RawRwLock, UPGRADE, WRITERS};
use crate::lock::raw_mutex::NotLocked;
use crate::primitive::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::futex::{self, Deadline};
use crate::primitive::{hint::Looks, time::Stopwatch};

/// How long anybody who waits lets newcomers overtake; see `raw_mutex.rs`.
const STARVATION_THRESHOLD: Duration = Duration::from_millis(1);

impl RawRwLock {
    /// One attempt to become a reader, or the upgradable one. It ignores reservations, because
    /// nobody who is refused here comes back to find out that one was stale.
    #[cold]
    #[track_caller]
    pub(super) fn try_shared(&self, mode: u32) -> bool {
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

    /// One attempt to become the writer; ignores reservations, as `try_shared` does.
    #[cold]
    pub(super) fn try_exclusive(&self) -> bool {
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

    /// As [`shared_contended`](Self::shared_contended) without a deadline: the fast path then has
    /// no argument to lay out on its stack.
    #[cold]
    #[track_caller]
    pub(super) fn shared_contended_for_ever(&self, mode: u32) {
        self.shared_contended(mode, None);
    }

    /// Becomes a reader, or the upgradable one, sleeping as long as it must; `false` if the
    /// deadline passed.
    #[cold]
    #[track_caller]
    pub(super) fn shared_contended(&self, mode: u32, deadline: Option<Deadline>) -> bool {
        let shut = shut_for(mode);
        let mut state = self.spin(shut, &mut Looks::new());
        let waiting = Stopwatch::start();
        // Invariant 6: whether it may pass waiting writers and reservations.
        let mut entitled = false;
        let mut slept = false;
        loop {
            entitled |= state & WRITER != 0;
            let open = state & shut == 0;
            if open && (entitled || state & (WRITERS_WAITING | STARVING) == 0) {
                let next = entered(state, mode) & if entitled { !STARVING } else { !0 };
                // Acquire: as in `read_at_once`.
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
            let starving = slept && !open && waiting.has_run(STARVATION_THRESHOLD);
            let announced = state | READERS_WAITING | if starving { STARVING } else { 0 };
            if announced != state {
                if let Err(seen) = self.state.compare_exchange(state, announced, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            if reserved {
                let turn = Deadline::after(STARVATION_THRESHOLD).into_iter().chain(deadline).min();
                entitled |= !futex::wait_channel(&self.state, announced, turn, READERS);
            } else if !futex::wait_channel(&self.state, announced, deadline, READERS) {
                return self.leave_shared(mode);
            }
            slept = true;
            entitled |= waiting.has_run(STARVATION_THRESHOLD);
            state = self.spin(shut, &mut Looks::new());
        }
    }

    /// The end of a reader's wait whose time is up. It owes nobody a wake, for readers are woken
    /// all at once; but a reservation may have been its own.
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

    /// As [`write_contended`](Self::write_contended) without a deadline.
    #[cold]
    pub(super) fn write_contended_for_ever(&self) {
        self.write_contended(None);
    }

    /// Becomes the writer, sleeping as long as it must; `false` if the deadline passed.
    #[cold]
    pub(super) fn write_contended(&self, deadline: Option<Deadline>) -> bool {
        let mut looks = Looks::new();
        let mut state = self.spin(HOLDERS, &mut looks);
        // As in the mutex: no clock read between the look and the attempt, and a thread that loses
        // the race for a free lock spins on.
        let mut waiting = None;
        let mut slept = false;
        loop {
            if state & HOLDERS == 0 && (slept || state & STARVING == 0) {
                // Invariant 2: one that slept leaves the bit behind for those who may sleep on. Its
                // reservation is used up.
                let taken = if slept {
                    (state | WRITER | WRITERS_WAITING) & !STARVING
                } else {
                    state | WRITER
                };
                // Acquire: as in `write_at_once`.
                match self.state.compare_exchange(state, taken, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(_) => {
                        state = self.spin(HOLDERS, &mut looks);
                        continue;
                    }
                }
            }
            let waiting = waiting.get_or_insert_with(Stopwatch::start);
            let free = state & HOLDERS == 0;
            let starving = slept && !free && waiting.has_run(STARVATION_THRESHOLD);
            let announced = state | WRITERS_WAITING | if starving { STARVING } else { 0 };
            if announced != state {
                if let Err(seen) = self.state.compare_exchange(state, announced, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            if free {
                // Kept out by a reservation: this sleep ends by itself (invariant 5).
                let turn = Deadline::after(STARVATION_THRESHOLD).into_iter().chain(deadline).min();
                futex::wait_channel(&self.state, announced, turn, WRITERS);
            } else if !futex::wait_channel(&self.state, announced, deadline, WRITERS) {
                return self.leave_exclusive();
            }
            slept = true;
            looks = Looks::new();
            state = self.spin(HOLDERS, &mut looks);
        }
    }

    /// The end of a writer's wait whose time is up: takes the lock if it is free after all, or sees
    /// to it that nobody stands back behind a writer who is not there any more (invariant 4).
    fn leave_exclusive(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        loop {
            if state & HOLDERS == 0 {
                // Without the bit, though it slept: it has consumed no wake since it announced
                // itself (rule 3 of the futex module), so the others either stand behind a bit that
                // is still set, or behind one who was woken.
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
                if let Err(seen) = self.state.compare_exchange(state, cleared, Relaxed, Relaxed) {
                    state = seen;
                    continue;
                }
            }
            let gone = state & !cleared;
            if gone & WRITERS_WAITING != 0 {
                // One is enough: it announces itself again, or has the lock and sets the bit with
                // it, or gives up in turn (invariant 2).
                futex::wake_channel(&raw const self.state, 1, WRITERS);
            }
            if gone & READERS_WAITING != 0 {
                futex::wake_channel(&raw const self.state, u32::MAX, READERS);
            }
            return false;
        }
    }

    pub(super) fn upgrade_until(&self, deadline: Option<Deadline>) -> Result<bool, NotLocked> {
        loop {
            let Err(state) = self.upgrade_at_once()? else { return Ok(true) };
            // In a state with an upgradable reader only: another thread may have given that right
            // back meanwhile.
            let announced = state | UPGRADING;
            if announced != state
                && self.state.compare_exchange(state, announced, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            if !futex::wait_channel(&self.state, announced, deadline, UPGRADE) {
                return self.stop_upgrading();
            }
        }
    }

    /// The end of an upgrade whose time is up: takes what is free after all, or lets the readers in
    /// that it kept out.
    fn stop_upgrading(&self) -> Result<bool, NotLocked> {
        loop {
            let Err(state) = self.upgrade_at_once()? else { return Ok(true) };
            if self
                .state
                .compare_exchange(state, state & !(UPGRADING | READERS_WAITING), Relaxed, Relaxed)
                .is_ok()
            {
                if state & READERS_WAITING != 0 {
                    futex::wake_channel(&raw const self.state, u32::MAX, READERS);
                }
                // Another thread may wait to use the same right: it announces itself again.
                futex::wake_channel(&raw const self.state, u32::MAX, UPGRADE);
                return Ok(false);
            }
        }
    }

    /// Gives a mode back and wakes whom that concerns; the table at the top says whom.
    #[cold]
    pub(super) fn release(&self, mode: u32) -> Result<(), NotLocked> {
        let mut state = self.state.load(Relaxed);
        loop {
            if !is_held(state, mode) {
                return Err(NotLocked);
            }
            let mut left = state - mode;
            if mode == UPGRADER {
                // Another thread may wait to upgrade what this one gives back: it is told that
                // there is nothing left to upgrade.
                left &= !UPGRADING;
            }
            let due = due(left, mode);
            left &= !due;
            if state & WAITING == 0 {
                // Nobody waits: a reservation would be for nobody.
                left &= !STARVING;
            }
            // Release: pairs with the Acquire of whoever takes the lock next.
            match self.state.compare_exchange(state, left, Release, Relaxed) {
                Ok(_) => {
                    // Invariant 7: from here on only the address.
                    if due & READERS_WAITING != 0 {
                        futex::wake_channel(&raw const self.state, u32::MAX, READERS);
                    }
                    if due & WRITERS_WAITING != 0 {
                        futex::wake_channel(&raw const self.state, 1, WRITERS);
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

    /// Turns a mode into a weaker one and wakes whom that concerns. The lock stays held, so the
    /// order of the steps is free.
    pub(super) fn weaken(&self, from: u32, to: u32) -> Result<(), NotLocked> {
        let mut state = self.state.load(Relaxed);
        loop {
            if !is_held(state, from) {
                return Err(NotLocked);
            }
            // Only a writer's bits may be stale (invariant 4); behind an upgradable reader the
            // writers' bit is true and stays.
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
            futex::wake_channel(&raw const self.state, 1, WRITERS);
        }
        if state & UPGRADING != 0 {
            futex::wake_channel(&raw const self.state, u32::MAX, UPGRADE);
        }
        Ok(())
    }

    /// Waits a moment for a lock that nobody sleeps on to be without `held`, and returns what it
    /// saw last.
    fn spin(&self, held: u32, looks: &mut Looks) -> u32 {
        loop {
            let state = self.state.load(Relaxed);
            // Where others sleep already, a spinner would only overtake them.
            if state & held == 0 || state & WAITING != 0 || !looks.turn() {
                return state;
            }
        }
    }
}
