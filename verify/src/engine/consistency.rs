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
//! linked (`extend.rs`, `revisit.rs`).
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
    state: Vec<u8>,
}

fn same_loc(a: &Event, b: &Event) -> bool {
    a.label.loc != NO_LOC && a.label.loc == b.label.loc
}

/// The first event after `x` in its thread at another location, or the join of the thread.
fn next_elsewhere(g: &Graph, x: Id) -> (Id, bool) {
    let e = g.ev(x);
    let thread = &g.threads[e.tid as usize].events;
    for &y in &thread[e.idx as usize + 1..] {
        if !same_loc(e, g.ev(y)) {
            return (y, false);
        }
    }
    let join = g
        .events
        .iter()
        .position(|j| j.label.kind == Kind::Join && j.label.a == u64::from(e.tid));
    (join.map_or(NONE, |j| j as Id), true)
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

/// Whether `x` is before `y` in modification order or reads-before.
fn mo_or_rb(g: &Graph, x: Id, y: Id) -> bool {
    let (a, b) = (g.ev(x), g.ev(y));
    if x == y || !same_loc(a, b) || !b.wrote {
        return false;
    }
    (a.wrote && a.pos < b.pos) || (a.reads() && a.rf != NONE && g.pos(a.rf) < b.pos)
}

fn scb(g: &Graph, x: Id, y: Id, next: (Id, bool), prev: (Id, bool)) -> bool {
    let (a, b) = (g.ev(x), g.ev(y));
    if a.tid == b.tid && a.idx < b.idx {
        return true;
    }
    if mo_or_rb(g, x, y) {
        return true;
    }
    let hb = g.hb(x, y);
    if !hb {
        return false;
    }
    if same_loc(a, b) {
        return true;
    }
    if next.0 == NONE || prev.0 == NONE {
        return false;
    }
    g.hb(next.0, prev.0) || ((next.1 || prev.1) && next.0 == prev.0)
}

/// Whether `x` is before `y` in extended coherence order.
fn eco(g: &Graph, x: Id, y: Id) -> bool {
    let (a, b) = (g.ev(x), g.ev(y));
    if x == y || !same_loc(a, b) {
        return false;
    }
    // rf ∪ mo ∪ rb, closed: compare places in modification order. A write comes before those that
    // read it, readers of the same write are not ordered.
    let write_of = |e: &Event, id: Id| if e.wrote { Some(id) } else { None };
    match (write_of(a, x), write_of(b, y)) {
        (Some(_), Some(_)) => a.pos < b.pos,
        (Some(_), None) => b.rf != NONE && a.pos <= g.pos(b.rf),
        (None, Some(_)) => a.rf != NONE && g.pos(a.rf) < b.pos,
        (None, None) => a.rf != NONE && b.rf != NONE && g.pos(a.rf) < g.pos(b.rf),
    }
}

impl Psc {
    /// Whether the order of sequentially consistent events has no cycle.
    pub(crate) fn holds(&mut self, g: &Graph) -> bool {
        if g.sc < 2 {
            return true;
        }
        self.sc.clear();
        self.sc
            .extend((0..g.events.len() as Id).filter(|&i| g.ev(i).is_sc()));
        let k = self.sc.len();
        if k < 2 {
            return true;
        }
        let n = g.events.len();
        self.edges.clear();
        self.edges.resize(k * k, false);
        let prevs: Vec<(Id, bool)> = (0..n as Id).map(|y| prev_elsewhere(g, y)).collect();
        for i in 0..k {
            let s = self.sc[i];
            let fence = g.ev(s).label.kind == Kind::Fence;
            // What scb reaches from s, and from what happens after s when s is a fence.
            self.reach.clear();
            self.reach.resize(n, false);
            for x in 0..n as Id {
                if x != s && !(fence && g.hb(s, x)) {
                    continue;
                }
                let next = next_elsewhere(g, x);
                for y in 0..n as Id {
                    if !self.reach[y as usize] && y != x && scb(g, x, y, next, prevs[y as usize]) {
                        self.reach[y as usize] = true;
                    }
                }
            }
            for j in 0..k {
                let d = self.sc[j];
                if self.reach[d as usize] {
                    self.edges[i * k + j] = true;
                    continue;
                }
                if g.ev(d).label.kind != Kind::Fence {
                    continue;
                }
                let clock = g.clock(d, HB);
                let hit =
                    (0..n as Id).any(|y| self.reach[y as usize] && y != d && g.within(y, clock));
                let psc_f = fence
                    && ((s != d && g.hb(s, d))
                        || (0..n as Id).any(|x| {
                            g.hb(s, x)
                                && (0..n as Id)
                                    .any(|y| y != d && g.within(y, clock) && eco(g, x, y))
                        }));
                if hit || psc_f {
                    self.edges[i * k + j] = true;
                }
            }
        }
        self.acyclic(k)
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

/// Whether the read `r` of `w` is coherent when nothing below place `floor` may be read.
pub(crate) fn coherent(g: &Graph, w: Id, floor: u32) -> bool {
    if w == INIT {
        floor == 0
    } else {
        g.ev(w).pos >= floor
    }
}
