//! The order of locks: a graph with an edge from each held lock to the locks that its holder
//! attempted to take.
//!
//! The graph has no cycles: an edge that would close one is reported instead.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::cycle::{Lock, Step};
use crate::diagnostics::lock_kind::LockKind;
use crate::fork::PerProcess;

/// A lock's place in the graph: 0 until it is first used, then its number. It leaves the graph when
/// it is dropped.
pub(crate) struct Node(pub(super) AtomicU64);

impl Node {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn lock(&self, kind: LockKind) -> Lock {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // Relaxed, all: the number alone is used, and no data is published through it.
        let number = match self.0.load(Relaxed) {
            0 => {
                let fresh = LAST.fetch_add(1, Relaxed) + 1;
                self.0
                    .compare_exchange(0, fresh, Relaxed, Relaxed)
                    .map_or_else(|first| first, |_| fresh)
            }
            number => number,
        };
        Lock { kind, number }
    }

    /// Returns the number, or 0.
    pub(super) fn number(&self) -> u64 {
        // Relaxed: the number alone is used, and no data is published through it.
        self.0.load(Relaxed)
    }
}

/// From a lock to the locks that its holders attempted to take.
#[derive(Default)]
pub(super) struct Graph {
    after: BTreeMap<u64, BTreeMap<u64, Step>>,
    /// The reverse edges, to find the edges to a lock that is dropped.
    before: BTreeMap<u64, BTreeSet<u64>>,
    /// The edges that would close a cycle and that were shown to the hook.
    shown: BTreeSet<(u64, u64)>,
}

/// The graph of this process: a forked child begins with an empty graph.
static GRAPH: PerProcess<RwLock<Graph>> = PerProcess::new();

fn graph() -> &'static RwLock<Graph> {
    GRAPH.get(|_| RwLock::new(Graph::default()))
}

pub(super) fn read() -> RwLockReadGuard<'static, Graph> {
    graph().read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write() -> RwLockWriteGuard<'static, Graph> {
    graph().write().unwrap_or_else(PoisonError::into_inner)
}

impl Graph {
    pub(super) fn knows(&self, from: u64, to: u64) -> bool {
        self.after.get(&from).is_some_and(|after| after.contains_key(&to))
    }

    /// Adds an edge, unless it closes a cycle. Then returns the rest of the cycle, from the end of
    /// the edge back to its start.
    pub(super) fn add(&mut self, step: Step) -> Result<(), Vec<Step>> {
        let (from, to) = (step.holds.number, step.asks_for.number);
        if let Some(way) = self.way(to, from) {
            return Err(way);
        }
        self.after.entry(from).or_default().insert(to, step);
        self.before.entry(to).or_default().insert(from);
        Ok(())
    }

    /// Returns whether this is the first time that the hook is shown this edge.
    pub(super) fn show(&mut self, from: u64, to: u64) -> bool {
        self.shown.insert((from, to))
    }

    /// Returns a shortest path along the edges.
    fn way(&self, from: u64, to: u64) -> Option<Vec<Step>> {
        let mut came_by: BTreeMap<u64, &Step> = BTreeMap::new();
        let mut front = vec![from];
        while !front.is_empty() {
            let mut next = Vec::new();
            for step in front.iter().filter_map(|at| self.after.get(at)).flat_map(BTreeMap::values)
            {
                let reached = step.asks_for.number;
                if reached == from || came_by.contains_key(&reached) {
                    continue;
                }
                came_by.insert(reached, step);
                if reached == to {
                    return Some(way_back(&came_by, from, to));
                }
                next.push(reached);
            }
            front = next;
        }
        None
    }

    pub(super) fn mentions(&self, number: u64) -> bool {
        self.after.contains_key(&number) || self.before.contains_key(&number)
    }

    pub(super) fn remove(&mut self, number: u64) {
        for to in self.after.remove(&number).unwrap_or_default().into_keys() {
            if let Some(before) = self.before.get_mut(&to) {
                before.remove(&number);
            }
        }
        for from in self.before.remove(&number).unwrap_or_default() {
            if let Some(after) = self.after.get_mut(&from) {
                after.remove(&number);
            }
        }
        self.shown.retain(|&(from, to)| from != number && to != number);
    }
}

fn way_back(came_by: &BTreeMap<u64, &Step>, from: u64, to: u64) -> Vec<Step> {
    let mut way = Vec::new();
    let mut at = to;
    while at != from {
        let step = came_by[&at];
        way.push(step.clone());
        at = step.holds.number;
    }
    way.reverse();
    way
}
