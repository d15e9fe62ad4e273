//! Processes that vanish.
//!
//! A process is a thread and what it spawns. After each of its writes a thread of a process makes a
//! choice ([`CRASH`]): to go on, to be the one at whose step the process vanishes (1), or, if the
//! process has other threads, to be stopped here because another one is (2). So each thread of a
//! process that vanishes has come just as far as it likes, which is how a kernel stops them. The
//! choices of different threads have to fit:
//!
//! 1. At most one thread of a process chooses 1, and as many processes as the budget says.
//! 2. Where a thread has chosen 2 another one of its process has chosen 1 in the end; else the
//!    execution is none, and is counted as blocked.
//! 3. A thread does nothing that comes after the end of its process in (po ∪ rf)⁺: after what the
//!    kernel did then, after another thread's wait for it.
//!
//! A thread that waits or spins when its process vanishes gets no further: it vanishes there when
//! nothing else can run.

use super::{Runtime, State};
use crate::engine::explore::explorer::process_of;
use crate::engine::memory_model::event::CRASH;
use crate::engine::memory_model::event::{Id, Kind};
use crate::engine::runtime::object;
use std::panic::Location;

/// An action of the kernel when a process vanishes.
pub(super) struct Death {
    process: u32,
    tid: u32,
    epoch: u32,
    does: Box<dyn FnOnce()>,
}

/// After a write of a process: it goes on, or it is gone.
///
/// # Safety
/// Called on the coroutine of the current thread.
#[cold]
pub(super) unsafe fn vanish_or_not(rt: *mut Runtime, site: &'static Location<'static>) {
    // SAFETY: as the caller says; references end before each switch.
    unsafe {
        let t = (*rt).cur as usize;
        let thread = &(&(*rt).threads)[t];
        let choice = object::choose(
            if thread.family { 3 } else { 2 },
            CRASH + (u64::from(thread.process) << 8),
            site,
        );
        if choice == 0 {
            return;
        }
        (&mut (*rt).threads)[t].gone = true;
        if choice == 1 {
            let deaths = (*rt).deaths_here();
            for death in deaths.into_iter().rev() {
                death();
            }
        }
        (&mut (*rt).threads)[t].state = State::Finished;
        loop {
            Runtime::switch(rt);
        }
    }
}

impl Runtime {
    /// Returns whether the current thread is one that may vanish here.
    pub(super) fn may_vanish(&self) -> bool {
        let thread = &self.threads[self.cur as usize];
        thread.mortal && !thread.gone && !self.aborting && !self.draining
    }

    /// The current thread is the first one of a process.
    pub(crate) fn begin_process(&mut self) {
        let cur = self.cur;
        let thread = &mut self.threads[cur as usize];
        (thread.mortal, thread.process, thread.family) = (true, cur, false);
    }

    /// The current thread has done its part of a process: it does not vanish any more.
    pub(crate) fn end_process(&mut self) {
        self.threads[self.cur as usize].mortal = false;
    }

    /// Adds a child that the current thread spawns to its process.
    pub(super) fn inherit(&mut self, child: u32) {
        let parent = &mut self.threads[self.cur as usize];
        if parent.mortal {
            parent.family = true;
            let process = parent.process;
            let child = &mut self.threads[child as usize];
            (child.mortal, child.process, child.family) = (true, process, true);
        }
    }

    /// The threads of its process that a thread has spawned, in this order.
    pub(crate) fn children(&self, tid: u32) -> Vec<u32> {
        let g = &self.ex.graph;
        let process = self.threads[tid as usize].process;
        let spawned = |&id: &Id| g.threads.iter().position(|t| t.spawn == id).map(|t| t as u32);
        let children = g.threads[tid as usize]
            .events
            .iter()
            .filter(|&&id| g.ev(id).label.kind == Kind::Spawn)
            .filter_map(spawned);
        children.filter(|&t| self.threads[t as usize].process == process).collect()
    }

    pub(crate) fn on_death(&mut self, does: Box<dyn FnOnce()>) {
        let process = self.threads[self.cur as usize].process;
        self.deaths.push(Death { process, tid: self.cur, epoch: self.epoch(), does });
    }

    /// Returns the actions that the kernel has to do now: those requested before this point.
    fn deaths_here(&mut self) -> Vec<Box<dyn FnOnce()>> {
        let process = self.threads[self.cur as usize].process;
        let mut here = Vec::new();
        let all = std::mem::take(&mut self.deaths);
        for death in all {
            if death.process == process && self.ordered(death.tid, death.epoch) {
                here.push(death.does);
            } else {
                self.deaths.push(death);
            }
        }
        here
    }

    /// Returns whether a thread can go on that waits for the end of another one. If that has
    /// vanished, every thread of the same process has vanished too.
    pub(super) fn may_join(&self, tid: u32, child: u32) -> bool {
        let (thread, child) = (&self.threads[tid as usize], &self.threads[child as usize]);
        child.state == State::Finished && !(child.gone && child.process == thread.process)
    }

    /// Returns whether a thread has vanished.
    pub(in crate::engine) fn gone(&self, tid: u32) -> bool {
        self.threads[tid as usize].gone
    }

    /// The step at which a process vanished, if it did.
    fn end_of(&self, process: u32) -> Option<Id> {
        if process == 0 {
            return None;
        }
        let ends = |e: &crate::engine::memory_model::event::Event| {
            e.label.kind == Kind::Choose && e.choice == 1 && process_of(&e.label) == Some(process)
        };
        self.ex.graph.events.iter().position(ends).map(|id| id as Id)
    }

    /// Returns whether the process of a thread vanishes in this execution.
    pub(super) fn vanishes(&self, tid: u32) -> bool {
        self.end_of(self.threads[tid as usize].process).is_some()
    }

    /// Returns whether the step `id` of the current thread comes after the end of its process (3.).
    pub(super) fn beyond_the_end(&self, id: Id) -> bool {
        let thread = &self.threads[self.cur as usize];
        if !thread.family || thread.gone {
            return false;
        }
        let Some(end) = self.end_of(thread.process) else {
            return false;
        };
        let g = &self.ex.graph;
        let waited_for = |j: Id| {
            let label = &g.ev(j).label;
            label.kind == Kind::Join
                && g.ev(j).tid != self.cur
                && self.threads[label.a as usize].process == thread.process
        };
        (g.ev(end).tid != self.cur && g.porf_eq(end, id))
            || (0..g.events.len() as Id).any(|j| waited_for(j) && g.porf_eq(j, id))
    }

    /// Lets the threads of processes that have vanished, and that cannot go on, vanish where they
    /// stand. Says whether there were any.
    pub(super) fn reap(&mut self) -> bool {
        let mut any = false;
        for i in 0..self.order.len() {
            let t = self.order[i];
            if self.threads[t as usize].state != State::Finished && self.vanishes(t) {
                let thread = &mut self.threads[t as usize];
                (thread.state, thread.gone, thread.timed) = (State::Finished, true, false);
                any = true;
            }
        }
        any
    }

    /// Returns whether a thread was stopped although its process has not vanished (2.).
    pub(super) fn stopped_for_nothing(&self) -> bool {
        self.order.iter().any(|&t| self.threads[t as usize].gone && !self.vanishes(t))
    }
}
