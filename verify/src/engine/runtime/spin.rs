//! Loops in which a thread waits for another one.
//!
//! A loop that says so (`spin_loop`, `yield_now`) is cut where it goes round idly: see
//! [`Runtime::relax`]. One that does not say so looks like a row of equal loads, and so does a
//! bounded loop of loads. Which of both it is is found out once for each place: the thread is let
//! go on alone, and reads the same again and again. If that comes to an end it is a row of loads,
//! like any other from then on. If not, in [`ENDLESS`] rounds, it is a loop that waits.

use super::{Runtime, State};
use crate::engine::explore::replay::{Step, StepKind};
use crate::engine::memory_model::event::{Id, Kind, Label, NONE, apply};
use crate::engine::memory_model::fact::Fact;
use crate::engine::memory_model::graph::Graph;
use crate::engine::report::failure;
use std::panic::Location;

impl Runtime {
    /// The current thread stands in a loop that waits for another one: the end of an iteration.
    ///
    /// An iteration without an effect may be made `unroll` times; after that it waits until one of
    /// its reads could see something newer, and an iteration that then sees the same again is not
    /// explored: it differs from a shorter execution in nothing but idle rounds.
    ///
    /// # Safety
    /// Called on the coroutine of the current thread.
    pub(crate) unsafe fn relax(rt: *mut Runtime) {
        // SAFETY: `rt` is live; references end before each switch.
        unsafe {
            let this = &mut *rt;
            if this.draining {
                Runtime::switch(rt);
                return;
            }
            this.steps_aside();
            let t = this.cur as usize;
            let pos = this.threads[t].pos;
            let in_graph = (pos as usize) < this.ex.graph.threads[t].events.len();
            let last = this.threads[t].last;
            this.count_step(last);
            if this.aborting {
                Runtime::halt(rt);
            }
            this.threads[t].spin.streak = 0;
            this.threads[t].spin.yielded = true;
            let from = std::mem::replace(&mut this.threads[t].spin.from, pos);
            if from == pos && this.threads[t].spin.count > 0 {
                return;
            }
            let idle = this.idle(t, from, pos);
            let spin = &mut this.threads[t].spin;
            if !idle {
                let again = this.repeats(t, from, pos);
                let rounds = if again { this.threads[t].spin.rounds + 1 } else { 0 };
                this.threads[t].spin.rounds = rounds;
                if rounds as usize > this.limits.events.div_ceil(ROUNDS_PART) {
                    this.livelock(t);
                    Runtime::halt(rt);
                }
                let spin = &mut this.threads[t].spin;
                spin.count = 0;
                spin.released = 0;
                spin.free = false;
                if !in_graph
                    && this.turn().is_none()
                    && this.same_as_before(t, from, pos)
                    && this.stale(t, from, pos)
                {
                    // A round with effects, but none that gets it on: it keeps passing over the
                    // same newer write.
                    this.threads[t].state = State::Stuck;
                    Runtime::switch(rt);
                }
                if !in_graph && !this.replaying {
                    this.threads[t].state = State::Yield;
                    Runtime::switch(rt);
                }
                return;
            }
            spin.count += 1;
            let free = std::mem::take(&mut spin.free);
            if in_graph || spin.count <= this.limits.unroll || this.turn().is_some() {
                return;
            }
            let same = this.same_as_before(t, from, pos);
            if !same {
                this.threads[t].spin.released = 0;
            } else if !free && this.stale(t, from, pos) {
                // An idle round: dropped.
                this.threads[t].state = State::Stuck;
                Runtime::switch(rt);
                return;
            }
            if this.replaying || !this.has_newer_write(t, from, pos) {
                this.threads[t].state = State::Spin;
                this.threads[t].spin.from = from;
                Runtime::switch(rt);
                let this = &mut *rt;
                this.threads[t].spin.from = pos;
            }
        }
    }

