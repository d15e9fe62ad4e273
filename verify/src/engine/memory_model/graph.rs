//! Execution graphs: events, program order, reads-from, modification order, and the clocks that
//! stand for happens-before.
//!
//! A clock of an event is a vector with one number per thread: how many of that thread's events
//! are before (or are) the event. Four are kept for each event:
//!
//! | clock | what it says |
//! |---|---|
//! | `HB` | which events happen before |
//! | `PORF` | which events are before in (program order ∪ reads-from ∪ symmetry)⁺ |
//! | `ACQ` | what an acquire fence would add to `HB` here |
//! | `MSG` | what an acquiring read of this write learns |
//!
//! *Symmetry* orders threads that run the same closure: see `runtime::symmetry`.
//!
//! Invariants:
//! 1. An event's id is its index in `events`; ids grow along program order.
//! 2. `locs[l].mo` holds exactly the events that wrote `l`, in modification order, each with its
//!    place (from 1) in `pos`; `locs[l].reads` holds the events that read `l`, by id.
//! 3. A write read by a read-modify-write is followed immediately by it in `mo`.

use super::event::{Event, INIT, Id, Kind, Label, NO_LOC, NONE, Rmw, acquires, releases};
use std::sync::atomic::Ordering;

pub(crate) const HB: usize = 0;
pub(crate) const PORF: usize = 1;
pub(crate) const ACQ: usize = 2;
pub(crate) const MSG: usize = 3;
const CLOCKS: usize = 4;

/// In place of a thread: there is no such thread.
pub(crate) const NO_TWIN: u32 = u32::MAX;

/// A thread's part of the graph.
#[derive(Debug)]
pub(crate) struct Thread {
    pub events: Vec<Id>,
    /// The event that created it; `NONE` for the main thread and for places not in use.
    pub spawn: Id,
    /// The thread created right before it that runs the same closure, or [`NO_TWIN`]. See
    /// `runtime::symmetry`.
    pub twin: u32,
}

/// A location's part of the graph.
#[derive(Debug, Default)]
pub(crate) struct Loc {
    pub init: u64,
    pub mo: Vec<Id>,
    pub reads: Vec<Id>,
    /// Events that wait for a value that lets them go on.
    pub waiting: u32,
}

impl Default for Thread {
    fn default() -> Self {
        Thread { events: Vec::new(), spawn: NONE, twin: NO_TWIN }
    }
}

impl Clone for Thread {
    fn clone(&self) -> Self {
        Thread { events: self.events.clone(), spawn: self.spawn, twin: self.twin }
    }
    fn clone_from(&mut self, other: &Self) {
        self.events.clone_from(&other.events);
        self.spawn = other.spawn;
        self.twin = other.twin;
    }
}

impl Clone for Loc {
    fn clone(&self) -> Self {
        Loc {
            init: self.init,
            mo: self.mo.clone(),
            reads: self.reads.clone(),
            waiting: self.waiting,
        }
    }
    fn clone_from(&mut self, other: &Self) {
        self.init = other.init;
        self.mo.clone_from(&other.mo);
        self.reads.clone_from(&other.reads);
        self.waiting = other.waiting;
    }
}

/// An execution graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub events: Vec<Event>,
    pub threads: Vec<Thread>,
    pub locs: Vec<Loc>,
    clocks: Vec<u32>,
    stride: usize,
    /// The number of sequentially consistent events: without two there is nothing to check.
    pub sc: u32,
    /// The part of all executions that is estimated to come from here.
    pub weight: f64,
}

impl Clone for Graph {
    fn clone(&self) -> Self {
        Graph {
            events: self.events.clone(),
            threads: self.threads.clone(),
            locs: self.locs.clone(),
            clocks: self.clocks.clone(),
            stride: self.stride,
            sc: self.sc,
            weight: self.weight,
        }
    }
    fn clone_from(&mut self, other: &Self) {
        self.events.clone_from(&other.events);
        self.threads.clone_from(&other.threads);
        self.locs.clone_from(&other.locs);
        self.clocks.clone_from(&other.clocks);
        self.stride = other.stride;
        self.sc = other.sc;
        self.weight = other.weight;
    }
}

