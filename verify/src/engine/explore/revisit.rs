//! A new write revisits reads that were added before it: TruSt's backward revisits.
//!
//! A write `a` may change where an earlier read `r` of its location, not in its own (po ∪ rf)⁺
//! past, takes its value. The events added after `r` that are not in `a`'s past are deleted: they
//! may have depended on what `r` read. The same graph would be reached from every way in which the
//! deleted events could have been, so the revisit is made out of one of them only: that in which
//! each had been added maximally, as the invariant `maximal` says. That makes it optimal.

use super::explorer::{Explorer, link_read, may_read};
use super::wait_queue;
use crate::engine::memory_model::event::{INIT, Id, Kind, NONE, Rmw, apply};
use crate::engine::memory_model::graph::Graph;

impl Explorer {
    /// Puts aside the graphs in which an earlier read takes its value from the write `a`.
    /// `placed`: `a` has its place in modification order, else all its places are tried.
    pub(in crate::engine) fn revisit(&mut self, g: &Graph, a: Id, placed: bool) {
        if self.no_alternatives {
            return;
        }
        let loc = g.ev(a).label.loc;
        for &r in &g.locs[loc as usize].reads {
            let e = g.ev(r);
            if r == a || e.waiting || g.porf_eq(r, a) {
                continue;
            }
            let conflict =
                placed && e.wrote && g.ev(a).label.kind == Kind::Rmw && e.rf == g.ev(a).rf;
            if e.label.awaits && !conflict && apply(&e.label, g.ev(a).wval).is_none() {
                // Only an event that takes what `r` took makes it wait.
                continue;
            }
            let n = g.events.len() as Id;
            if !(r..n).all(|d| (d != r && g.porf_eq(d, a)) || maximal(g, d, a)) {
                continue;
            }
            let mut restricted = self.spare();
            let mut map = std::mem::take(&mut self.map);
            restricted.restrict(g, &mut map, |e| e <= r || g.porf_eq(e, a));
            let (r, a) = (map[r as usize], map[a as usize]);
            self.map = map;
            unlink(&mut restricted, r);
            sleep_again(&mut restricted, r);
            if placed {
                if !steals(&restricted, a) && may_read(&restricted, r, a) {
                    self.revisited(restricted, r, a);
                } else {
                    self.recycle(restricted);
                }
                continue;
            }
            let floor = restricted.floor(loc, restricted.po_prev(a));
            for after in floor..=restricted.locs[loc as usize].mo.len() as u32 {
                if restricted.taker(loc, restricted.at(loc, after)).is_some() {
                    continue;
                }
                let mut other = self.copy(&restricted);
                other.insert_mo(a, after + 1);
                if may_read(&other, r, a) {
                    self.revisited(other, r, a);
                } else {
                    self.recycle(other);
                }
            }
            self.recycle(restricted);
        }
    }

    /// `r` is to read `a` in `g`, where everything else is in place.
    fn revisited(&mut self, mut g: Graph, r: Id, a: Id) {
        let label = g.ev(r).label;
        if label.rmw == Rmw::WeakCas
            && label.kind == Kind::Rmw
            && apply(&label, g.ev(a).wval).is_some()
            && self.may_fail_spuriously(&g)
        {
            let mut other = self.copy(&g);
            link_read(&mut other, r, a, 1);
            self.push_if_consistent(other, &[r, a]);
        }
        link_read(&mut g, r, a, 0);
        if wait_queue::allows(&g, r) && self.psc.holds(&g, &[r, a]) {
            self.finish(g, r);
        } else {
            self.recycle(g);
        }
    }
}

/// Returns whether `a`, a read-modify-write, took what another one still has.
fn steals(g: &Graph, a: Id) -> bool {
    let e = g.ev(a);
    if e.label.kind != Kind::Rmw {
        return false;
    }
    let mo = &g.locs[e.label.loc as usize].mo;
    mo.get(e.pos as usize).is_some_and(|&next| {
        let n = g.ev(next);
        n.label.kind == Kind::Rmw && n.rf == e.rf
    })
}

/// Takes back what the read `r` read and wrote.
fn unlink(g: &mut Graph, r: Id) {
    let loc = g.ev(r).label.loc as usize;
    if g.ev(r).wrote {
        g.remove_mo(r);
    }
    g.locs[loc].reads.retain(|&x| x != r);
    let e = g.ev_mut(r);
    e.choice = 0;
    e.slept = NONE;
    // Its source may be among the deleted.
    e.rf = NONE;
}

/// Waits that were let go on by a write that has been deleted, or that reads something else now
/// (`r`), or that is itself of such a wait, sleep again.
fn sleep_again(g: &mut Graph, r: Id) {
    let mut more = true;
    while more {
        more = false;
        for id in 0..g.events.len() as Id {
            let e = *g.ev(id);
            if e.slept == NONE
                || id == r
                || !(e.rf == NONE || e.rf == r || (e.rf != INIT && g.ev(e.rf).waiting))
            {
                continue;
            }
            g.remove_mo(id);
            let rval = g.value(e.label.loc, e.slept);
            let w = g.ev_mut(id);
            (w.rf, w.rval, w.slept, w.waiting) = (e.slept, rval, NONE, true);
            g.locs[e.label.loc as usize].waiting += 1;
            g.update_clocks(id);
            more = true;
        }
    }
}

/// Returns whether `e`, that `a` is to delete or revisit, was added maximally: it did not come from
/// a revisit itself, it took the first of its alternatives, and among the events that were there
/// when it was added and those that stay because `a` needs them, it read, or was placed at, the
/// end of modification order.
fn maximal(g: &Graph, e: Id, a: Id) -> bool {
    let ev = g.ev(e);
    if ev.choice != 0 {
        return false;
    }
    let earlier = |x: Id| x != a && (x <= e || g.porf_eq(x, a));
    // The write of a wait that was let go on is as young as the write that let it.
    let written = |mut w: Id| {
        while earlier(w) {
            let x = g.ev(w);
            if x.slept == NONE || x.rf == INIT {
                return true;
            }
            if x.rf == e {
                return false;
            }
            w = x.rf;
        }
        false
    };
    let loc = ev.label.loc as usize;
    if ev.wrote {
        // A wait that `e` let go on is not one that `e` has revisited: it sleeps again.
        let revisited = |r: Id| (g.ev(r).rf == e && g.ev(r).slept == NONE) || g.ev(r).slept == e;
        if g.locs[loc].reads.iter().any(|&r| r != e && revisited(r) && earlier(r)) {
            return false;
        }
        if g.locs[loc].mo[ev.pos as usize..].iter().any(|&w| written(w)) {
            return false;
        }
    }
    if ev.reads() {
        let mut src = ev.rf;
        if src != INIT && !earlier(src) && ev.slept != NONE {
            src = ev.slept;
        }
        // If it reads from a later write that is deleted as well, it was revisited, and that write
        // is not maximal.
        if g.locs[loc].mo[g.pos(src) as usize..].iter().any(|&w| w != e && written(w)) {
            return false;
        }
    }
    true
}