    /// A condition without an effect, on which the current thread waits, does not hold; the events
    /// since `from` have looked at it. The thread gets no further in this execution.
    ///
    /// *Nothing is lost.* Take an execution with rounds in which a condition does not hold, and the
    /// round that ends the wait. Without the events of those rounds, which only read, it is an
    /// execution too: no event reads from one of them; what happens before what, and the order of
    /// sequentially consistent events, lose edges, which forbids nothing; every other event reads
    /// what it read; and the thread goes on the same, because a round tells nothing but whether the
    /// condition holds. What was wrong in the execution (a race, a panic) is wrong in the one
    /// without the rounds: fewer edges order no more accesses, and a round that is wrong by itself
    /// is wrong as the first one too. A wait that does not end sees the newest writes at some time:
    /// see `quiesce`. A later write revisits the reads of the last round, as it does those of any
    /// thread.
    ///
    /// # Safety
    /// Called on the coroutine of the current thread.
    pub(super) unsafe fn does_not_hold(
        rt: *mut Runtime,
        from: u32,
        site: &'static Location<'static>,
    ) {
        // SAFETY: `rt` is live; references end before each switch.
        unsafe {
            let this = &mut *rt;
            let t = this.cur as usize;
            if !this.draining {
                let thread = &mut this.threads[t];
                (thread.state, thread.spin.from, thread.last) = (State::Until, from, site);
                let pos = thread.pos;
                if this.writes(t, from, pos) {
                    this.fail(failure::Kind::Misuse(format!(
                        "the condition that thread {t} waits for at {site} writes: a round in \
                         which it does not hold has an effect"
                    )));
                    Runtime::halt(rt);
                }
            }
            Runtime::switch(rt);
        }
    }

    /// Returns whether one of the events `from..to` of a thread is more than a look at a value.
    fn writes(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        g.threads[t].events[from as usize..to as usize].iter().any(|&id| {
            let e = g.ev(id);
            e.wrote || !matches!(e.label.kind, Kind::Load | Kind::Rmw | Kind::Fence | Kind::Choose)
        })
    }

    /// A thread that waits for a condition which does not hold, and whether one of these has passed
    /// over something newer: then the condition may hold in another execution.
    pub(super) fn in_vain(&self) -> (Option<usize>, bool) {
        let waits = |&t: &usize| self.threads[t].state == State::Until;
        let passed_over = |t: usize| {
            let thread = &self.threads[t];
            self.has_newer_write(t, thread.spin.from, thread.pos)
        };
        let mut waiting = (0..self.threads.len()).filter(waits);
        (waiting.clone().next(), waiting.any(passed_over))
    }

    /// Returns whether the iteration `from..to` of a loop did what the one before it did, with the
    /// same values.
    fn repeats(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        let events = &g.threads[t].events;
        let len = to - from;
        let same = |i: u32| {
            let [a, b] = [from - len + i, from + i].map(|i| g.ev(events[i as usize]));
            (a.label.kind, a.label.loc, a.wrote, a.rval, a.wval)
                == (b.label.kind, b.label.loc, b.wrote, b.rval, b.wval)
        };
        len > 0 && len <= from && (0..len).all(same)
    }

    fn livelock(&mut self, t: usize) {
        let rounds = self.threads[t].spin.rounds;
        let message = format!(
            "livelock: thread {t} goes round a loop that yields, {rounds} times the same with the \
             same values\n  {}\n\
             (Builder::max_branches raises the limit: {rounds} rounds for {} steps)",
            self.standing().join("\n  "),
            self.limits.events
        );
        self.fail(failure::Kind::Endless(message));
    }

    /// Returns whether the events `from..to` of a thread change nothing that others can see.
    pub(super) fn idle(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        from < to
            && g.threads[t].events[from as usize..to as usize].iter().all(|&id| {
                let e = g.ev(id);
                match e.label.kind {
                    Kind::Load => true,
                    Kind::Rmw => !e.wrote || (e.wval == e.rval && !e.label.rmw.is_queue()),
                    Kind::Fence | Kind::Choose | Kind::Tick => true,
                    _ => false,
                }
            })
    }

    /// Where a read got its value, seen through the thread's own writes of the same value.
    pub(super) fn source(&self, t: usize, mut w: Id) -> Id {
        loop {
            if w >= NONE {
                return w;
            }
            let e = self.ex.graph.ev(w);
            if e.tid as usize == t && e.label.kind == Kind::Rmw && e.rval == e.wval {
                w = e.rf;
            } else {
                return w;
            }
        }
    }

    /// Returns whether the iteration `from..to` of a spin loop read what the one before it read.
    pub(super) fn same_as_before(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        let events = &g.threads[t].events;
        let len = to - from;
        if len == 0 || len > from {
            return false;
        }
        let own = |w: Id| w < NONE && g.ev(w).tid as usize == t;
        (0..len).all(|i| {
            let (a, b) =
                (g.ev(events[(from - len + i) as usize]), g.ev(events[(from + i) as usize]));
            a.label.kind == b.label.kind
                && a.label.loc == b.label.loc
                && (!a.reads()
                    || self.source(t, a.rf) == self.source(t, b.rf)
                    || (own(a.rf) && own(b.rf)))
        })
    }

