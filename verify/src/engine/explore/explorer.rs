//! Adding an event to the graph: the choice that is taken, and those that are left for later.
//!
//! Source: Kokologiannakis, Marmanis, Gladstein, Vafeiadis, "Truly Stateless, Optimal Dynamic
//! Partial Order Reduction", POPL 2022 (TruSt). A read may take its value from every write that
//! coherence and the order of sequentially consistent events allow; a write may take every place
//! in modification order that they allow, and goes on to revisit reads (`revisit`).
//!
//! The graph at hand goes on with the alternative that is *maximal*: the last write in
//! modification order, the last place. It is always consistent. Every other alternative is a graph
//! of its own, put on a stack: no state is shared between them, so any worker may take one.
//!
//! A read-modify-write is one event here, where the paper has two. Its read may pick a write that
//! another read-modify-write took. That graph is not consistent and is never explored, but the
//! revisits out of it are: they are how the second of two `fetch_add` gets before the first.

use super::preemption_bound::Preemptions;
use super::replay::{Step, StepKind};
use super::wait_queue;
use crate::engine::memory_model::consistency::{Psc, coherent};
use crate::engine::memory_model::event::{
    CRASH, INIT, Id, Kind, Label, Rmw, SPURIOUS, TIMEOUT, apply,
};
use crate::engine::memory_model::graph::Graph;

/// The number of events of a kind that an execution may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Failures of `compare_exchange_weak` although the value matched.
    pub weak: u32,
    /// Waits that end although no thread ended them.
    pub spurious: u32,
    /// Timeouts while others could still run.
    pub timeouts: u32,
    /// Processes that vanish.
    pub crashes: u32,
    /// Switches away from a thread that could go on; `None` for any number.
    pub preemptions: Option<usize>,
}

/// The process that a choice whether to vanish is of.
pub(in crate::engine) fn process_of(label: &Label) -> Option<u32> {
    (label.kind == Kind::Choose && label.b & 0xff == CRASH).then_some((label.b >> 8) as u32)
}

impl Budget {
    pub(in crate::engine) fn of(self, what: u64) -> u32 {
        match what & 0xff {
            SPURIOUS => self.spurious,
            TIMEOUT => self.timeouts,
            CRASH => self.crashes,
            _ => u32::MAX,
        }
    }
}

/// The graph at hand and the graphs still to be explored.
pub(crate) struct Explorer {
    pub graph: Graph,
    pub stack: Vec<Graph>,
    pool: Vec<Graph>,
    pub(in crate::engine) psc: Psc,
    pub(in crate::engine) map: Vec<Id>,
    preemptions: Preemptions,
    pub budget: Budget,
    /// An awaiting event of another thread was woken by the last addition.
    pub woke: bool,
    /// The graph at hand has no consistent continuation.
    pub inconsistent: bool,
    /// The graph at hand goes on, and nothing is put aside.
    pub no_alternatives: bool,
    /// Graphs that were not put aside because they have more preemptions than they may have.
    pub rejected: u64,
}

impl Explorer {
    pub(crate) fn new(budget: Budget) -> Explorer {
        Explorer {
            graph: Graph::new(),
            stack: Vec::new(),
            pool: Vec::new(),
            psc: Psc::default(),
            map: Vec::new(),
            preemptions: Preemptions::default(),
            budget,
            woke: false,
            inconsistent: false,
            no_alternatives: false,
            rejected: 0,
        }
    }

    /// An empty graph whose memory is reused.
    pub(in crate::engine) fn spare(&mut self) -> Graph {
        self.pool.pop().unwrap_or_default()
    }

    pub(in crate::engine) fn copy(&mut self, from: &Graph) -> Graph {
        let mut g = self.spare();
        g.clone_from(from);
        g
    }

    pub(in crate::engine) fn recycle(&mut self, g: Graph) {
        if self.pool.len() < 256 {
            self.pool.push(g);
        }
    }

    /// Goes on with the graph that was put aside last.
    pub(crate) fn next(&mut self) -> bool {
        match self.stack.pop() {
            Some(g) => {
                let old = std::mem::replace(&mut self.graph, g);
                self.recycle(old);
                true
            }
            None => false,
        }
    }

    /// Returns whether the graph at hand has more preemptions than it may have.
    pub(crate) fn preempts_too_often(&mut self) -> bool {
        self.budget.preemptions.is_some_and(|bound| !self.preemptions.within(&self.graph, bound))
    }

