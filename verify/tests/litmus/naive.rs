//! The naive enumerator: every consistent execution graph of a litmus program, by definition.
//!
//! It shares nothing with the engine but the syntax tree. Where the engine is clever (revisits,
//! clocks, local coherence checks), this one is dull: it lets any thread take the next step, lets a
//! read take any write of its location and a write any place in modification order, writes the
//! axioms of RC11 down as relations over all events, and keeps what they accept. Graphs met before
//! are dropped, so that each is counted once.
//!
//! Building stepwise loses nothing: RC11 wants `po ∪ rf` acyclic, so every consistent graph has an
//! order in which each read comes after the write it reads; and a prefix of a consistent graph is
//! consistent, so an inconsistent one may be dropped at once ([`enumerate_without_pruning`] does
//! not, to show it).

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use verify::litmus::{Exploration, LocationId, Outcome, Program, Statement, Value};

use crate::relation::{CAPACITY, Relation, Set};

/// All complete executions and outcomes of `program`.
pub(crate) fn enumerate(program: &Program) -> Exploration {
    enumerate_within(program, usize::MAX).expect("no limit")
}

/// The same, or `None` as soon as more than `graphs` partial and complete graphs turn up, or one
/// has too many events.
pub(crate) fn enumerate_within(program: &Program, graphs: usize) -> Option<Exploration> {
    tally(program, graphs, true)
}

/// The same with the axioms asked of complete graphs only. Slow: for programs of a few events.
pub(crate) fn enumerate_without_pruning(program: &Program) -> Exploration {
    tally(program, usize::MAX, false).expect("no limit")
}

fn tally(program: &Program, limit: usize, prune: bool) -> Option<Exploration> {
    let mut found = Exploration::default();
    let visit = |graph: &Graph, nexts: &[Next<'_>]| {
        if nexts.iter().all(|next| !matches!(next, Next::Step(_))) && graph.is_consistent() {
            if nexts.iter().any(|next| matches!(next, Next::Blocked)) {
                found.blocked += 1;
            } else {
                found.executions += 1;
                found.outcomes.insert(graph.outcome(program));
            }
        }
        ControlFlow::Continue(())
    };
    search(program, None, limit, prune, visit)?;
    Some(found)
}

/// Whether two threads may access `plain`, one of them writing, with neither access before the
/// other: a data race, if `plain` is not atomic. It may only be loaded from and stored to. `None`
/// if there are more than `graphs` graphs.
pub(crate) fn has_race(program: &Program, plain: LocationId, graphs: usize) -> Option<bool> {
    let mut found = false;
    let visit = |graph: &Graph, _: &[Next<'_>]| match graph.is_racy(plain) {
        true => {
            found = true;
            ControlFlow::Break(())
        }
        false => ControlFlow::Continue(()),
    };
    search(program, Some(plain), graphs, true, visit)?;
    Some(found)
}

