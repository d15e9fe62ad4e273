//! Wait queues: what futexes and condition variables sleep on.
//!
//! A queue is a location all of whose events are read-modify-writes (`Enqueue`, `Wake`, `Leave`),
//! so its modification order is a chain in which each event reads from the one before. The state
//! of the queue is the fold over the chain: the waiters in it, oldest first. A place in the queue
//! is a *ticket*: the thread and the program-order index of the event that took it. Who stands on
//! other channels than a wake is about is passed over by it.
//!
//! A futex wait is two events with nothing of another thread added between them: a load of the
//! word (marked `COMPARE`) and, when it read the expected value, an `Enqueue`.
//!
//! [`allows`] is what Linux guarantees. Source: the comment "Basic futex operation and ordering
//! guarantees" in `kernel/futex/waitwake.c` (commit 0ea5c948cb64). A waiter counts itself, executes
//! a full barrier (A), takes the lock of the bucket, reads the word and enqueues itself. A waker
//! executes a full barrier (B), then looks for counted waiters, and takes the lock if there are
//! any. So, for a comparison that enqueues:
//!
//! * An earlier wake that took the lock released it before. One that did not take the lock found
//!   no waiter counted: by (A) and (B) the comparison comes after (B). In both cases the comparison
//!   reads the word no older than anything that happens before the wake: the stores of the waker,
//!   and those of other threads that the waker has read or synchronized with.
//! * An earlier waiter released the lock after its own comparison: the later comparison reads no
//!   older value, nor an older one than what happens before the earlier wait.
//!
//! The kernel promises no ordering of other locations, and the model gives none: queue events are
//! relaxed and add nothing to happens-before.

use crate::engine::memory_model::event::{Event, Id, Kind, Rmw};
use crate::engine::memory_model::graph::Graph;

/// In `Label::b` of a load: the comparison of a futex wait with `Label::a`.
pub(crate) const COMPARE: u64 = 1;

/// In `Label::b` of an `Enqueue`: comes with a comparison.
pub(crate) const COMPARED: u64 = 1;

/// In `Label::b` of an `Enqueue`: moves the ticket in `Label::a` here from another queue.
pub(crate) const MOVED: u64 = 2;

/// A place in a queue.
pub(crate) type Ticket = u64;

pub(crate) fn ticket(tid: u32, idx: u32) -> Ticket {
    u64::from(tid) << 32 | u64::from(idx)
}

fn is_queue(e: &Event) -> bool {
    e.label.kind == Kind::Rmw && e.label.rmw.is_queue()
}

fn ticket_of(e: &Event) -> Ticket {
    if e.label.b == MOVED { e.label.a } else { ticket(e.tid, e.idx) }
}

/// An entry of a queue: the ticket of the waiter and its channels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ticket: Ticket,
    pub(crate) channels: u32,
}

/// The places in the queue `loc` after the first `len` events of its chain.
fn places(g: &Graph, loc: u32, len: u32) -> Vec<Place> {
    let mut queue = Vec::new();
    for &id in &g.locs[loc as usize].mo[..len as usize] {
        let e = g.ev(id);
        match e.label.rmw {
            Rmw::Enqueue => queue.push(Place { ticket: ticket_of(e), channels: e.label.channels }),
            Rmw::Wake => {
                let mut i = 0;
                queue.retain(|_| {
                    i += 1;
                    e.wval >> (i - 1) & 1 == 0
                });
            }
            Rmw::Leave => queue.retain(|place| place.ticket != e.label.a),
            _ => {}
        }
    }
    queue
}

/// The places before the wake `e` that it is about, as a mask.
fn matching_places(g: &Graph, e: &Event) -> u64 {
    let queue = places(g, e.label.loc, e.pos - 1);
    let meets =
        |(i, place): (usize, &Place)| u64::from(place.channels & e.label.channels != 0) << i;
    queue.iter().take(63).enumerate().map(meets).sum()
}

fn binomial(n: u64, k: u64) -> u64 {
    (0..k).fold(1, |acc, i| acc * (n - i) / (i + 1))
}

/// The `index`-th set of `k` among the places in `matching`, as a mask; the first is that of the
/// oldest.
fn subset(matching: u64, k: u64, mut index: u64) -> u64 {
    let (mut mask, mut left, mut rest) = (0, k, matching);
    while left > 0 && rest != 0 {
        let place = rest & rest.wrapping_neg();
        rest ^= place;
        let with = binomial(u64::from(rest.count_ones()), left - 1);
        if index < with {
            mask |= place;
            left -= 1;
        } else {
            index -= with;
        }
    }
    mask
}