    /// Returns whether an awaiting read-modify-write could go on with the newest value.
    pub(crate) fn enabled(&self, label: &Label) -> bool {
        let l = &self.graph.locs[label.loc as usize];
        let newest = self.graph.value(label.loc, l.mo.last().copied().unwrap_or(INIT));
        apply(label, newest).is_some()
    }

    /// Adds the next event of thread `tid`. Alternatives go on the stack.
    pub(crate) fn add(&mut self, tid: u32, label: Label) -> Id {
        let mut g = std::mem::take(&mut self.graph);
        let id = g.append(tid, label);
        match label.kind {
            Kind::Load => self.choose_write_for_load(&mut g, id),
            Kind::Store => self.choose_place_for_store(&mut g, id),
            Kind::Rmw => self.choose_write_for_rmw(&mut g, id),
            Kind::Choose => {
                g.update_clocks(id);
                if self.no_alternatives {
                    self.graph = g;
                    return id;
                }
                if let Some(process) = process_of(&label) {
                    self.push_ends(&g, id, process);
                    self.graph = g;
                    return id;
                }
                let left = self.budget.of(label.b);
                let spent = |e: &&crate::engine::memory_model::event::Event| {
                    e.label.kind == Kind::Choose
                        && e.label.b & 0xff == label.b & 0xff
                        && e.choice > 0
                };
                let others =
                    left == u32::MAX || (g.events.iter().filter(spent).count() as u32) < left;
                let last = if others { label.a as u32 } else { 1 };
                for choice in (1..last).rev() {
                    let mut other = self.copy(&g);
                    other.ev_mut(id).choice = choice;
                    self.stack.push(other);
                }
            }
            Kind::Woken => {
                g.ev_mut(id).rf = wait_queue::taken_by(&g, label.a)
                    .expect("a thread is woken when its ticket is taken");
                g.update_clocks(id);
            }
            _ => g.update_clocks(id),
        }
        self.graph = g;
        id
    }

    /// Puts aside the graphs in which the process vanishes at the choice `id`, and in which the
    /// thread is stopped there because it vanishes elsewhere. See `runtime::crash`.
    fn push_ends(&mut self, g: &Graph, id: Id, process: u32) {
        let (mut vanished, mut own) = (0, false);
        for e in g.events.iter().filter(|e| e.choice == 1) {
            if let Some(other) = process_of(&e.label) {
                vanished += 1;
                own |= other == process;
            }
        }
        let room = vanished < self.budget.crashes;
        let family = g.ev(id).label.a > 2;
        for (choice, allowed) in [(2, family && (own || room)), (1, !own && room)] {
            if allowed {
                let mut other = self.copy(g);
                other.ev_mut(id).choice = choice;
                self.stack.push(other);
            }
        }
    }

    /// Adds the next event of thread `tid` as a replay string says. Fails when it cannot be.
    pub(crate) fn add_replayed(&mut self, tid: u32, label: Label, step: &Step) -> Option<Id> {
        let mut g = std::mem::take(&mut self.graph);
        let id = g.append(tid, label);
        let fits = |w: Id| w == INIT || (w < id && g.ev(w).wrote && g.ev(w).label.loc == label.loc);
        let ok = match (label.kind, step.kind) {
            (Kind::Load | Kind::Rmw, StepKind::Read(w)) if fits(w) => {
                link_read(&mut g, id, w, step.choice);
                true
            }
            (Kind::Store, StepKind::WriteAfter(w)) if fits(w) => {
                let pos = g.pos(w) + 1;
                g.ev_mut(id).wval = label.a;
                g.insert_mo(id, pos);
                g.update_clocks(id);
                true
            }
            (Kind::Choose, StepKind::Choose(n)) => {
                g.ev_mut(id).choice = n;
                g.update_clocks(id);
                true
            }
            (Kind::Woken, StepKind::Nothing) => match wait_queue::taken_by(&g, label.a) {
                Some(w) => {
                    g.ev_mut(id).rf = w;
                    g.update_clocks(id);
                    true
                }
                None => false,
            },
            (Kind::Load | Kind::Rmw | Kind::Store | Kind::Choose | Kind::Woken, _) => false,
            _ => {
                g.update_clocks(id);
                true
            }
        };
        self.graph = g;
        ok.then_some(id)
    }

    /// The positions in modification order that an event may have as far as coherence is concerned:
    /// the first one, and the newest.
    fn range(&self, g: &Graph, id: Id) -> (u32, u32) {
        let loc = g.ev(id).label.loc;
        let newest = g.locs[loc as usize].mo.len() as u32;
        (if self.no_alternatives { newest } else { g.floor(loc, g.po_prev(id)) }, newest)
    }

