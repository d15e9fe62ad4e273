//! A barrier that breaks when a party dies in it.
//!
//! **Source.** Python's `threading.Barrier` with its three ways out (passed, broken, reset), and
//! Drepper's advice to give every cycle's members an outcome of their own, so that later events
//! cannot change it.
//!
//! `sync_core`'s barrier is another algorithm: it counts its parties. A count cannot be corrected
//! for a party that dies, because nothing tells whether that party had counted itself. So here each
//! party has a cell with its identity.
//!
//! **The state** (u32): `generation:30 | decision:2`, the decision being NONE, PASS, BREAK or
//! RESET. All parties sleep on it.
//!
//! | cell | meaning |
//! |---|---|
//! | 0 | free |
//! | identity | arrived, waits |
//! | PASSED, identity | its cycle was complete; the owner has not seen it yet |
//! | FAILED, identity | its cycle was broken or reset; the owner has not seen it yet |
//!
//! **Invariants**
//!
//! 1. A cycle's outcome is decided by one compare-and-swap of the state, from (generation, NONE).
//!    It needs no lock.
//! 2. The outcome's work (write it into each member's cell, advance the generation) is done under
//!    the lock, by its next holder, as often as needed. Cells are claimed under the lock and with
//!    no decision pending: so the members of a decided cycle are the cells that wait.
//! 3. A party that sees its own cycle decided may leave its cell by compare-and-swap at once. So
//!    neither a stopped nor a dead holder of the lock holds up a party, except those that arrive,
//!    and they have their own deadline.
//! 4. No party passes together with a dead party: the party that completes a cycle checks whether
//!    every member lives, and a waiting party checks again after every recheck interval.
//! 5. A party leaves its cell on every way out, also when the action of the completing party panics
//!    ([`BarrierState::fail`]): a living participant uses up no cell.
//!
//! **Limit.** A member that is stopped during exactly 2^30 cycles may take another cycle's decision
//! for its own.
//!
//! **Orderings.** Deciding is AcqRel: it publishes the writes of the decider, and those of all
//! members before they arrived (they claimed their cells under the lock, which the decider held
//! after them), to the Acquire of the parties that leave.

use core::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::Deadline;

use super::mutex::{self, Refused};
use super::{IDENTITY, LOCK_TIMEOUT, Platform, RecheckInterval, Slept};

const PASSED: u32 = 1 << 31;
const FAILED: u32 = 1 << 30;

const DECISION: u32 = 3;
const NONE: u32 = 0;
const PASS: u32 = 1;
const BREAK: u32 = 2;
const RESET: u32 = 3;
const ONE_GENERATION: u32 = 4;

/// The words of a barrier.
#[derive(Clone, Copy, Debug)]
pub struct BarrierState<'a> {
    /// The lock of arrivals, and of the work that a decision requires.
    pub lock: &'a AtomicU32,
    /// The state; see the module documentation.
    pub state: &'a AtomicU32,
    /// Not 0: broken until a reset.
    pub broken: &'a AtomicU32,
    /// Twice as many cells as parties: some may not have been left since the last cycle.
    pub cells: &'a [AtomicU32],
}

/// Why a party did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Broken, or reset while it waited.
    Broken,
    /// It timed out, and broke the barrier.
    TimedOut,
    /// This process could not become a participant.
    NotAttached,
    /// The lock could not be acquired.
    Busy,
}

/// The result of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Other parties have to arrive.
    Waits(ArrivalToken),
    /// All parties have arrived: call [`BarrierState::complete`].
    Completes(ArrivalToken),
}

/// A member's place in a cycle, as `std::barrier::arrival_token` of C++.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivalToken {
    cell: usize,
    generation: u32,
    /// The participant whose place it is: a fork of it has none.
    identity: u32,
    /// The number of parties that had arrived before.
    pub index: usize,
}

enum Step {
    Arrived(Arrival),
    Later { state: u32 },
    Broken,
}