impl Graph {
    /// The graph of nothing but the main thread.
    pub(crate) fn new() -> Graph {
        Graph { stride: 4, weight: 1.0, threads: vec![Thread::default()], ..Graph::default() }
    }

    #[inline]
    pub(crate) fn ev(&self, id: Id) -> &Event {
        &self.events[id as usize]
    }

    #[inline]
    pub(crate) fn ev_mut(&mut self, id: Id) -> &mut Event {
        &mut self.events[id as usize]
    }

    /// A clock of `id`.
    #[inline]
    pub(crate) fn clock(&self, id: Id, which: usize) -> &[u32] {
        let at = (id as usize * CLOCKS + which) * self.stride;
        &self.clocks[at..at + self.stride]
    }

    #[inline]
    fn clock_at(&self, id: Id, which: usize) -> usize {
        (id as usize * CLOCKS + which) * self.stride
    }

    /// `dst |= src`, componentwise maximum.
    fn join_clock(&mut self, dst: (Id, usize), src: (Id, usize)) {
        let (d, s) = (self.clock_at(dst.0, dst.1), self.clock_at(src.0, src.1));
        for i in 0..self.stride {
            let v = self.clocks[s + i];
            if v > self.clocks[d + i] {
                self.clocks[d + i] = v;
            }
        }
    }

    /// Returns whether event `a` is in the set that `clock` stands for.
    #[inline]
    pub(crate) fn within(&self, a: Id, clock: &[u32]) -> bool {
        let e = self.ev(a);
        e.idx < clock[e.tid as usize]
    }

    /// Returns whether `a` happens before `b`. Not reflexive.
    pub(crate) fn hb(&self, a: Id, b: Id) -> bool {
        a != b && self.within(a, self.clock(b, HB))
    }

    /// Returns whether `a` is `b` or before it in (po ∪ rf)⁺.
    pub(crate) fn porf_eq(&self, a: Id, b: Id) -> bool {
        a == b || self.within(a, self.clock(b, PORF))
    }

    /// The value that a reader of `w` at location `loc` sees.
    pub(crate) fn value(&self, loc: u32, w: Id) -> u64 {
        if w == INIT { self.locs[loc as usize].init } else { self.ev(w).wval }
    }

    /// The place of `w` in the modification order of its location.
    pub(crate) fn pos(&self, w: Id) -> u32 {
        if w == INIT { 0 } else { self.ev(w).pos }
    }

    /// The write at place `pos`.
    pub(crate) fn at(&self, loc: u32, pos: u32) -> Id {
        if pos == 0 { INIT } else { self.locs[loc as usize].mo[pos as usize - 1] }
    }

    /// The read-modify-write that took its value from `w`, if one did.
    pub(crate) fn taker(&self, loc: u32, w: Id) -> Option<Id> {
        let next = *self.locs[loc as usize].mo.get(self.pos(w) as usize)?;
        let e = self.ev(next);
        (e.label.kind == Kind::Rmw && e.rf == w).then_some(next)
    }

    /// Room for thread `tid` in the clocks.
    fn ensure_stride(&mut self, tid: usize) {
        if tid < self.stride {
            return;
        }
        let old = self.stride;
        let new = (tid + 1).next_power_of_two();
        let mut clocks = vec![0; self.events.len() * CLOCKS * new];
        for row in 0..self.events.len() * CLOCKS {
            clocks[row * new..row * new + old]
                .copy_from_slice(&self.clocks[row * old..row * old + old]);
        }
        self.clocks = clocks;
        self.stride = new;
    }