    /// Picks the write that a load reads from: the newest one here, and each other one that
    /// coherence permits in a graph of its own, which is put aside.
    fn choose_write_for_load(&mut self, g: &mut Graph, id: Id) {
        let loc = g.ev(id).label.loc;
        let (floor, newest) = self.range(g, id);
        for pos in floor..newest {
            let mut other = self.copy(g);
            let w = other.at(loc, pos);
            link_read(&mut other, id, w, 0);
            self.push_if_consistent(other, &[id]);
        }
        let w = g.at(loc, newest);
        link_read(g, id, w, 0);
    }

    /// Picks the place of a store in the order of its location: the end here, and each other place
    /// in a graph of its own. Earlier loads that may read from it are revisited.
    fn choose_place_for_store(&mut self, g: &mut Graph, id: Id) {
        let label = g.ev(id).label;
        let (floor, newest) = self.range(g, id);
        let e = g.ev_mut(id);
        e.wval = label.a;
        e.wrote = true;
        g.update_clocks(id);
        self.revisit(g, id, false);
        for after in floor..newest {
            if g.taker(label.loc, g.at(label.loc, after)).is_some() {
                continue;
            }
            let mut other = self.copy(g);
            other.insert_mo(id, after + 1);
            self.push_if_consistent(other, &[id]);
        }
        g.insert_mo(id, newest + 1);
        self.wake_ready(g, label.loc);
    }

    /// Picks the write that a read-modify-write reads from, as
    /// [`choose_write_for_load`](Self::choose_write_for_load) does; its own write follows that write
    /// immediately. Where another one follows already, that one is revisited.
    fn choose_write_for_rmw(&mut self, g: &mut Graph, id: Id) {
        let label = g.ev(id).label;
        let loc = label.loc;
        let (floor, newest) = self.range(g, id);
        for pos in floor..=newest {
            let w = g.at(loc, pos);
            let writes = apply(&label, g.value(loc, w)).is_some();
            if !writes && label.awaits {
                continue;
            }
            if writes && label.rmw == Rmw::WeakCas && self.may_fail_spuriously(g) {
                let mut other = self.copy(g);
                link_read(&mut other, id, w, 1);
                self.push_if_consistent(other, &[id]);
            }
            if pos == newest {
                break;
            }
            let taken = writes && g.taker(loc, w).is_some();
            let mut other = self.copy(g);
            link_read(&mut other, id, w, 0);
            if taken {
                if wait_queue::allows(&other, id) {
                    self.revisit(&other, id, true);
                }
                self.recycle(other);
            } else if wait_queue::allows(&other, id) && self.psc.holds(&other, &[id]) {
                self.finish(other, id);
            } else {
                self.recycle(other);
            }
        }
        let w = g.at(loc, newest);
        link_read(g, id, w, 0);
        if !wait_queue::allows(g, id) {
            self.inconsistent = true;
            return;
        }
        if g.ev(id).wrote {
            self.push_choices(g, id);
            self.revisit(g, id, true);
            self.wake_ready(g, loc);
        }
    }

    pub(in crate::engine) fn may_fail_spuriously(&self, g: &Graph) -> bool {
        !self.no_alternatives
            && self.budget.weak > 0
            && (g.events.iter().filter(|e| e.label.rmw == Rmw::WeakCas && e.choice == 1).count()
                as u32)
                < self.budget.weak
    }

    /// Puts aside the other ways to choose which tickets a wake takes.
    pub(in crate::engine) fn push_choices(&mut self, g: &Graph, id: Id) {
        let last = if self.no_alternatives { 1 } else { wait_queue::choices(g, id) };
        for choice in 1..last {
            let mut other = self.copy(g);
            other.ev_mut(id).choice = choice;
            wait_queue::evaluate(&mut other, id);
            self.finish_chosen(other, id);
        }
    }

    /// Puts aside a graph, out of which nothing is revisited, if it is consistent with what has
    /// been linked. Where that takes much work, the bound on preemptions is checked first;
    /// otherwise when the graph is taken up.
    pub(in crate::engine) fn push_if_consistent(&mut self, g: Graph, linked: &[Id]) {
        let bound = self.budget.preemptions.filter(|_| g.sc >= 2);
        if bound.is_some_and(|bound| !self.preemptions.within(&g, bound)) {
            self.rejected += 1;
            self.recycle(g);
        } else if self.psc.holds(&g, linked) {
            self.stack.push(g);
        } else {
            self.recycle(g);
        }
    }

