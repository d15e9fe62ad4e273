//! Threads that run the same closure: which of the executions that differ only in their names are
//! explored.
//!
//! Source: Kokologiannakis, Marmanis, Vafeiadis, "SPORE: Combining Symmetry and Partial Order
//! Reduction", PLDI 2024; of its two rules the one that changes revisits.
//!
//! Threads `a` and `b` are *twins* when the program stays the same if they change places. Then of
//! two executions that differ only in that, one is enough. While `a` and `b` have done the same
//! (read from the same writes, and written nothing), each event of `b` counts as coming after the
//! event of `a` at the same place ([`Graph::twins`], in the clock `PORF`): so no event of `a` is
//! revisited from a write that depends on what `b` did.
//!
//! 1. *Nothing is lost.* Take an execution and an order of its events along po and rf. Wherever
//!    twins have done the same so far, their next events that are the same again can be moved
//!    together, to the place of the first of them: each needs no more than that one. Name the
//!    twins in the order in which they first differ. Then the edges above go along the order: the
//!    renamed execution has no cycle of po, rf and these edges.
//! 2. *Nothing is explored twice.* The edges are a part of the graph's order of dependence, as rf
//!    is: what exists of them depends on the events before them only.
//! 3. `b` never gets ahead of `a` while they have done the same: it does not get a turn, and when
//!    no other thread can run they are no twins ([`Fact::Unlike`], and the exploration begins
//!    again). The same holds when one of them sleeps in the graph (`Event::waiting`).
//! 4. *What makes twins.* One thread spawns them one after the other at one place, with nothing
//!    done between, a yield included; their closures have one type and the same bytes (they capture
//!    the same objects), and return `()`. A thread that joins one of them joins all before it does
//!    anything else. No thread looks at which is which: `thread::current`, a handle of one. What
//!    breaks this is noticed where it happens, and then the threads of that place are no twins.
//! 5. There are none beside processes that may vanish, with a bound on preemptions, and in a
//!    replay.

use super::Runtime;
use crate::engine::memory_model::event::{Kind, Label};
use crate::engine::memory_model::fact::Fact;
use crate::engine::memory_model::graph::NO_TWIN;
use std::any::TypeId;
use std::mem::MaybeUninit;
use std::panic::Location;

/// The closure that a thread runs.
#[derive(Debug)]
pub(crate) struct Shape {
    of: TypeId,
    bytes: Box<[MaybeUninit<u8>]>,
}

impl Shape {
    /// The shape of a closure, if its thread returns nothing.
    pub(crate) fn of<F: FnOnce() -> T + 'static, T: 'static>(closure: &F) -> Option<Shape> {
        if TypeId::of::<T>() != TypeId::of::<()>() {
            return None;
        }
        let start = std::ptr::from_ref(closure).cast::<MaybeUninit<u8>>();
        // SAFETY: the closure lives, and its bytes may be uninitialised.
        let bytes = unsafe { std::slice::from_raw_parts(start, size_of::<F>()) };
        Some(Shape { of: TypeId::of::<F>(), bytes: bytes.into() })
    }

    fn is_same(&self, other: &Shape) -> bool {
        type Compare = unsafe extern "C" fn(
            *const libc::c_void,
            *const libc::c_void,
            libc::size_t,
        ) -> libc::c_int;
        if self.of != other.of || self.bytes.len() != other.bytes.len() {
            return false;
        }
        let compare: Compare = std::hint::black_box(libc::memcmp);
        let [a, b] = [&self.bytes, &other.bytes].map(|bytes| bytes.as_ptr().cast());
        // SAFETY: both have this length. A function behind a pointer that the compiler does not
        // know compares what memory holds. That is arbitrary where a closure has padding: then
        // the threads are taken for unlike, or for alike, which their values are.
        unsafe { compare(a, b, self.bytes.len()) == 0 }
    }
}

/// The record of a thread that tells whether it and others are twins.
#[derive(Debug, Default)]
pub(super) struct Twin {
    /// The last thread that it has spawned: the index of the event, the thread, its closure.
    spawned: Option<(u32, u32, Shape)>,
    /// The stretch between two events in which it last touched an object without an event.
    touched: u32,
    /// A thread has looked at which one this is.
    seen: bool,
    /// It has been joined in this run.
    joined: bool,
    /// It has joined one of this thread's twins or the thread itself, and not all of them.
    joining: Option<u32>,
}

impl Runtime {
    /// Returns whether threads spawned at `site` may be twins.
    fn may_be_twins(&self, site: &'static Location<'static>) -> bool {
        self.symmetry
            && self.guide.is_none()
            && self.ex.budget.preemptions.is_none()
            && !self.threads.iter().any(|t| t.process != 0)
            && !self.facts.contains(&Fact::Unlike(site))
    }

    /// Thread `tid` has been spawned by the current thread's last event, and runs `shape`.
    pub(super) fn find_twin(
        &mut self,
        tid: u32,
        shape: Option<Shape>,
        site: &'static Location<'static>,
        new: bool,
    ) {
        let (idx, epoch) = (self.threads[self.cur as usize].pos - 1, self.epoch());
        let this = &mut self.threads[self.cur as usize].twin;
        let before = this.spawned.take();
        // An access before the event was made in the stretch that the event ended.
        let quiet = this.touched + 1 != epoch;
        let mut twin = NO_TWIN;
        if let (Some((last, other, theirs)), Some(mine)) = (&before, &shape) {
            let alike = last + 1 == idx
                && quiet
                && theirs.is_same(mine)
                && std::ptr::eq(self.threads[*other as usize].site, site);
            if alike && !self.threads[*other as usize].twin.seen && self.may_be_twins(site) {
                twin = *other;
            }
        }
        self.threads[self.cur as usize].twin.spawned = shape.map(|shape| (idx, tid, shape));
        let known = &mut self.ex.graph.threads[tid as usize].twin;
        if new {
            *known = twin;
        } else if *known != twin {
            self.fact = Some(Fact::Unlike(site));
            self.aborting = true;
        }
    }