/// Shows `visit` every graph, complete or not, with what its threads would do next, until it has
/// seen enough.
fn search(
    program: &Program,
    plain: Option<LocationId>,
    limit: usize,
    prune: bool,
    mut visit: impl FnMut(&Graph, &[Next<'_>]) -> ControlFlow<()>,
) -> Option<()> {
    let mut todo = vec![Graph::initial(program, plain)];
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    while let Some(graph) = todo.pop() {
        // Two more events would not fit.
        if graph.events.len() + 2 > CAPACITY {
            return None;
        }
        let nexts: Vec<Next<'_>> =
            (0..program.threads.len()).map(|thread| graph.next(program, thread).0).collect();
        if visit(&graph, &nexts).is_break() {
            break;
        }
        for (thread, next) in nexts.iter().enumerate() {
            let Next::Step(statement) = next else {
                continue;
            };
            for grown in graph.step(program, thread, statement) {
                if seen.insert(grown.key()) && (!prune || grown.is_consistent()) {
                    if seen.len() > limit {
                        return None;
                    }
                    todo.push(grown);
                }
            }
        }
    }
    Some(())
}

/// The next step of a thread.
enum Next<'p> {
    Step(&'p Statement),
    Blocked,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Fence,
}

/// A read-modify-write is two events, as in the paper: the read, then the write.
#[derive(Clone)]
struct Event {
    /// None: one of the initial writes.
    thread: Option<usize>,
    /// Its place in its thread; for an initial write, its location.
    index: usize,
    kind: Kind,
    location: Option<LocationId>,
    value: u64,
    ordering: Ordering,
    /// For a read: the write it reads.
    reads_from: Option<usize>,
    /// For the write of a read-modify-write: its read.
    rmw_read: Option<usize>,
}

impl Event {
    fn acquires(&self) -> bool {
        self.kind != Kind::Write
            && matches!(self.ordering, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
    }

    fn releases(&self) -> bool {
        self.kind != Kind::Read
            && matches!(self.ordering, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
    }
}

/// The relations that the axioms and races are about.
struct Relations {
    po: Relation,
    rf: Relation,
    mo: Relation,
    rmw: Relation,
    hb: Relation,
}

/// An execution graph, complete or not.
#[derive(Clone)]
struct Graph {
    events: Vec<Event>,
    /// Per location: its writes in modification order. The initial one comes first.
    modification_order: Vec<Vec<usize>>,
    /// Per thread: for each step it took, the value that the step read, if it read one.
    results: Vec<Vec<Option<u64>>>,
    /// Per thread: how many events it has.
    lengths: Vec<usize>,
    /// A location that is not atomic, so that nothing synchronises through it.
    plain: Option<LocationId>,
}

impl Graph {
    fn initial(program: &Program, plain: Option<LocationId>) -> Self {
        let mut graph = Graph {
            events: Vec::new(),
            modification_order: Vec::new(),
            results: vec![Vec::new(); program.threads.len()],
            lengths: vec![0; program.threads.len()],
            plain,
        };
        for (index, location) in program.locations.iter().enumerate() {
            graph.events.push(Event {
                thread: None,
                index,
                kind: Kind::Write,
                location: Some(LocationId(index)),
                value: location.initial,
                ordering: Ordering::Relaxed,
                reads_from: None,
                rmw_read: None,
            });
            graph.modification_order.push(vec![index]);
        }
        graph
    }

    /// Replays what `thread` has done so far: what it would do next, and what its registers hold.
    fn next<'p>(&self, program: &'p Program, thread: usize) -> (Next<'p>, Vec<Option<u64>>) {
        let mut registers = vec![None; program.registers.len()];
        let mut results = self.results[thread].iter();
        let mut blocks = vec![program.threads[thread].body.iter()];
        while let Some(block) = blocks.last_mut() {
            let Some(statement) = block.next() else {
                blocks.pop();
                continue;
            };
            let register =
                |id: verify::litmus::RegisterId| registers[id.0].expect("assigned on every path");
            match statement {
                Statement::Assume(condition) => {
                    if !condition.holds(&register) {
                        return (Next::Blocked, registers);
                    }
                }
                Statement::If { condition, then, otherwise } => {
                    blocks.push(if condition.holds(&register) {
                        then.iter()
                    } else {
                        otherwise.iter()
                    });
                }
                Statement::Load { into, .. }
                | Statement::Swap { into, .. }
                | Statement::FetchAdd { into, .. }
                | Statement::CompareExchange { into, .. } => match results.next() {
                    Some(result) => {
                        if let Some(id) = into {
                            registers[id.0] = Some(result.expect("this step reads"));
                        }
                    }
                    None => return (Next::Step(statement), registers),
                },
                Statement::Store { .. } | Statement::Fence { .. } => {
                    if results.next().is_none() {
                        return (Next::Step(statement), registers);
                    }
                }
            }
        }
        (Next::Done, registers)
    }

    /// Every graph, consistent or not, in which `thread` has taken one more step.
    fn step(&self, program: &Program, thread: usize, statement: &Statement) -> Vec<Graph> {
        let registers = self.next(program, thread).1;
        let evaluate =
            |value: Value| value.evaluate(|id| registers[id.0].expect("assigned on every path"));
        match *statement {
            Statement::Store { location, value, ordering } => {
                let mut graph = self.clone();
                graph.results[thread].push(None);
                graph.writes(thread, location, evaluate(value), ordering, None)
            }
            Statement::Fence { ordering } => {
                let mut graph = self.clone();
                graph.results[thread].push(None);
                graph.push(thread, Kind::Fence, None, 0, ordering);
                vec![graph]
            }
            Statement::Load { location, ordering, .. } => {
                self.reads(thread, location, |_| (ordering, None))
            }
            Statement::Swap { location, value, ordering, .. } => {
                self.reads(thread, location, |_| (ordering, Some(evaluate(value))))
            }
            Statement::FetchAdd { location, value, ordering, .. } => {
                self.reads(thread, location, |old| {
                    (ordering, Some(old.wrapping_add(evaluate(value))))
                })
            }
            Statement::CompareExchange { location, expected, new, success, failure, .. } => self
                .reads(thread, location, |old| match old == evaluate(expected) {
                    true => (success, Some(evaluate(new))),
                    false => (failure, None),
                }),
            Statement::Assume(_) | Statement::If { .. } => unreachable!("no step of a thread"),
        }
    }

    /// Reads from every write; `then` says, given the value read, with which ordering and what to
    /// write, if anything.
    fn reads(
        &self,
        thread: usize,
        location: LocationId,
        then: impl Fn(u64) -> (Ordering, Option<u64>),
    ) -> Vec<Graph> {
        let mut grown = Vec::new();
        for &source in &self.modification_order[location.0] {
            let value = self.events[source].value;
            let (ordering, written) = then(value);
            let mut graph = self.clone();
            graph.results[thread].push(Some(value));
            let read = graph.push(thread, Kind::Read, Some(location), value, ordering);
            graph.events[read].reads_from = Some(source);
            match written {
                None => grown.push(graph),
                Some(new) => {
                    grown.extend(graph.writes(thread, location, new, ordering, Some(read)))
                }
            }
        }
        grown
    }

    /// Writes at every place of modification order, except before the initial write.
    fn writes(
        &self,
        thread: usize,
        location: LocationId,
        value: u64,
        ordering: Ordering,
        rmw_read: Option<usize>,
    ) -> Vec<Graph> {
        let places = 1..=self.modification_order[location.0].len();
        places
            .map(|place| {
                let mut graph = self.clone();
                let write = graph.push(thread, Kind::Write, Some(location), value, ordering);
                graph.events[write].rmw_read = rmw_read;
                graph.modification_order[location.0].insert(place, write);
                graph
            })
            .collect()
    }

    fn push(
        &mut self,
        thread: usize,
        kind: Kind,
        location: Option<LocationId>,
        value: u64,
        ordering: Ordering,
    ) -> usize {
        let index = self.lengths[thread];
        self.lengths[thread] += 1;
        let thread = Some(thread);
        self.events.push(Event {
            thread,
            index,
            kind,
            location,
            value,
            ordering,
            reads_from: None,
            rmw_read: None,
        });
        self.events.len() - 1
    }

    /// Equal for equal graphs, in whichever order they were built: which write each read reads,
    /// thread by thread, then the modification orders. Events are named by thread and place.
    /// Everything else follows, since threads are deterministic.
    fn key(&self) -> Vec<u8> {
        let name =
            |event: &Event| [event.thread.map_or(0, |thread| thread + 1) as u8, event.index as u8];
        let mut key = Vec::new();
        let mut by_thread: Vec<&Event> =
            self.events.iter().filter(|event| event.thread.is_some()).collect();
        by_thread.sort_by_key(|event| (event.thread, event.index));
        key.extend(self.lengths.iter().map(|&length| length as u8));
        for event in by_thread {
            if let Some(source) = event.reads_from {
                key.extend(name(&self.events[source]));
            }
        }
        for order in &self.modification_order {
            key.push(order.len() as u8);
            for &write in order {
                key.extend(name(&self.events[write]));
            }
        }
        key
    }

    fn outcome(&self, program: &Program) -> Outcome {
        let mut registers = BTreeMap::new();
        for thread in 0..program.threads.len() {
            let values = self.next(program, thread).1;
            for (register, value) in program.registers.iter().zip(values) {
                if let Some(value) = value {
                    registers.insert(register.name.clone(), value);
                }
            }
        }
        let last =
            |order: &Vec<usize>| self.events[*order.last().expect("the initial write")].value;
        let names = program.locations.iter().map(|location| location.name.clone());
        let final_values = names.zip(self.modification_order.iter().map(last)).collect();
        Outcome { registers, final_values }
    }

    fn set(&self, wanted: impl Fn(&Event) -> bool) -> Set {
        self.events
            .iter()
            .enumerate()
            .filter(|(_, event)| wanted(event))
            .fold(0, |set, (index, _)| set | 1 << index)
    }

    fn same_location(&self, a: usize, b: usize) -> bool {
        self.events[a].location.is_some() && self.events[a].location == self.events[b].location
    }

    /// The relations of RC11 (Lahav et al., PLDI 2017, section 3), with the release sequences of
    /// C++20.
    fn relations(&self) -> Relations {
        let n = self.events.len();
        let id = |wanted: &dyn Fn(&Event) -> bool| Relation::identity(n, self.set(wanted));

        let mut po = Relation::empty(n);
        let mut rf = Relation::empty(n);
        let mut mo = Relation::empty(n);
        let mut rmw = Relation::empty(n);
        for (b, event) in self.events.iter().enumerate() {
            // Initial writes come before everything else; events of a thread are added in program
            // order.
            for (a, earlier) in self.events[..b].iter().enumerate() {
                if event.thread.is_some()
                    && (earlier.thread.is_none() || earlier.thread == event.thread)
                {
                    po.insert(a, b);
                }
            }
            if let Some(source) = event.reads_from {
                rf.insert(source, b);
            }
            if let Some(read) = event.rmw_read {
                rmw.insert(read, b);
            }
        }
        for order in &self.modification_order {
            for (place, &a) in order.iter().enumerate() {
                for &b in &order[place + 1..] {
                    mo.insert(a, b);
                }
            }
        }

        let atomic_write = id(&|event| {
            event.kind == Kind::Write && (self.plain.is_none() || event.location != self.plain)
        });
        let fence = id(&|event| event.kind == Kind::Fence);
        let release = id(&Event::releases);
        let acquire = id(&Event::acquires);
        // rs ≜ [W] ; (rf ; rmw)*: C++20 took out the later writes of the same thread.
        let rs = atomic_write.then(&rf.then(&rmw).star());
        // sw ≜ [E⊒rel] ; ([F] ; po)? ; rs ; rf ; (po ; [F])? ; [E⊒acq]
        let sw = release
            .then(&fence.then(&po).maybe())
            .then(&rs)
            .then(&rf)
            .then(&po.then(&fence).maybe())
            .then(&acquire);
        // hb ≜ (po ∪ sw)⁺
        let hb = po.or(&sw).plus();
        Relations { po, rf, mo, rmw, hb }
    }

    /// Whether two threads access `plain`, one of them writing, and neither access happens before
    /// the other.
    fn is_racy(&self, plain: LocationId) -> bool {
        let hb = self.relations().hb;
        let accesses = |event: &Event| event.location == Some(plain) && event.thread.is_some();
        self.events.iter().enumerate().any(|(b, second)| {
            accesses(second)
                && self.events[..b].iter().enumerate().any(|(a, first)| {
                    accesses(first)
                        && first.thread != second.thread
                        && (first.kind == Kind::Write || second.kind == Kind::Write)
                        && !hb.contains(a, b)
                        && !hb.contains(b, a)
                })
        })
    }

    /// The axioms of RC11, in the paper's letters.
    fn is_consistent(&self) -> bool {
        let n = self.events.len();
        let id = |wanted: &dyn Fn(&Event) -> bool| Relation::identity(n, self.set(wanted));
        let Relations { po, rf, mo, rmw, hb } = self.relations();
        // rb ≜ rf⁻¹ ; mo
        let rb = rf.inverse().then(&mo);
        // eco ≜ (rf ∪ mo ∪ rb)⁺
        let eco = rf.or(&mo).or(&rb).plus();

        // Coherence: hb ; eco? is irreflexive.
        if !hb.then(&eco.maybe()).is_irreflexive() {
            return false;
        }
        // Atomicity: rmw ∩ (rb ; mo) = ∅
        if !rmw.and(&rb.then(&mo)).is_empty() {
            return false;
        }
        // No thin air: po ∪ rf is acyclic.
        if !po.or(&rf).is_acyclic() {
            return false;
        }

        // SC: psc ≜ psc_base ∪ psc_F is acyclic.
        let sc = id(&|event| event.ordering == Ordering::SeqCst);
        let sc_fence = id(&|event| event.kind == Kind::Fence).then(&sc);
        let po_elsewhere = po.filter(|a, b| !self.same_location(a, b));
        // scb ≜ po ∪ po|≠loc ; hb ; po|≠loc ∪ hb|loc ∪ mo ∪ rb
        let scb = po
            .or(&po_elsewhere.then(&hb).then(&po_elsewhere))
            .or(&hb.filter(|a, b| self.same_location(a, b)))
            .or(&mo)
            .or(&rb);
        // psc_base ≜ ([E_sc] ∪ [F_sc] ; hb?) ; scb ; ([E_sc] ∪ hb? ; [F_sc])
        let psc_base =
            sc.or(&sc_fence.then(&hb.maybe())).then(&scb).then(&sc.or(&hb.maybe().then(&sc_fence)));
        // psc_F ≜ [F_sc] ; (hb ∪ hb ; eco ; hb) ; [F_sc]
        let psc_fence = sc_fence.then(&hb.or(&hb.then(&eco).then(&hb))).then(&sc_fence);
        psc_base.or(&psc_fence).is_acyclic()
    }
}
