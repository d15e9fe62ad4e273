//! The part of RC11 that is not local: the order of sequentially consistent events.
//!
//! Source: Lahav, Vafeiadis, Kang, Hur, Dreyer, "Repairing Sequential Consistency in C/C++11",
//! PLDI 2017. In its notation
//!
//! ```text
//! scb      = sb ∪ sb≠loc ; hb ; sb≠loc ∪ hb=loc ∪ mo ∪ rb
//! psc_base = ([Esc] ∪ [Fsc] ; hb?) ; scb ; ([Esc] ∪ hb? ; [Fsc])
//! psc_F    = [Fsc] ; (hb ∪ hb ; eco ; hb) ; [Fsc]
//! ```
//!
//! and `psc_base ∪ psc_F` has to be acyclic. An event that is last in (po ∪ rf)⁺, reads the last
//! write in modification order and is itself placed last has no edge out, so it closes no cycle:
//! only the other additions are checked. Coherence and atomicity are seen to where events are
//! linked (`explore::explorer`, `explore::revisit`).
//!
//! Both relations are parts of `(sb ∪ rf ∪ mo ∪ rb)⁺`, with the creation of threads and joins, and
//! a graph is consistent before an event is linked. So a cycle leads through an event that has been
//! linked since. Where those four relations have none through it, there is none to look for. That
//! takes a walk over the events before it ([`Cycle`]), and is so for most graphs: an old value that
//! was read long ago does not matter to this event.
//!
//! The creation of a thread and its join count as if the thread had an event before its first and
//! one after its last.

use super::event::{Event, INIT, Id, Kind, NO_LOC, NONE};
use super::graph::{Graph, HB};

/// Buffers that live as long as the checker.
#[derive(Default)]
pub(crate) struct Psc {
    sc: Vec<Id>,
    edges: Vec<bool>,
    reach: Vec<bool>,
    earliest: Vec<Earliest>,
    after: Vec<Earliest>,
    state: Vec<u8>,
    cycle: Cycle,
    /// The join of each thread.
    joins: Vec<Id>,
    /// For each event, its neighbours at other locations.
    next: Vec<(Id, bool)>,
    prev: Vec<(Id, bool)>,
    /// The event that edges are looked for from; where it is a fence, what happens after it too.
    from: Vec<Id>,
    /// Whether an event is among them.
    within: Vec<bool>,
    /// The first of them in each thread, and in each thread at each location: what a later one
    /// reaches along happens-before the first one reaches too.
    first: Vec<Id>,
    first_at: Vec<Id>,
    /// For each thread, the index of the first event from which happens-before leads to a fence
    /// that is reached.
    lowest: Vec<u32>,
}

/// Looks for a cycle of `sb ∪ rf ∪ mo ∪ rb`, with the creation of threads and joins, through one
/// event.
#[derive(Default)]
struct Cycle {
    /// The events from which the event is reached.
    seen: Vec<bool>,
    left: Vec<Id>,
}

impl Cycle {
    /// Returns whether there is one through `x`. Goes back from `x`, until it comes to `x` again.
    fn exists(&mut self, g: &Graph, x: Id) -> bool {
        self.seen.clear();
        self.seen.resize(g.events.len(), false);
        self.left.clear();
        self.left.push(x);
        while let Some(y) = self.left.pop() {
            let e = g.ev(y);
            self.reach(g.po_prev(y));
            self.reach(e.rf);
            if e.label.kind == Kind::Join {
                self.reach(g.last(e.label.a as u32));
            }
            if e.wrote {
                let before = g.at(e.label.loc, e.pos - 1);
                self.reach(before);
                for &r in &g.locs[e.label.loc as usize].reads {
                    if r != y && g.ev(r).rf == before {
                        self.reach(r);
                    }
                }
            }
            if self.seen[x as usize] {
                return true;
            }
        }
        false
    }

    fn reach(&mut self, id: Id) {
        if id < NONE && !std::mem::replace(&mut self.seen[id as usize], true) {
            self.left.push(id);
        }
    }
}

fn same_loc(a: &Event, b: &Event) -> bool {
    a.label.loc != NO_LOC && a.label.loc == b.label.loc
}