    /// The threads that run the same closure as `tid`, itself among them, if there are others.
    fn group(&self, tid: u32) -> Vec<u32> {
        let g = &self.ex.graph;
        let mut group = g.twins(tid);
        group.push(tid);
        let mut last = tid;
        while let Some(next) = g.threads.iter().position(|t| t.twin == last) {
            last = next as u32;
            group.push(last);
        }
        if group.len() > 1 { group } else { Vec::new() }
    }

    fn unlike(&self, tid: u32) -> Fact {
        Fact::Unlike(self.threads[tid as usize].site)
    }

    /// Returns whether a thread would get ahead of a twin that has done the same so far (3).
    pub(super) fn is_ahead_of_twin(&self, tid: u32) -> bool {
        let g = &self.ex.graph;
        let Some(thread) = g.threads.get(tid as usize) else { return false };
        if thread.twin == NO_TWIN {
            return false;
        }
        let len = thread.events.len();
        g.twins(tid).into_iter().any(|a| {
            let theirs = &g.threads[a as usize].events;
            let absent = theirs.get(len).is_none_or(|&id| g.ev(id).waiting);
            let ended = self.threads[a as usize].state == super::State::Finished
                && theirs.len() == self.threads[a as usize].pos as usize;
            absent && !ended && g.same_prefix(a, tid, len)
        })
    }

    /// A thread stands in the graph as one that waits: if it has twins, they are none (3).
    pub(super) fn sleeps_beside_twins(&mut self, tid: u32) -> bool {
        let any = !self.group(tid).is_empty();
        if any {
            self.fact = Some(self.unlike(tid));
        }
        any
    }

    /// Threads that could run wait for a twin that cannot (3).
    pub(super) fn twins_wait(&mut self) {
        let held = (0..self.threads.len() as u32).find(|&t| {
            let yields = self.threads[t as usize].state == super::State::Yield;
            (yields || self.runnable(t)) && self.is_ahead_of_twin(t)
        });
        if let Some(t) = held {
            self.fact = Some(self.unlike(t));
        }
    }

    /// Returns what the next step of the current thread shows: that it has joined some twins, and
    /// does something else before it joins the others (4).
    pub(super) fn tells_twins_apart(&self, label: &Label) -> Option<Fact> {
        let joining = self.threads[self.cur as usize].twin.joining?;
        let next = label.kind == Kind::Join && self.group(joining).contains(&(label.a as u32));
        (!next).then(|| self.unlike(joining))
    }

    /// The current thread has joined `child`.
    pub(super) fn has_joined(&mut self, child: u32) {
        self.threads[child as usize].twin.joined = true;
        let left = self.group(child).iter().any(|&t| !self.threads[t as usize].twin.joined);
        self.threads[self.cur as usize].twin.joining = left.then_some(child);
    }

    /// The current thread lets others run without an event. They may free memory that the closure
    /// of the next thread then gets: equal bytes say nothing about what they point to.
    pub(super) fn steps_aside(&mut self) {
        let epoch = self.epoch();
        self.threads[self.cur as usize].twin.touched = epoch;
    }

    /// The current thread does something that is no event.
    pub(in crate::engine) fn touches(&mut self) -> Option<Fact> {
        let epoch = self.epoch();
        let twin = &mut self.threads[self.cur as usize].twin;
        twin.touched = epoch;
        twin.joining.map(|child| self.unlike(child))
    }

    /// A process begins (5).
    fn tells_all_apart(&mut self) -> Option<Fact> {
        let twin = self.ex.graph.threads.iter().position(|t| t.twin != NO_TWIN)?;
        Some(self.unlike(self.ex.graph.threads[twin].twin))
    }

    fn ends_between_joins(&mut self) -> Option<Fact> {
        let joining = self.threads[self.cur as usize].twin.joining?;
        Some(self.unlike(joining))
    }

    /// A thread looks at which one `tid` is.
    fn is_seen(&mut self, tid: u32) -> Option<Fact> {
        self.threads[tid as usize].twin.seen = true;
        (!self.group(tid).is_empty()).then(|| self.unlike(tid))
    }
}

fn learn(fact: impl FnOnce(&mut Runtime) -> Option<Fact>) {
    super::stop_if_failed();
    if let Some(fact) = super::with(fact) {
        super::learn(fact);
    }
}

/// The current thread touches an object without an event.
pub(crate) fn touch() {
    learn(Runtime::touches);
}

/// A process begins.
pub(crate) fn begin_process() {
    learn(Runtime::tells_all_apart);
}

/// The current thread ends.
pub(crate) fn end() {
    learn(Runtime::ends_between_joins);
}

/// The program looks at which thread `tid`, or the current one, is.
pub(crate) fn see(tid: Option<u32>) {
    if super::current().is_some() {
        learn(|rt| rt.is_seen(tid.unwrap_or(rt.cur())));
    }
}