    /// Takes a place for a new thread that `spawn` creates.
    pub(crate) fn add_thread(&mut self, spawn: Id) -> u32 {
        let free = (1..self.threads.len()).find(|&t| self.threads[t].spawn == NONE);
        let tid = free.unwrap_or_else(|| {
            self.threads.push(Thread::default());
            self.threads.len() - 1
        });
        self.ensure_stride(tid);
        (self.threads[tid].spawn, self.threads[tid].twin) = (spawn, NO_TWIN);
        tid as u32
    }

    /// Takes the place `tid` for a new thread.
    pub(crate) fn add_thread_at(&mut self, tid: u32, spawn: Id) {
        while self.threads.len() <= tid as usize {
            self.threads.push(Thread::default());
        }
        self.ensure_stride(tid as usize);
        self.threads[tid as usize].spawn = spawn;
    }

    /// A location for an object that no event of the graph has touched.
    pub(crate) fn add_loc(&mut self, init: u64) -> u32 {
        self.locs.push(Loc { init, ..Loc::default() });
        self.locs.len() as u32 - 1
    }

    /// Appends an event to a thread, not yet linked to a write or a modification order.
    pub(crate) fn append(&mut self, tid: u32, label: Label) -> Id {
        let id = self.events.len() as Id;
        if label.ord == Ordering::SeqCst || label.fail == Ordering::SeqCst {
            self.sc += 1;
        }
        let idx = self.threads[tid as usize].events.len() as u32;
        self.events.push(Event {
            label,
            tid,
            idx,
            rf: NONE,
            pos: 0,
            wrote: false,
            waiting: false,
            slept: NONE,
            fence: NONE,
            choice: 0,
            rval: 0,
            wval: 0,
            time: 0,
        });
        self.threads[tid as usize].events.push(id);
        self.clocks.resize(self.events.len() * CLOCKS * self.stride, 0);
        id
    }

    /// Enters a read into its location's list, sorted by id.
    pub(crate) fn add_read(&mut self, id: Id) {
        let loc = self.ev(id).label.loc as usize;
        let reads = &mut self.locs[loc].reads;
        let at = reads.partition_point(|&r| r < id);
        reads.insert(at, id);
    }

    /// Puts write `id` at place `pos` (from 1).
    pub(crate) fn insert_mo(&mut self, id: Id, pos: u32) {
        let loc = self.ev(id).label.loc as usize;
        self.locs[loc].mo.insert(pos as usize - 1, id);
        for i in pos as usize - 1..self.locs[loc].mo.len() {
            let w = self.locs[loc].mo[i];
            self.events[w as usize].pos = i as u32 + 1;
        }
        self.ev_mut(id).wrote = true;
    }

    /// Takes write `id` out of its modification order.
    pub(crate) fn remove_mo(&mut self, id: Id) {
        let (loc, pos) = (self.ev(id).label.loc as usize, self.ev(id).pos as usize);
        self.locs[loc].mo.remove(pos - 1);
        for i in pos - 1..self.locs[loc].mo.len() {
            let w = self.locs[loc].mo[i];
            self.events[w as usize].pos = i as u32 + 1;
        }
        let e = self.ev_mut(id);
        e.wrote = false;
        e.pos = 0;
    }

    /// The event before `id` in its thread, or the one that created the thread.
    pub(crate) fn po_prev(&self, id: Id) -> Id {
        let e = self.ev(id);
        let thread = &self.threads[e.tid as usize];
        if e.idx > 0 { thread.events[e.idx as usize - 1] } else { thread.spawn }
    }

    /// The last event of a thread, or the one that created it.
    pub(crate) fn last(&self, tid: u32) -> Id {
        let thread = &self.threads[tid as usize];
        thread.events.last().copied().unwrap_or(thread.spawn)
    }