/// The first event after `x` in its thread at another location, or the join of the thread.
fn next_elsewhere(g: &Graph, x: Id, joins: &[Id]) -> (Id, bool) {
    let e = g.ev(x);
    let thread = &g.threads[e.tid as usize].events;
    for &y in &thread[e.idx as usize + 1..] {
        if !same_loc(e, g.ev(y)) {
            return (y, false);
        }
    }
    (joins[e.tid as usize], true)
}

/// The last event before `y` in its thread at another location, or the creation of the thread.
fn prev_elsewhere(g: &Graph, y: Id) -> (Id, bool) {
    let e = g.ev(y);
    let thread = &g.threads[e.tid as usize];
    for &x in thread.events[..e.idx as usize].iter().rev() {
        if !same_loc(e, g.ev(x)) {
            return (x, false);
        }
    }
    (thread.spawn, true)
}

/// The part of scb that goes along happens-before, for `x` in a thread other than `y`'s.
fn along_hb(g: &Graph, x: Id, y: Id, next: (Id, bool), prev: (Id, bool)) -> bool {
    if !g.hb(x, y) {
        return false;
    }
    if same_loc(g.ev(x), g.ev(y)) {
        return true;
    }
    if next.0 == NONE || prev.0 == NONE {
        return false;
    }
    g.hb(next.0, prev.0) || ((next.1 || prev.1) && next.0 == prev.0)
}

/// How early in the modification order of one location the events of a set are.
#[derive(Clone, Copy)]
struct Earliest {
    /// The first place of a write.
    write: u32,
    /// The first place that a read which does not write has read from.
    read: u32,
}

/// For each location.
fn earliest(g: &Graph, into: &mut Vec<Earliest>, set: impl Iterator<Item = Id>) {
    into.clear();
    into.resize(g.locs.len(), Earliest { write: u32::MAX, read: u32::MAX });
    for x in set {
        let e = g.ev(x);
        if e.label.loc == NO_LOC {
            continue;
        }
        let at = &mut into[e.label.loc as usize];
        if e.wrote {
            // Of a read-modify-write too: what is after its source and not itself is after it.
            at.write = at.write.min(e.pos);
        } else if e.reads() && e.rf != NONE {
            at.read = at.read.min(g.pos(e.rf));
        }
    }
}

/// Returns whether the write `y` is after one of a set in modification order or reads-before.
fn mo_or_rb(g: &Graph, from: &[Earliest], y: Id) -> bool {
    let e = g.ev(y);
    e.wrote && {
        let at = from[e.label.loc as usize];
        e.pos > at.write.min(at.read)
    }
}

/// Returns whether `y` is after one of a set in extended coherence order: (rf ∪ mo ∪ rb)⁺. A write
/// comes before those that read it, readers of the same write are not ordered.
fn eco(g: &Graph, from: &[Earliest], y: Id) -> bool {
    let e = g.ev(y);
    if e.wrote {
        return mo_or_rb(g, from, y);
    }
    e.reads() && e.rf != NONE && {
        let (at, pos) = (from[e.label.loc as usize], g.pos(e.rf));
        pos >= at.write || pos > at.read
    }
}

impl Psc {
    /// Returns whether the order of sequentially consistent events has no cycle, where it has none
    /// but for the events `linked`.
    pub(crate) fn holds(&mut self, g: &Graph, linked: &[Id]) -> bool {
        if g.sc < 2 {
            return true;
        }
        self.sc.clear();
        self.sc.extend((0..g.events.len() as Id).filter(|&i| g.ev(i).is_sc()));
        let k = self.sc.len();
        if k < 2 || !linked.iter().any(|&x| self.cycle.exists(g, x)) {
            return true;
        }
        self.find_neighbours(g);
        self.edges.clear();
        self.edges.resize(k * k, false);
        for i in 0..k {
            let s = self.sc[i];
            let fence = g.ev(s).label.kind == Kind::Fence;
            self.reach_from(g, s, fence);
            self.find_lowest(g, fence);
            for j in 0..k {
                let d = self.sc[j];
                self.edges[i * k + j] = self.reach[d as usize]
                    || (g.ev(d).label.kind == Kind::Fence && self.reaches_fence(g, s, fence, d));
            }
        }
        self.acyclic(k)
    }

    fn find_neighbours(&mut self, g: &Graph) {
        self.joins.clear();
        self.joins.resize(g.threads.len(), NONE);
        for (j, e) in g.events.iter().enumerate().rev() {
            if e.label.kind == Kind::Join {
                self.joins[e.label.a as usize] = j as Id;
            }
        }
        self.next.clear();
        self.prev.clear();
        for x in 0..g.events.len() as Id {
            self.next.push(next_elsewhere(g, x, &self.joins));
            self.prev.push(prev_elsewhere(g, x));
        }
    }

