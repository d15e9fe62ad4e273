//! Why a read may be stale, and why two accesses are not ordered: the edge of happens-before that
//! is missing.

use super::failure;
use super::failure::Failed;
use crate::engine::memory_model::event::{Event, Id, Kind, NONE, acquires, releases};
use crate::engine::memory_model::graph::Graph;

/// As many notes as fit with the execution on a page.
const MOST: usize = 4;

fn hb_eq(g: &Graph, a: Id, b: Id) -> bool {
    a == b || g.hb(a, b)
}

/// On the way from `from` to `to` in (po ∪ rf)⁺: the first read from another thread that does not
/// make what came before the write happen before it.
fn missing(g: &Graph, from: Id, to: Id) -> Option<(Id, Id)> {
    let reads = (0..g.events.len() as Id)
        .filter(|&r| g.ev(r).reads() && g.ev(r).rf < NONE && g.porf_eq(r, to));
    let mut edges = reads.map(|r| (g.ev(r).rf, r)).filter(|&(w, r)| g.ev(w).tid != g.ev(r).tid);
    edges.find(|&(w, r)| hb_eq(g, from, w) && !hb_eq(g, from, r))
}

/// Which side of an edge does not do its part.
fn reason(g: &Graph, order: &[u32], (w, r): (Id, Id)) -> String {
    let (write, read) = (g.ev(w), g.ev(r));
    let at = |e: &Event| {
        format!(
            "{}:{}",
            e.label.site.file().rsplit('/').next().unwrap_or_default(),
            e.label.site.line()
        )
    };
    let (w, r) = (order[w as usize], order[r as usize]);
    if !releases(write.ordering()) && write.fence == NONE {
        format!("#{w} is {:?} and does not release ({})", write.ordering(), at(write))
    } else if !acquires(read.ordering()) {
        format!("#{r} is {:?} and does not acquire ({})", read.ordering(), at(read))
    } else {
        format!("#{w} ({}) does not hand on what came before it", at(write))
    }
}

/// Returns the notes that the report shows below the execution.
pub(crate) fn notes(failed: &Failed, order: &[u32]) -> Vec<String> {
    let g = &failed.graph;
    let mut notes = Vec::new();
    let via = |edge: (Id, Id)| {
        let (w, r) = (order[edge.0 as usize], order[edge.1 as usize]);
        format!("by way of #{w} -> #{r}, which does not synchronise: {}", reason(g, order, edge))
    };
    if let failure::Kind::Race { threads, .. } = failed.kind {
        let (first, second) = (g.last(threads.0), g.last(threads.1));
        if second < NONE && first < NONE {
            // From what the one thread has done to where the other stands.
            let own = |w: Id| g.ev(w).tid == threads.0;
            let reads = (0..g.events.len() as Id)
                .filter(|&r| g.ev(r).reads() && g.ev(r).rf < NONE && g.porf_eq(r, second));
            let edge = reads
                .map(|r| (g.ev(r).rf, r))
                .find(|&(w, r)| own(w) && g.ev(r).tid != threads.0 && !g.hb(w, r));
            notes.extend(edge.map(|edge| {
                format!("thread {} comes before thread {} only {}", threads.0, threads.1, via(edge))
            }));
        }
    }
    let mut stale: Vec<Id> =
        (0..g.events.len() as Id).filter(|&r| newer(g, order, r).is_some()).collect();
    // The last ones are nearest to what went wrong.
    stale.sort_by_key(|&r| std::cmp::Reverse(order[r as usize]));
    for r in stale.into_iter().take(MOST) {
        let newest = newer(g, order, r).expect("just seen");
        let (n, reader) = (order[newest as usize], order[r as usize]);
        notes.push(if g.porf_eq(newest, r) {
            match missing(g, newest, r) {
                Some(edge) => {
                    format!("#{reader} may be stale: #{n} comes before it only {}", via(edge))
                }
                None => continue,
            }
        } else {
            format!("#{reader} may be stale: nothing orders #{n} before it")
        });
    }
    notes
}

/// A newer write than the one that a load read, that was there when it read.
pub(crate) fn newer(g: &Graph, order: &[u32], r: Id) -> Option<Id> {
    let e = g.ev(r);
    if e.label.kind != Kind::Load || e.rf == NONE {
        return None;
    }
    let later = &g.locs[e.label.loc as usize].mo[g.pos(e.rf) as usize..];
    later.iter().rev().copied().find(|&w| order[w as usize] < order[r as usize])
}
