//! One order of the events of a graph: an interleaving that has the graph.

use super::event::{Event, Id, Kind, NONE};
use super::graph::Graph;

/// The id of an event of the graph.
pub(crate) fn id(g: &Graph, e: &Event) -> Id {
    g.threads[e.tid as usize].events[e.idx as usize]
}

/// The events in an order in which every read comes after the write that it reads.
pub(crate) fn linear(g: &Graph) -> Vec<Id> {
    let mut done = vec![0_usize; g.threads.len()];
    let mut out = Vec::with_capacity(g.events.len());
    let mut cur = 0;
    while out.len() < g.events.len() {
        let before = |done: &[usize], id: Id| {
            id >= NONE || done[g.ev(id).tid as usize] > g.ev(id).idx as usize
        };
        let ready = |t: usize| {
            let thread = &g.threads[t];
            thread.events.get(done[t]).is_some_and(|&id| {
                let e = g.ev(id);
                let started = thread.spawn == NONE || before(&done, thread.spawn);
                let joined = e.label.kind != Kind::Join || {
                    let child = e.label.a as usize;
                    done[child] == g.threads[child].events.len()
                };
                started && joined && before(&done, e.rf)
            })
        };
        let next = if ready(cur) { Some(cur) } else { (0..g.threads.len()).find(|&t| ready(t)) };
        let Some(t) = next else { break };
        out.push(g.threads[t].events[done[t]]);
        done[t] += 1;
        cur = t;
    }
    out
}