/// Computes what a queue event gets: how many tickets a wake takes (and in `wval` which), whether
/// a thread that leaves still had its place.
pub(in crate::engine) fn evaluate(g: &mut Graph, id: Id) {
    let e = *g.ev(id);
    if !is_queue(&e) {
        return;
    }
    let (rval, wval) = match e.label.rmw {
        Rmw::Wake => {
            let matching = matching_places(g, &e);
            let k = u64::from(matching.count_ones()).min(e.label.a);
            (k, subset(matching, k, u64::from(e.choice)))
        }
        Rmw::Leave => {
            let queue = places(g, e.label.loc, e.pos - 1);
            (u64::from(queue.iter().any(|place| place.ticket == e.label.a)), 0)
        }
        _ => (0, 0),
    };
    let e = g.ev_mut(id);
    e.rval = rval;
    e.wval = wval;
}

/// Returns the number of ways for a wake to choose its tickets.
pub(in crate::engine) fn choices(g: &Graph, id: Id) -> u32 {
    let e = g.ev(id);
    if !is_queue(e) || e.label.rmw != Rmw::Wake {
        return 1;
    }
    let n = u64::from(matching_places(g, e).count_ones());
    binomial(n, n.min(e.label.a)) as u32
}

/// Returns whether a queue event may stand where it does. A `Leave` is left out: the kernel takes
/// the lock only when the ticket was not taken.
pub(in crate::engine) fn allows(g: &Graph, id: Id) -> bool {
    let e = g.ev(id);
    if !is_queue(e) || e.label.rmw != Rmw::Enqueue || e.label.b != COMPARED {
        return true;
    }
    let compare = g.ev(g.threads[e.tid as usize].events[e.idx as usize - 1]);
    let (word, seen) = (compare.label.loc, g.pos(compare.rf));
    let earlier = &g.locs[e.label.loc as usize].mo[..e.pos as usize - 1];
    earlier.iter().all(|&k| g.ev(k).label.rmw == Rmw::Leave || g.floor(word, k) <= seen)
}

/// Returns whether a thread stands between the two events of a futex wait: it goes first.
pub(in crate::engine) fn owes_enqueue(g: &Graph, tid: u32) -> bool {
    g.threads[tid as usize].events.last().is_some_and(|&id| {
        let e = g.ev(id);
        e.label.kind == Kind::Load && e.label.b == COMPARE && e.rval == e.label.a
    })
}

/// The wake that took a ticket, when one did.
pub(crate) fn taken_by(g: &Graph, ticket: Ticket) -> Option<Id> {
    let (tid, idx) = ((ticket >> 32) as usize, ticket as u32 as usize);
    let mut at = *g.threads[tid].events.get(idx)?;
    'queues: loop {
        let loc = g.ev(at).label.loc;
        let chain = &g.locs[loc as usize].mo;
        for (i, &wake) in chain.iter().enumerate().skip(g.ev(at).pos as usize) {
            let e = g.ev(wake);
            if e.label.rmw != Rmw::Wake || e.wval == 0 {
                continue;
            }
            let place = places(g, loc, i as u32).iter().position(|place| place.ticket == ticket)?;
            if place >= 64 || e.wval >> place & 1 == 0 {
                continue;
            }
            // Of those that a requeue takes the first `b` are woken, the others move.
            let before = (e.wval & ((1 << place) - 1)).count_ones();
            if u64::from(before) < e.label.b {
                return Some(wake);
            }
            let moved = g.events.iter().position(|m| {
                m.label.kind == Kind::Rmw
                    && m.label.rmw == Rmw::Enqueue
                    && m.label.b == MOVED
                    && m.label.a == ticket
                    && m.tid == e.tid
                    && m.idx > e.idx
            });
            match moved {
                Some(m) => {
                    at = m as Id;
                    continue 'queues;
                }
                None => return None,
            }
        }
        return None;
    }
}

/// The places that a requeue (a `Wake` of `a` tickets, `b` of them to wake) has to move.
pub(crate) fn moved_by(g: &Graph, id: Id) -> Vec<Place> {
    let e = g.ev(id);
    let queue = places(g, e.label.loc, e.pos - 1);
    queue
        .iter()
        .enumerate()
        .filter(|(i, _)| *i < 64 && e.wval >> i & 1 == 1)
        .skip(e.label.b as usize)
        .map(|(_, &place)| place)
        .collect()
}
