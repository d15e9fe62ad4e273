//! How many preemptions an execution needs: the fewest switches away from a thread that could go
//! on, among the orders of its events in which every read comes after the write that it reads from
//! and every write after the one before it in modification order.
//!
//! A thread could go on unless it stands at its end, at a join, asleep, after a yield, or at a lock
//! (any event that waits for a value) whose newest value at that point does not let it go on. An
//! execution that has no such order, because its modification orders contradict each other, may
//! break a modification order at the price of a preemption. A read of an old value costs nothing.
//!
//! Events that loom does not have share the bound, since each of them would multiply the executions
//! within it: a weak failure, a spurious wake-up, a timeout while others could run, and a failed
//! read-modify-write that saw an old value although a newer write comes before it in every order.
//! Each costs [`UNKNOWN_PRICE`] preemptions, or all of a smaller bound.
//!
//! To bound them is not to explore everything. What is kept includes what loom keeps with the same
//! `LOOM_MAX_PREEMPTIONS`; source: Marmanis, Kokologiannakis, Vafeiadis, "Reconciling Preemption
//! Bounding with DPOR", TACAS 2023. An execution within the bound may be reached by way of one that
//! is not, so there is a slack of one for each thread beyond two.

use crate::engine::memory_model::event::{Event, Id, Kind, NONE, Rmw, SPURIOUS, TIMEOUT, apply};
use crate::engine::memory_model::graph::Graph;
use std::collections::HashMap;

/// The price of an event that loom does not have. With the usual bound of two it comes in an
/// execution that has no preemption.
const UNKNOWN_PRICE: usize = 2;

/// Buffers that live as long as the checker.
#[derive(Debug, Default)]
pub(crate) struct Preemptions {
    done: Vec<usize>,
    /// Positions of the threads, with the number of preemptions left, from which no execution was
    /// found.
    failed: HashMap<Vec<usize>, usize>,
}

impl Preemptions {
    /// Returns whether the execution needs no more than `bound`, with the slack.
    pub(crate) fn within(&mut self, g: &Graph, bound: usize) -> bool {
        let slack = g.threads.len().saturating_sub(2);
        let unknown = g.events.iter().filter(|e| is_unknown_to_loom(g, e)).count();
        let price = unknown * UNKNOWN_PRICE.min(bound.max(1));
        let Some(left) = (bound + slack).checked_sub(price) else { return false };
        self.done.clear();
        self.done.resize(g.threads.len(), 0);
        self.failed.clear();
        self.go_on(g, 0, left)
    }

    /// Runs thread `t` as far as it gets, which never needs more than to stop before, then any
    /// other.
    fn go_on(&mut self, g: &Graph, t: usize, left: usize) -> bool {
        let start = self.done[t];
        while ready(g, &self.done, t) && in_order(g, &self.done, t) {
            self.done[t] += 1;
        }
        let fits = match waits(g, &self.done, t) {
            _ if ended(g, &self.done) => true,
            true => self.switch(g, t, left),
            false => left > 0 && self.switch(g, t, left - 1),
        };
        self.done[t] = start;
        fits
    }

    /// Goes on with a thread other than `t`.
    fn switch(&mut self, g: &Graph, t: usize, left: usize) -> bool {
        // Two threads take turns: there is nothing to remember.
        let branches = g.threads.len() > 2;
        if branches && self.failed.get(&self.done).is_some_and(|&before| before >= left) {
            return false;
        }
        let may_run = |done: &[usize], other| ready(g, done, other) && in_order(g, done, other);
        let mut any = false;
        for other in 0..g.threads.len() {
            if other != t && may_run(&self.done, other) {
                any = true;
                if self.go_on(g, other, left) {
                    return true;
                }
            }
        }
        // No order has every write after the one before it.
        for other in 0..g.threads.len() {
            if !any && left > 0 && ready(g, &self.done, other) {
                self.done[other] += 1;
                let fits = self.go_on(g, other, left - 1);
                self.done[other] -= 1;
                if fits {
                    return true;
                }
            }
        }
        if branches {
            self.failed.insert(self.done.clone(), left);
        }
        false
    }
}

/// Returns whether an event is one that loom does not have.
fn is_unknown_to_loom(g: &Graph, e: &Event) -> bool {
    match e.label.kind {
        Kind::Choose => e.choice > 0 && matches!(e.label.b, SPURIOUS | TIMEOUT),
        Kind::Rmw if !e.wrote && !e.waiting && !e.label.rmw.is_queue() => {
            let newer = || g.locs[e.label.loc as usize].mo.get(g.pos(e.rf) as usize);
            (e.label.rmw == Rmw::WeakCas && e.choice == 1)
                || newer().is_some_and(|&w| {
                    g.porf_eq(w, g.threads[e.tid as usize].events[e.idx as usize])
                })
        }
        _ => false,
    }
}

fn ended(g: &Graph, done: &[usize]) -> bool {
    done.iter().zip(&g.threads).all(|(&n, t)| n == t.events.len())
}

fn next(g: &Graph, done: &[usize], t: usize) -> Option<Id> {
    g.threads[t].events.get(done[t]).copied()
}

fn is_done(g: &Graph, done: &[usize], id: Id) -> bool {
    id >= NONE || done[g.ev(id).tid as usize] > g.ev(id).idx as usize
}

/// Returns whether what the next event of a thread reads from has been done.
fn ready(g: &Graph, done: &[usize], t: usize) -> bool {
    next(g, done, t).is_some_and(|id| {
        let e = g.ev(id);
        let joined = e.label.kind != Kind::Join
            || done[e.label.a as usize] == g.threads[e.label.a as usize].events.len();
        is_done(g, done, g.threads[t].spawn) && joined && is_done(g, done, e.rf)
    })
}

/// Returns whether the write before it in modification order has been done, if the next event of a
/// thread is one.
fn in_order(g: &Graph, done: &[usize], t: usize) -> bool {
    next(g, done, t).is_none_or(|id| {
        let e = g.ev(id);
        !e.wrote || is_done(g, done, g.at(e.label.loc, e.pos - 1))
    })
}

/// Returns whether a thread cannot go on before its next event, or is at its end.
fn waits(g: &Graph, done: &[usize], t: usize) -> bool {
    let Some(id) = next(g, done, t) else { return true };
    let label = &g.ev(id).label;
    if matches!(label.kind, Kind::Join | Kind::Woken) || label.after_yield {
        return true;
    }
    label.awaits && {
        let loc = &g.locs[label.loc as usize];
        let newest = loc.mo.iter().rev().find(|&&w| is_done(g, done, w));
        let value = newest.map_or(loc.init, |&w| g.value(label.loc, w));
        apply(label, value).is_none()
    }
}