impl BarrierState<'_> {
    fn parties(&self) -> usize {
        self.cells.len() / 2
    }

    /// Whether it is broken.
    pub fn is_broken<P: Platform>(&self, peers: &P) -> bool {
        // Acquire: pairs with the AcqRel of deciding, and with the Release of the flag.
        match peers.at(self.state).load(Ordering::Acquire) & DECISION {
            BREAK => true,
            RESET => false,
            _ => peers.at(self.broken).load(Ordering::Acquire) != 0,
        }
    }

    /// Returns the number of waiting parties. A snapshot.
    pub fn waiting<P: Platform>(&self, peers: &P) -> usize {
        // Acquire: pairs with the Release in `leave`. A thread that sees a place left sees the
        // cycle decided too.
        self.cells.iter().filter(|cell| waits(peers.at(*cell).load(Ordering::Acquire))).count()
    }

    /// Takes a place in the cycle, after waiting until the last cycle has been left.
    ///
    /// # Errors
    ///
    /// [`Failed`], but [`Failed::Busy`].
    pub fn arrive<P: Platform>(
        &self,
        peers: &P,
        deadline: Option<Deadline>,
    ) -> Result<Arrival, Failed> {
        let mut interval = RecheckInterval::new();
        loop {
            let step = match self.locked(peers, deadline, || self.try_arrive(peers)) {
                Ok(step) => step,
                // A stopped process has the lock.
                Err(Failed::Busy) => return Err(self.run_out_of_time(peers)),
                Err(other) => return Err(other),
            };
            match step {
                Step::Arrived(arrival) => return Ok(arrival),
                Step::Broken => return Err(Failed::Broken),
                // Decided since this party took the lock. The decider relies on the next holder to
                // do the work (invariant 2), and this party is the next holder.
                Step::Later { state } if state & DECISION != NONE => {}
                Step::Later { state } => {
                    if peers.sleep(self.state, state, interval.next_bound(), deadline)
                        == Slept::Deadline
                    {
                        return Err(self.run_out_of_time(peers));
                    }
                }
            }
        }
    }

    fn run_out_of_time<P: Platform>(&self, peers: &P) -> Failed {
        // Relaxed: a look; deciding confirms it.
        let state = peers.at(self.state).load(Ordering::Relaxed);
        self.decide(peers, state & !DECISION, BREAK);
        Failed::TimedOut
    }

    /// Under the lock.
    fn try_arrive<P: Platform>(&self, peers: &P) -> Step {
        if self.is_broken(peers) {
            return Step::Broken;
        }
        let index = self.waiting(peers);
        // After the count: if a place had been left by then, its cycle is seen to be decided.
        // Acquire: pairs with the AcqRel of deciding.
        let state = peers.at(self.state).load(Ordering::Acquire);
        // A cycle is being completed, or was decided since this party took the lock: wait.
        if index >= self.parties() || state & DECISION != NONE {
            return Step::Later { state };
        }
        // Relaxed, for the cells: they change under the lock, which this thread holds, or to 0.
        let free = |cell: &AtomicU32| {
            let seen = peers.at(cell).load(Ordering::Relaxed);
            seen == 0 || (!waits(seen) && peers.is_dead(seen & IDENTITY))
        };
        let at = self.cells.iter().position(|cell| peers.at(cell).load(Ordering::Relaxed) == 0);
        let Some(cell) = at.or_else(|| self.cells.iter().position(free)) else {
            return Step::Later { state };
        };
        // Relaxed: the lock's Release publishes it to the threads that count.
        peers.at(&self.cells[cell]).store(peers.me(), Ordering::Relaxed);
        let token = ArrivalToken { cell, generation: state, identity: peers.me(), index };
        Step::Arrived(if index + 1 == self.parties() {
            Arrival::Completes(token)
        } else {
            Arrival::Waits(token)
        })
    }

    /// Lets all parties pass, unless a member died or the cycle was broken meanwhile.
    ///
    /// # Errors
    ///
    /// [`Failed::Broken`].
    pub fn complete<P: Platform>(&self, peers: &P, token: ArrivalToken) -> Result<(), Failed> {
        if peers.me() != token.identity {
            return Err(Failed::Broken);
        }
        // Invariant 4.
        self.decide(
            peers,
            token.generation,
            if self.a_member_is_dead(peers) { BREAK } else { PASS },
        );
        self.tidy(peers);
        if self.leave(peers, token) == Some(true) { Ok(()) } else { Err(Failed::Broken) }
    }

    /// Breaks the cycle and leaves the place, instead of [`complete`](Self::complete). Needs no
    /// lock, so it works whichever participant is stopped, and wherever.
    pub fn fail<P: Platform>(&self, peers: &P, token: ArrivalToken) {
        if peers.me() != token.identity {
            return;
        }
        self.decide(peers, token.generation, BREAK);
        self.tidy(peers);
        // The cycle is decided, by this call or before it: leave the place.
        let _ = self.leave(peers, token);
    }

    /// Waits for the others.
    ///
    /// # Errors
    ///
    /// [`Failed::Broken`], [`Failed::TimedOut`].
    pub fn wait<P: Platform>(
        &self,
        peers: &P,
        token: ArrivalToken,
        deadline: Option<Deadline>,
    ) -> Result<(), Failed> {
        let mut interval = RecheckInterval::new();
        loop {
            if let Some(passed) = self.leave(peers, token) {
                return if passed { Ok(()) } else { Err(Failed::Broken) };
            }
            match peers.sleep(self.state, token.generation, interval.next_bound(), deadline) {
                Slept::Woken => {}
                Slept::Bound if !self.a_member_is_dead(peers) => {}
                Slept::Bound => {
                    self.decide(peers, token.generation, BREAK);
                    self.tidy(peers);
                }
                Slept::Deadline => {
                    let ours = self.decide(peers, token.generation, BREAK);
                    self.tidy(peers);
                    return match self.leave(peers, token) {
                        Some(true) => Ok(()),
                        _ if ours => Err(Failed::TimedOut),
                        _ => Err(Failed::Broken),
                    };
                }
            }
        }
    }

    /// Breaks it for all parties that wait or come.
    ///
    /// # Errors
    ///
    /// [`Failed::Busy`], if a stopped process holds the lock and a cycle has just been decided
    /// otherwise; [`Failed::NotAttached`].
    pub fn abort<P: Platform>(&self, peers: &P) -> Result<(), Failed> {
        self.impose(peers, BREAK)
    }

    /// Repairs the barrier; waiting parties return with an error.
    ///
    /// # Errors
    ///
    /// As [`abort`](Self::abort), and if the stopped process left it broken.
    pub fn reset<P: Platform>(&self, peers: &P) -> Result<(), Failed> {
        self.impose(peers, RESET)
    }

    fn impose<P: Platform>(&self, peers: &P, decision: u32) -> Result<(), Failed> {
        loop {
            // Under the lock no decision is pending, unless one comes in between; without it, one
            // try.
            let locked = self.locked(peers, Deadline::after(LOCK_TIMEOUT), || {});
            // Relaxed: a look; deciding confirms it.
            let state = peers.at(self.state).load(Ordering::Relaxed);
            if self.decide(peers, state & !DECISION, decision)
                || (decision == BREAK && state & DECISION == BREAK)
            {
                self.tidy(peers);
                return Ok(());
            }
            locked?;
        }
    }

    /// Decides a cycle; `false` if it had been decided otherwise, or before.
    fn decide<P: Platform>(&self, peers: &P, generation: u32, decision: u32) -> bool {
        // AcqRel: see "Orderings" above. The commit point (invariant 1).
        let decided = peers
            .at(self.state)
            .compare_exchange(
                generation,
                generation | decision,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok();
        if decided {
            peers.wake(self.state, u32::MAX);
        }
        decided
    }

    /// Leaves the place if its cycle is decided. Returns whether the cycle was complete.
    fn leave<P: Platform>(&self, peers: &P, token: ArrivalToken) -> Option<bool> {
        let (cell, me) = (&self.cells[token.cell], peers.me());
        loop {
            // Acquire: pairs with the Release in `finish`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            let passed = if seen == me {
                // Acquire: pairs with the AcqRel of deciding.
                let state = peers.at(self.state).load(Ordering::Acquire);
                if state == token.generation {
                    return None;
                }
                if state & !DECISION != token.generation {
                    // The generation advanced since the look at the cell: now the cell has the
                    // outcome. (Or a peer scribbled: then the wait has failed.)
                    if peers.at(cell).load(Ordering::Acquire) != me {
                        continue;
                    }
                    false
                } else {
                    state & DECISION == PASS
                }
            } else {
                seen == me | PASSED
            };
            // Release: the look comes before the cell's next use.
            if peers
                .at(cell)
                .compare_exchange(seen, 0, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return Some(passed);
            }
        }
    }

    fn a_member_is_dead<P: Platform>(&self, peers: &P) -> bool {
        let mut alive = peers.me();
        self.cells.iter().any(|cell| {
            // Relaxed: a look; the kernel reports whether the member is dead.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            if !waits(seen) || seen == alive {
                return false;
            }
            alive = seen;
            peers.is_dead(seen)
        })
    }

    /// Does a decision's work, if the lock can be acquired at once. Nothing depends on it:
    /// otherwise the lock's next holder does the work.
    fn tidy<P: Platform>(&self, peers: &P) {
        let _ = self.locked(peers, Deadline::after(Duration::ZERO), || {});
    }

    /// Does the work of pending decisions, as often as needed. Under the lock.
    fn finish<P: Platform>(&self, peers: &P) {
        // Acquire: pairs with the AcqRel of deciding.
        let state = peers.at(self.state).load(Ordering::Acquire);
        let outcome = match state & DECISION {
            NONE => return,
            PASS => PASSED,
            BREAK => {
                // Release: as the decision; the flag is set before the decision is cleared.
                peers.at(self.broken).store(1, Ordering::Release);
                FAILED
            }
            _ => {
                peers.at(self.broken).store(0, Ordering::Release);
                FAILED
            }
        };
        for cell in self.cells {
            // Relaxed: a look.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            if waits(seen) {
                // Release: pairs with the Acquire in `leave`. Compared: its owner may leave at the
                // same time.
                let _ = peers.at(cell).compare_exchange(
                    seen,
                    seen | outcome,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
            }
        }
        // Release: the outcomes come before the next generation. No other thread changes a state
        // with a decision in it.
        peers
            .at(self.state)
            .store((state & !DECISION).wrapping_add(ONE_GENERATION), Ordering::Release);
        peers.wake(self.state, u32::MAX);
    }

    /// Runs `act` under the lock, after the work of earlier decisions.
    fn locked<P: Platform, R>(
        &self,
        peers: &P,
        deadline: Option<Deadline>,
        act: impl FnOnce() -> R,
    ) -> Result<R, Failed> {
        match mutex::lock(self.lock, peers, deadline) {
            Ok(mutex::Locked::Clean) => {}
            // There is nothing to repair beyond the work that is done anyway.
            Ok(mutex::Locked::OwnerDied) => mutex::mark_consistent(self.lock, peers),
            Err(Refused::TimedOut) => return Err(Failed::Busy),
            Err(Refused::NotRecoverable) => return Err(Failed::Broken),
            Err(Refused::NotAttached) => return Err(Failed::NotAttached),
        }
        self.finish(peers);
        let done = act();
        mutex::unlock(self.lock, peers);
        Ok(done)
    }
}

fn waits(cell: u32) -> bool {
    cell != 0 && cell & (PASSED | FAILED) == 0
}
