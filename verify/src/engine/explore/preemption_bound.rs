//! How many preemptions an execution needs: the fewest switches away from a thread that could go
//! on, among the orders of its events in which every read comes after the write that it reads from.
//!
//! To bound them is not to explore everything. What is kept is what loom calls
//! `LOOM_MAX_PREEMPTIONS`; source: Marmanis, Kokologiannakis, Vafeiadis, "Reconciling Preemption
//! Bounding with DPOR", TACAS 2023. An execution within the bound may be reached by way of one that
//! is not, so there is a slack of one for each thread beyond two.

use crate::engine::memory_model::event::{Id, Kind, NONE};
use crate::engine::memory_model::graph::Graph;

/// Buffers that live as long as the checker.
#[derive(Debug, Default)]
pub(crate) struct Preemptions {
    done: Vec<usize>,
}

impl Preemptions {
    /// Whether the execution needs no more than `bound`, with the slack.
    pub(crate) fn within(&mut self, g: &Graph, bound: usize) -> bool {
        let slack = g.threads.len().saturating_sub(2);
        let mut done = std::mem::take(&mut self.done);
        done.clear();
        done.resize(g.threads.len(), 0);
        let fits = go_on(g, &mut done, 0, bound + slack);
        self.done = done;
        fits
    }
}

fn next(g: &Graph, done: &[usize], t: usize) -> Option<Id> {
    g.threads[t].events.get(done[t]).copied()
}

fn ready(g: &Graph, done: &[usize], t: usize) -> bool {
    let before = |id: Id| id >= NONE || done[g.ev(id).tid as usize] > g.ev(id).idx as usize;
    next(g, done, t).is_some_and(|id| {
        let e = g.ev(id);
        let joined = e.label.kind != Kind::Join
            || done[e.label.a as usize] == g.threads[e.label.a as usize].events.len();
        before(g.threads[t].spawn) && joined && before(e.rf)
    })
}

/// Runs thread `t` as far as it gets, which never needs more than to stop before, then any other.
fn go_on(g: &Graph, done: &mut [usize], t: usize, left: usize) -> bool {
    let start = done[t];
    while ready(g, done, t) {
        done[t] += 1;
    }
    let left = match next(g, done, t) {
        // It waits, or stands at its end: no preemption.
        None => Some(left),
        Some(id)
            if matches!(g.ev(id).label.kind, Kind::Join | Kind::Woken) || g.ev(id).label.awaits =>
        {
            Some(left)
        }
        Some(_) => left.checked_sub(1),
    };
    let fits = match left {
        _ if done.iter().zip(&g.threads).all(|(&n, t)| n == t.events.len()) => true,
        None => false,
        Some(left) => (0..g.threads.len())
            .any(|other| other != t && ready(g, done, other) && go_on(g, done, other, left)),
    };
    done[t] = start;
    fits
}