    /// Puts aside a graph in which `id` has just been linked, with what follows from its write.
    pub(in crate::engine) fn finish(&mut self, g: Graph, id: Id) {
        if g.ev(id).wrote && g.ev(id).label.kind == Kind::Rmw {
            self.push_choices(&g, id);
        }
        self.finish_chosen(g, id);
    }

    fn finish_chosen(&mut self, mut g: Graph, id: Id) {
        if g.ev(id).wrote {
            self.revisit(&g, id, true);
        }
        let loc = g.ev(id).label.loc;
        self.wake_ready(&mut g, loc);
        self.stack.push(g);
    }

    /// Lets an event that waits at `loc` go on when the newest value allows it. A wait that was
    /// revisited keeps its place in the order of additions, so it is no new event; a graph in
    /// which it slept on would only be blocked.
    pub(in crate::engine) fn wake_ready(&mut self, g: &mut Graph, loc: u32) {
        while g.locs[loc as usize].waiting > 0 {
            let w = g.locs[loc as usize].mo.last().copied().unwrap_or(INIT);
            let value = g.value(loc, w);
            let ready: Vec<Id> = g.locs[loc as usize]
                .reads
                .iter()
                .copied()
                .filter(|&r| g.ev(r).waiting && apply(&g.ev(r).label, value).is_some())
                .collect();
            let Some((&first, others)) = ready.split_first() else {
                return;
            };
            let others = if self.no_alternatives { &[] } else { others };
            for &r in others {
                let mut other = self.copy(g);
                wake(&mut other, r, w);
                self.finish(other, r);
            }
            wake(g, first, w);
            self.woke = true;
            self.push_choices(g, first);
            self.revisit(g, first, true);
        }
    }

    /// Adds an event that cannot go on with the newest value, at the end, when nothing else can
    /// run: it sleeps, and the graphs in which it went on with an older value are put aside.
    pub(crate) fn add_blocked(&mut self, tid: u32, label: Label) {
        let mut g = std::mem::take(&mut self.graph);
        let id = g.append(tid, label);
        let (floor, newest) = self.range(&g, id);
        for pos in floor..newest {
            let w = g.at(label.loc, pos);
            if apply(&label, g.value(label.loc, w)).is_none() {
                continue;
            }
            let taken = g.taker(label.loc, w).is_some();
            let mut other = self.copy(&g);
            link_read(&mut other, id, w, 0);
            if !taken && self.psc.holds(&other, &[id]) {
                self.finish(other, id);
            } else {
                self.revisit(&other, id, true);
                self.recycle(other);
            }
        }
        let w = g.at(label.loc, newest);
        link_read(&mut g, id, w, 0);
        self.graph = g;
    }
}

fn wake(g: &mut Graph, r: Id, w: Id) {
    let loc = g.ev(r).label.loc as usize;
    g.locs[loc].waiting -= 1;
    g.locs[loc].reads.retain(|&x| x != r);
    let slept = g.ev(r).rf;
    link_read(g, r, w, 0);
    g.ev_mut(r).slept = slept;
}

/// Lets the read `r`, the last event of its thread, take its value from `w`, and write if it does.
pub(in crate::engine) fn link_read(g: &mut Graph, r: Id, w: Id, choice: u32) {
    let label = g.ev(r).label;
    let rval = g.value(label.loc, w);
    let pos = g.pos(w);
    let e = g.ev_mut(r);
    e.rf = w;
    e.rval = rval;
    e.choice = choice;
    e.waiting = false;
    e.slept = crate::engine::memory_model::event::NONE;
    g.add_read(r);
    if label.kind == Kind::Rmw {
        let spurious = label.rmw == Rmw::WeakCas && choice == 1;
        match apply(&label, rval) {
            Some(new) if !spurious => {
                g.ev_mut(r).wval = new;
                g.insert_mo(r, pos + 1);
                wait_queue::evaluate(g, r);
            }
            _ if label.awaits => {
                g.ev_mut(r).waiting = true;
                g.locs[label.loc as usize].waiting += 1;
            }
            _ => {}
        }
    }
    g.update_clocks(r);
}

/// Returns whether `r` may read `w` as far as coherence is concerned.
pub(in crate::engine) fn may_read(g: &Graph, r: Id, w: Id) -> bool {
    let floor = g.floor(g.ev(r).label.loc, g.po_prev(r));
    coherent(g, w, floor)
}