    /// The events that scb reaches from `s`, and from what happens after `s` when it is a fence.
    fn reach_from(&mut self, g: &Graph, s: Id, fence: bool) {
        let n = g.events.len() as Id;
        self.within.clear();
        self.within.extend((0..n).map(|x| x == s || (fence && g.hb(s, x))));
        self.from.clear();
        self.from.extend((0..n).filter(|&x| self.within[x as usize]));
        earliest(g, &mut self.earliest, self.from.iter().copied());
        if fence {
            let after = self.from.iter().copied().filter(|&x| x != s);
            earliest(g, &mut self.after, after);
        }
        self.find_first(g);
        let by_hb = |y: Id| {
            let (loc, locs) = (g.ev(y).label.loc, g.locs.len());
            let before = |&x: &Id| x != NONE && x != y;
            let at = |t: usize| self.first_at[t * locs + loc as usize];
            (loc != NO_LOC && (0..g.threads.len()).map(at).filter(before).any(|x| g.hb(x, y)))
                || self
                    .first
                    .iter()
                    .copied()
                    .filter(before)
                    .any(|x| along_hb(g, x, y, self.next[x as usize], self.prev[y as usize]))
        };
        self.reach.clear();
        for y in 0..n {
            let e = g.ev(y);
            // sb: whatever comes before it in its thread will do.
            let before = e.idx > 0 && {
                let thread = &g.threads[e.tid as usize].events;
                let p = thread[e.idx as usize - 1];
                self.within[p as usize] || (g.ev(s).tid == e.tid && g.ev(s).idx < e.idx)
            };
            let reached =
                before || mo_or_rb(g, &self.earliest, y) || (y != s && g.hb(s, y) && by_hb(y));
            self.reach.push(reached);
        }
    }

    fn find_first(&mut self, g: &Graph) {
        let locs = g.locs.len();
        self.first.clear();
        self.first.resize(g.threads.len(), NONE);
        self.first_at.clear();
        self.first_at.resize(g.threads.len() * locs, NONE);
        // Ids grow along program order: the last one to be entered is the first of its thread.
        for &x in self.from.iter().rev() {
            let e = g.ev(x);
            self.first[e.tid as usize] = x;
            if e.label.loc != NO_LOC {
                self.first_at[e.tid as usize * locs + e.label.loc as usize] = x;
            }
        }
    }

    fn find_lowest(&mut self, g: &Graph, fence: bool) {
        self.lowest.clear();
        self.lowest.resize(g.threads.len(), u32::MAX);
        for (y, e) in g.events.iter().enumerate() {
            let low = self.lowest[e.tid as usize];
            if e.idx < low && (self.reach[y] || (fence && eco(g, &self.after, y as Id))) {
                self.lowest[e.tid as usize] = e.idx;
            }
        }
    }

    /// Returns whether there is an edge from `s` to the fence `d` besides that of `reach`.
    fn reaches_fence(&self, g: &Graph, s: Id, fence: bool, d: Id) -> bool {
        let (e, clock) = (g.ev(d), g.clock(d, HB));
        (fence && s != d && g.hb(s, d))
            || self.lowest.iter().enumerate().any(|(t, &low)| {
                // Not the fence itself.
                low < if t == e.tid as usize { e.idx } else { clock[t] }
            })
    }

    fn acyclic(&mut self, k: usize) -> bool {
        self.state.clear();
        self.state.resize(k, 0);
        (0..k).all(|i| self.state[i] == 2 || self.visit(i, k))
    }

    fn visit(&mut self, i: usize, k: usize) -> bool {
        self.state[i] = 1;
        for j in 0..k {
            let open = self.state[j];
            if self.edges[i * k + j] && (open == 1 || (open == 0 && !self.visit(j, k))) {
                return false;
            }
        }
        self.state[i] = 2;
        true
    }
}

/// Returns whether the read `r` of `w` is coherent when nothing below place `floor` may be read.
pub(crate) fn coherent(g: &Graph, w: Id, floor: u32) -> bool {
    if w == INIT { floor == 0 } else { g.ev(w).pos >= floor }
}
