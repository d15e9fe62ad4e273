//! A number for an execution graph, the same for equal graphs, however and in whichever run they
//! came about.

use crate::engine::memory_model::event::{Event, INIT, Id, NONE};
use crate::engine::memory_model::graph::Graph;
use std::hash::{DefaultHasher, Hash, Hasher};

fn mix(salt: u64, what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (salt, what).hash(&mut hasher);
    hasher.finish()
}

/// Names for the threads: by where in which thread each was created.
fn threads(g: &Graph) -> Vec<u64> {
    fn name(g: &Graph, t: usize) -> u64 {
        match g.threads[t].spawn {
            NONE => t as u64,
            spawn => mix(name(g, g.ev(spawn).tid as usize), g.ev(spawn).idx),
        }
    }
    (0..g.threads.len()).map(|t| name(g, t)).collect()
}

/// The identity of an execution: where each read takes its value from, what each write
/// comes after, which alternative each choice took. All else follows, since threads are
/// deterministic. 128 bits: two of a billion executions are taken for one with a probability of
/// 10⁻²¹.
pub(crate) fn fingerprint(g: &Graph) -> u128 {
    let names = threads(g);
    let name = |id: Id| match id {
        INIT => (u64::MAX, 0),
        NONE => (u64::MAX, 1),
        _ => (names[g.ev(id).tid as usize], g.ev(id).idx),
    };
    let event = |salt: u64, e: &Event| {
        let after = if e.wrote { name(g.at(e.label.loc, e.pos - 1)) } else { name(NONE) };
        u128::from(mix(
            salt,
            (names[e.tid as usize], e.idx, e.label.kind, name(e.rf), after, e.choice),
        ))
    };
    let sum = |salt| g.events.iter().fold(0_u128, |sum, e| sum.wrapping_add(event(salt, e)));
    sum(1) << 64 ^ sum(2)
}