    /// Returns whether one of the reads among the events `from..to` of a thread passed over a newer
    /// write that was there already.
    pub(super) fn stale(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        g.threads[t].events[from as usize..to as usize].iter().any(|&id| {
            let e = g.ev(id);
            let then = if e.rf < NONE { id.max(e.rf) } else { id };
            e.reads() && {
                let seen = if e.wrote { e.pos } else { g.pos(e.rf) };
                let mo = &g.locs[e.label.loc as usize].mo;
                mo[seen as usize..].iter().any(|&w| w < then && g.ev(w).tid as usize != t)
            }
        })
    }

    /// Returns whether one of the reads among the events `from..to` of a thread could see something
    /// newer.
    pub(super) fn has_newer_write(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        g.threads[t].events[from as usize..to as usize].iter().any(|&id| {
            let e = g.ev(id);
            e.reads() && {
                let seen = if e.wrote { e.pos } else { g.pos(e.rf) };
                let mo = &g.locs[e.label.loc as usize].mo;
                // One's own idle writes do not count.
                mo[seen as usize..].iter().any(|&w| g.ev(w).tid as usize != t)
            }
        })
    }
}

/// The part of an execution's steps that a thread may make rounds of a loop that yields, has an
/// effect, and does the same each time: 100 of the 10,000 steps that are allowed without a setting.
/// The limit on steps alone would take hours to reach: each round has alternatives, and each
/// execution is run from its start.
const ROUNDS_PART: usize = 100;

/// The number of times a loop may read the same values before it is reported as endless.
const ENDLESS: u32 = 2_000;

/// The greatest number of loads between two rounds of a loop that does not say that it waits.
const LONGEST: usize = 8;

/// A row of equal loads that is followed to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) tid: u32,
    pub(super) site: &'static Location<'static>,
    left: u32,
}

/// The event of the row of loads that ends with `before` which a load at `site` would repeat.
fn repeated(g: &Graph, row: &[Id], loc: u32, site: &'static Location<'static>) -> Option<Id> {
    let reads =
        row.iter().rev().take(LONGEST).copied().take_while(|&p| !g.ev(p).wrote && g.ev(p).reads());
    reads.into_iter().find(|&p| g.ev(p).label.site == site && g.ev(p).label.loc == loc)
}

impl Runtime {
    /// Returns whether the step `id` of the current thread, just done, is a round of a loop that
    /// waits without saying so.
    pub(super) fn repeats_read(&mut self, id: Id) -> bool {
        if self.limits.rounds == u32::MAX || self.guide.is_some() {
            return false;
        }
        let g = &self.ex.graph;
        let e = g.ev(id);
        let thread = &mut self.threads[e.tid as usize];
        if e.wrote || !e.reads() {
            thread.spin.streak = 0;
            return false;
        }
        let row = &g.threads[e.tid as usize].events[..e.idx as usize];
        let same = repeated(g, row, e.label.loc, e.label.site).is_some_and(|p| g.ev(p).rf == e.rf);
        thread.spin.streak = if same { thread.spin.streak + 1 } else { 0 };
        if thread.spin.streak == 0 {
            return false;
        }
        let site = e.label.site;
        if self.facts.contains(&Fact::Spins(site)) {
            return true;
        }
        let last = row.len() + 1 == g.threads[e.tid as usize].events.len();
        if last
            && thread.spin.streak > self.limits.rounds
            && self.probe.is_none()
            && !self.facts.contains(&Fact::Ends(site))
        {
            let left = ENDLESS.min(self.limits.events as u32 / 2);
            self.probe = Some(Probe { tid: e.tid, site, left });
        }
        false
    }

    /// Returns what the next step of a row that is followed to its end has to read, or what has
    /// been learned about the row.
    pub(super) fn follow(&mut self, t: usize, label: &Label) -> Result<Step, Fact> {
        let probe = self.probe.as_mut().expect("a row is being followed");
        let site = probe.site;
        if probe.left == 0 {
            return Err(Fact::Spins(site));
        }
        probe.left -= 1;
        let g = &self.ex.graph;
        let before =
            repeated(g, &g.threads[t].events, label.loc, label.site).ok_or(Fact::Ends(site))?;
        let rf = g.ev(before).rf;
        let writes = label.kind == Kind::Rmw && apply(label, g.value(label.loc, rf)).is_some();
        if writes || !matches!(label.kind, Kind::Load | Kind::Rmw) {
            return Err(Fact::Ends(site));
        }
        Ok(Step { tid: t as u32, kind: StepKind::Read(rf), choice: 0, fired: false })
    }
}