    /// Computes the clocks of `id` from those of its predecessors.
    pub(crate) fn update_clocks(&mut self, id: Id) {
        let e = *self.ev(id);
        let base = self.clock_at(id, 0);
        self.clocks[base..base + CLOCKS * self.stride].fill(0);
        let prev = self.po_prev(id);
        let mut fence = NONE;
        if prev != NONE {
            self.join_clock((id, HB), (prev, HB));
            self.join_clock((id, PORF), (prev, PORF));
            if e.idx > 0 {
                self.join_clock((id, ACQ), (prev, ACQ));
                fence = self.ev(prev).fence;
            }
        }
        for twin in self.twins(e.tid) {
            if let Some(theirs) = self.counterpart(twin, id) {
                self.join_clock((id, PORF), (theirs, PORF));
            }
        }
        let t = e.tid as usize;
        let (hb, porf) = (self.clock_at(id, HB), self.clock_at(id, PORF));
        self.clocks[hb + t] = e.idx + 1;
        self.clocks[porf + t] = e.idx + 1;
        let ord = e.ordering();
        let mut time = if prev == NONE { 0 } else { self.ev(prev).time };
        if e.rf < NONE {
            time = time.max(self.ev(e.rf).time);
        }
        match e.label.kind {
            Kind::Load | Kind::Rmw if e.rf != INIT && e.rf != NONE => {
                self.join_clock((id, PORF), (e.rf, PORF));
                self.join_clock((id, if acquires(ord) { HB } else { ACQ }), (e.rf, MSG));
                if e.wrote && e.label.rmw == Rmw::Enters {
                    self.join_readers(id, e.rf);
                }
            }
            Kind::Woken => self.join_clock((id, PORF), (e.rf, PORF)),
            Kind::Fence => {
                if acquires(ord) {
                    self.join_clock((id, HB), (id, ACQ));
                }
                if releases(ord) {
                    fence = id;
                }
            }
            Kind::Join => {
                let child = e.label.a as u32;
                let last = self.last(child);
                if last != NONE {
                    time = time.max(self.ev(last).time);
                    self.join_clock((id, HB), (last, HB));
                    self.join_clock((id, PORF), (last, PORF));
                }
                // The child's work after its last event is before the join as well.
                let len = self.threads[child as usize].events.len() as u32;
                self.clocks[hb + child as usize] = len + 1;
                self.clocks[porf + child as usize] = len;
            }
            Kind::Tick => time = time.saturating_add(e.label.a),
            _ => {}
        }
        self.ev_mut(id).time = time;
        self.ev_mut(id).fence = fence;
        if e.wrote {
            if releases(ord) {
                self.join_clock((id, MSG), (id, HB));
            } else if fence != NONE && e.label.rmw != Rmw::Leaves {
                self.join_clock((id, MSG), (fence, HB));
            }
            if e.label.kind == Kind::Rmw && e.rf != INIT {
                // C++20: only read-modify-writes continue a release sequence.
                self.join_clock((id, MSG), (e.rf, MSG));
            }
        }
    }

    /// The threads that run the same closure and were created before thread `tid`.
    pub(crate) fn twins(&self, tid: u32) -> Vec<u32> {
        let twin = |t: u32| Some(self.threads.get(t as usize)?.twin).filter(|&t| t != NO_TWIN);
        std::iter::successors(twin(tid), |&t| twin(t)).collect()
    }

    /// The event of thread `twin` that stands where `id` stands in its thread, if both have done
    /// the same before.
    fn counterpart(&self, twin: u32, id: Id) -> Option<Id> {
        let e = self.ev(id);
        let theirs = *self.threads[twin as usize].events.get(e.idx as usize)?;
        self.same_prefix(twin, e.tid, e.idx as usize).then_some(theirs)
    }

    /// Returns whether the first `len` events of two threads are there and are the same: nothing
    /// is written, and what is read comes from the same write.
    pub(crate) fn same_prefix(&self, a: u32, b: u32, len: usize) -> bool {
        let (a, b) = (&self.threads[a as usize].events, &self.threads[b as usize].events);
        a.len() >= len && b.len() >= len && (0..len).all(|i| self.same(a[i], b[i]))
    }

