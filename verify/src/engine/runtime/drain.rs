//! An execution that is given up comes to an end all the same.
//!
//! Where an execution is not explored further (an idle round of a spin loop, a preemption too many)
//! its threads stand in the middle of things, and own memory. To unwind them would run destructors
//! of the model in a state that no execution has. To forget them leaks what they own: not much, but
//! a long run gives up millions of executions. So they go on to their end: every read takes the
//! newest write and every write becomes the newest, which is always consistent
//! (`explore::explorer`), one step of each thread in turn, a sleeping thread wakes up without a
//! reason, and nothing is put aside. (The one graph that cannot go on, a futex wait on a value that
//! a waker has changed, can if the wait is over at once.) What they find on the way is not
//! reported: it is no part of what was to be explored.
//!
//! Two things are still forgotten: an execution with a process that vanished, and a thread that has
//! not come to its end in [`MOST`] steps of all.

use super::{Runtime, State};
use crate::engine::explore::wait_queue;

/// Steps of all threads together after which they are assumed not to end.
const MOST: usize = 4_000;

impl Runtime {
    /// Lets the threads of an execution that was given up go on to their end.
    ///
    /// # Safety
    /// Called by the scheduler, on no coroutine.
    pub(super) unsafe fn drain(rt: *mut Runtime) {
        // SAFETY: `rt` is live; references end before a thread is resumed.
        unsafe {
            let this = &mut *rt;
            let vanished = this.threads.iter().any(|t| t.gone && t.state != State::Vacant);
            if vanished || this.replaying || this.aborting || this.guide.is_some() {
                return;
            }
            (this.draining, this.paused, this.given_up, this.ex.inconsistent, this.ex.woke) =
                (true, true, false, false, false);
            for _ in 0..MOST {
                let Some(t) = (*rt).next_to_drain() else { break };
                (*rt).cur = t;
                Runtime::resume(rt, t);
                let this = &mut *rt;
                if this.failure.is_some() || this.fact.is_some() {
                    break;
                }
                // A woken thread goes on with what the graph says: no other thread is run again.
                (this.replaying, this.ex.woke) = (false, false);
            }
            let this = &mut *rt;
            (this.failure, this.fact, this.panic_note) = (None, None, None);
            (this.draining, this.aborting) = (false, false);
        }
    }

    /// Returns whether the execution was given up, and comes to an end quietly.
    pub(in crate::engine) fn is_draining(&self) -> bool {
        self.draining
    }

    /// The next thread in turn that can do a step.
    fn next_to_drain(&mut self) -> Option<u32> {
        let n = self.threads.len() as u32;
        let turns = (1..=n).map(|i| (self.cur + i) % n);
        let owes = |&t: &u32| {
            self.threads[t as usize].state != State::Vacant
                && wait_queue::owes_enqueue(&self.ex.graph, t)
        };
        let t = turns.clone().find(owes).or_else(|| turns.clone().find(|&t| self.may_drain(t)))?;
        let thread = &mut self.threads[t as usize];
        thread.fire =
            thread.state == State::Asleep || (thread.state == State::Await && thread.timed);
        Some(t)
    }

    fn may_drain(&self, t: u32) -> bool {
        let thread = &self.threads[t as usize];
        // Its wait has been added to the graph when nothing else could run.
        let known = self
            .ex
            .graph
            .threads
            .get(t as usize)
            .and_then(|known| known.events.get(thread.pos as usize));
        let waits = known.map(|&id| self.ex.graph.ev(id).waiting);
        match thread.state {
            State::Vacant | State::Finished | State::Quit => false,
            State::Yield | State::Spin | State::Stuck | State::Until | State::Asleep => true,
            State::Await | State::Waiting if waits.is_some() => waits == Some(false),
            State::Await if thread.timed => true,
            _ => self.runnable(t),
        }
    }
}