    fn same(&self, a: Id, b: Id) -> bool {
        let (a, b) = (self.ev(a), self.ev(b));
        let effect = |e: &Event| {
            let quiet = matches!(
                e.label.kind,
                Kind::Load | Kind::Rmw | Kind::Fence | Kind::Choose | Kind::Tick
            );
            !quiet || e.wrote || e.waiting || e.slept != NONE
        };
        let all = |e: &Event| {
            let l = &e.label;
            ((l.kind, l.rmw, l.ord, l.fail, l.loc), (l.awaits, l.a, l.b), (e.rf, e.choice))
        };
        !effect(a) && !effect(b) && all(a) == all(b)
    }

    /// A writer `id` that enters after `last` comes after the readers that have left before.
    fn join_readers(&mut self, id: Id, last: Id) {
        let mut at = last;
        while at != INIT && self.ev(at).label.kind == Kind::Rmw {
            if self.ev(at).label.rmw == Rmw::Leaves {
                self.join_clock((id, HB), (at, HB));
            }
            at = self.ev(at).rf;
        }
    }

    /// Keeps the events for which `keep` holds (closed under program order and reads-from but for
    /// the read `except`, which has to be unlinked) and renumbers them. `map` gets the new ids.
    pub(crate) fn restrict(&mut self, from: &Graph, map: &mut Vec<Id>, keep: impl Fn(Id) -> bool) {
        self.stride = from.stride;
        self.events.clear();
        self.clocks.clear();
        map.clear();
        for (i, e) in from.events.iter().enumerate() {
            if keep(i as Id) {
                map.push(self.events.len() as Id);
                self.events.push(*e);
                let at = i * CLOCKS * from.stride;
                self.clocks.extend_from_slice(&from.clocks[at..at + CLOCKS * from.stride]);
            } else {
                map.push(NONE);
            }
        }
        let tr = |id: Id| if id >= NONE { id } else { map[id as usize] };
        for e in &mut self.events {
            e.rf = tr(e.rf);
            e.fence = tr(e.fence);
            e.slept = tr(e.slept);
        }
        self.threads.clone_from(&from.threads);
        for t in &mut self.threads {
            t.spawn = tr(t.spawn);
            if t.spawn == NONE {
                t.twin = NO_TWIN;
            }
            t.events.retain_mut(|id| {
                *id = tr(*id);
                *id != NONE
            });
        }
        while self.threads.len() > 1 && self.threads[self.threads.len() - 1].spawn == NONE {
            self.threads.pop();
        }
        self.locs.clone_from(&from.locs);
        for l in &mut self.locs {
            for list in [&mut l.mo, &mut l.reads] {
                list.retain_mut(|id| {
                    *id = tr(*id);
                    *id != NONE
                });
            }
            l.waiting = 0;
            for (i, &w) in l.mo.iter().enumerate() {
                self.events[w as usize].pos = i as u32 + 1;
            }
        }
        while self.locs.last().is_some_and(|l| l.mo.is_empty() && l.reads.is_empty()) {
            self.locs.pop();
        }
        self.sc = 0;
        for e in &self.events {
            if e.label.loc != NO_LOC && e.waiting {
                self.locs[e.label.loc as usize].waiting += 1;
            }
        }
        let sc = |e: &&Event| e.label.ord == Ordering::SeqCst || e.label.fail == Ordering::SeqCst;
        self.sc = self.events.iter().filter(sc).count() as u32;
    }

    /// The lowest place in modification order that an event of thread `tid` after `prev` may read
    /// from, or after which it may write: coherence with what happens before it.
    pub(crate) fn floor(&self, loc: u32, prev: Id) -> u32 {
        if prev == NONE {
            return 0;
        }
        let clock = self.clock(prev, HB);
        let l = &self.locs[loc as usize];
        let mut floor = 0;
        for (i, &w) in l.mo.iter().enumerate().rev() {
            if self.within(w, clock) {
                floor = i as u32 + 1;
                break;
            }
        }
        for &r in &l.reads {
            let e = self.ev(r);
            if e.idx < clock[e.tid as usize] && e.rf != NONE {
                floor = floor.max(self.pos(e.rf));
            }
        }
        floor
    }
}
