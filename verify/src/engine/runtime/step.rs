//! A step of a thread: what the graph says while it is run again, a new event after that.

use super::{Object, Outcome, Runtime, State};
use crate::engine::explore::mutation::Effect;
use crate::engine::explore::wait_queue;
use crate::engine::memory_model::event::{Event, Id, Kind, Label, NO_LOC, NONE, Rmw, apply};
use crate::engine::report::failure;

impl Runtime {
    /// Does a step of the current thread.
    ///
    /// # Safety
    /// Called on the coroutine of the current thread.
    pub(super) unsafe fn perform(
        rt: *mut Runtime,
        mut label: Label,
        object: Option<Object<'_>>,
    ) -> Outcome {
        // SAFETY: `rt` is live and no other code uses it until we switch; every reference made from
        // it ends before the next switch.
        unsafe {
            let end = stack_end();
            loop {
                let this = &mut *rt;
                let t = this.cur as usize;
                if this.aborting {
                    if this.threads[t].panicked && std::thread::panicking() {
                        // The execution has failed; the destructors get something to end with.
                        return Outcome { value: label.a, wrote: true, choice: 0, event: 0 };
                    }
                    Runtime::halt(rt);
                }
                this.threads[t].last = label.site;
                if let Some(fact) = this.tells_twins_apart(&label) {
                    Runtime::learn(rt, fact);
                }
                if let Some(Object::Tagged(tag, _)) = object {
                    if this.is_freed(std::ptr::from_ref(tag).addr(), label.site) {
                        Runtime::halt(rt);
                    }
                }
                label.after_yield |= std::mem::take(&mut this.threads[t].spin.yielded);
                if !this.changes.is_empty() {
                    match this
                        .changes
                        .iter()
                        .find(|c| c.applies(&label))
                        .map(|c| c.apply(&mut label))
                    {
                        Some(Effect::Skip) => {
                            return Outcome { value: 0, wrote: false, choice: 0, event: 0 };
                        }
                        Some(Effect::Go) | None => {}
                    }
                }
                let len = this.ex.graph.threads[t].events.len();
                let pos = this.threads[t].pos as usize;
                if pos < len {
                    if let Some(outcome) = this.replay(t, pos, &mut label, object) {
                        this.stack_ends[t].push(end);
                        if this.is_before_creation(outcome.event)
                            || this.races_with_unsynced(outcome.event)
                        {
                            Runtime::halt(rt);
                        }
                        if this.beyond_the_end(outcome.event) {
                            this.ex.inconsistent = true;
                        }
                        if label.kind == Kind::Join
                            && this.threads[label.a as usize].state != State::Finished
                        {
                            let child = &mut this.threads[label.a as usize];
                            (child.state, child.gone) = (State::Finished, true);
                        }
                        if label.kind == Kind::Join {
                            this.has_joined(label.a as u32);
                        }
                        if this.repeats_read(outcome.event) {
                            Runtime::relax(rt);
                        }
                        return outcome;
                    }
                    Runtime::switch(rt);
                    continue;
                }
                let turn = this.turn();
                if this.replaying || turn.is_some_and(|step| step.tid as usize != t) {
                    this.threads[t].state = State::Frontier;
                    Runtime::switch(rt);
                    continue;
                }
                if !this.draining && this.probe.is_none() && this.is_ahead_of_twin(this.cur) {
                    this.threads[t].state = State::Frontier;
                    Runtime::switch(rt);
                    continue;
                }
                if let Some(object) = object {
                    match this.location_of(object, None) {
                        Ok(loc) => label.loc = loc,
                        Err(e) => {
                            this.fail(failure::Kind::Nondeterminism(e));
                            Runtime::halt(rt);
                        }
                    }
                }
                let turn = match this
                    .probe
                    .filter(|probe| probe.tid as usize == t)
                    .map(|_| this.follow(t, &label))
                {
                    None => turn,
                    Some(Ok(step)) => Some(step),
                    Some(Err(fact)) => Runtime::learn(rt, fact),
                };
                let fire = std::mem::take(&mut this.threads[t].fire)
                    || turn.is_some_and(|step| step.fired);
                if label.awaits && !this.ex.enabled(&label) {
                    if fire {
                        label.awaits = false;
                    } else {
                        this.wait(t, State::Await, label);
                        Runtime::switch(rt);
                        continue;
                    }
                }
                if label.kind == Kind::Woken {
                    if fire {
                        label.kind = Kind::Rmw;
                        label.rmw = Rmw::Leave;
                    } else if wait_queue::taken_by(&this.ex.graph, label.a).is_none() {
                        this.wait(t, State::Asleep, label);
                        Runtime::switch(rt);
                        continue;
                    } else {
                        label.loc = NO_LOC;
                    }
                }
                if label.kind == Kind::Join {
                    let child = label.a as u32;
                    if !this.may_join(t as u32, child) {
                        this.threads[t].state = State::Join(child);
                        Runtime::switch(rt);
                        continue;
                    }
                }
                if label.kind == Kind::Spawn && this.order.len() >= this.limits.threads {
                    this.fail(failure::Kind::Limit(format!(
                        "more than {} threads: thread {t} spawns another at {} \
                         (Builder::max_threads raises the limit)",
                        this.limits.threads, label.site
                    )));
                    Runtime::halt(rt);
                }
                this.count_step(label.site);
                if this.aborting {
                    Runtime::halt(rt);
                }
                this.ex.no_alternatives = std::mem::take(&mut this.skip) || this.paused;
                let id = match turn {
                    None => this.ex.add(t as u32, label),
                    Some(step) => match this.ex.add_replayed(t as u32, label, &step) {
                        Some(id) => id,
                        None => {
                            this.replay_diverged();
                            Runtime::halt(rt);
                        }
                    },
                };
                this.threads[t].pos += 1;
                if this.ex.woke {
                    this.ex.woke = false;
                    this.replaying = true;
                }
                let foreign = |w: Id| w < NONE && this.ex.graph.ev(w).tid as usize != t;
                let e = this.ex.graph.ev(id);
                let follows =
                    foreign(e.rf) || (e.wrote && foreign(this.ex.graph.at(e.label.loc, e.pos - 1)));
                if this.draining {
                    // A wait on a value that is no more: it is over at once.
                    this.ex.inconsistent = false;
                } else {
                    this.ex.inconsistent |= this.beyond_the_end(id);
                    this.given_up |= follows && this.ex.preempts_too_often();
                }
                if this.ex.inconsistent || this.given_up {
                    // Resumed for a quiet end, if at all.
                    Runtime::switch(rt);
                }
                let this = &mut *rt;
                this.stack_ends[t].push(end);
                if this.is_before_creation(id) || this.races_with_unsynced(id) {
                    Runtime::halt(rt);
                }
                if label.kind == Kind::Join {
                    this.has_joined(label.a as u32);
                }
                let out = outcome(id, this.ex.graph.ev(id));
                if this.draining {
                    Runtime::switch(rt);
                } else if this.repeats_read(id) {
                    Runtime::relax(rt);
                }
                return out;
            }
        }
    }

    /// Returns whether an event is on an object that another thread has made, and does not come
    /// after that.
    fn is_before_creation(&mut self, id: Id) -> bool {
        let e = self.ex.graph.ev(id);
        let Some(Some(provenance)) = self.provenances.get(e.label.loc as usize) else {
            return false;
        };
        if self.after_provenance(id, provenance) {
            return false;
        }
        let (first, tid, site) = (provenance.site, provenance.tid, e.label.site);
        self.race(
            "an access of an atomic that another thread made, after the step that is named first"
                .into(),
            first,
            tid,
            site,
        );
        true
    }

    /// Gives the thread what the graph says, or says why it has to wait.
    pub(super) fn replay(
        &mut self,
        t: usize,
        pos: usize,
        label: &mut Label,
        object: Option<Object<'_>>,
    ) -> Option<Outcome> {
        let id = self.ex.graph.threads[t].events[pos];
        let ev = *self.ex.graph.ev(id);
        if !same_shape(&ev.label, label) {
            self.fail(failure::Kind::Nondeterminism(format!(
                "thread {t} did {:?} at {} when it was run again, and had done {:?} at {} before",
                label.kind, label.site, ev.label.kind, ev.label.site
            )));
            return None;
        }
        let object = object.filter(|_| ev.label.loc != NO_LOC);
        if let Some(Err(e)) = object.map(|object| self.location_of(object, Some(ev.label.loc))) {
            self.fail(failure::Kind::Nondeterminism(format!(
                "thread {t} at {}: {e} when it was run again",
                label.site
            )));
            return None;
        }
        if ev.waiting {
            self.threads[t].state = State::Waiting;
            return None;
        }
        let ready = self.can_replay(&ev);
        if !ready {
            self.threads[t].state = State::Replay;
            return None;
        }
        label.loc = ev.label.loc;
        label.kind = ev.label.kind;
        label.rmw = ev.label.rmw;
        label.awaits = ev.label.awaits;
        let g = &mut self.ex.graph;
        let mut fresh = ev;
        fresh.label = *label;
        match ev.label.kind {
            Kind::Store => fresh.wval = label.a,
            Kind::Load => fresh.rval = g.value(ev.label.loc, ev.rf),
            Kind::Rmw if !ev.label.rmw.is_queue() => {
                fresh.rval = g.value(ev.label.loc, ev.rf);
                let new = apply(label, fresh.rval);
                let spurious = label.rmw == Rmw::WeakCas && ev.choice == 1;
                if new.is_some() != (ev.wrote || spurious) {
                    self.fail(failure::Kind::Nondeterminism(format!(
                        "the compare-exchange of thread {t} at {} found another value when it was \
                         run again (if it compares addresses: memory freed and allocated again may \
                         get the same address)",
                        label.site
                    )));
                    return None;
                }
                fresh.wval = new.unwrap_or(0);
            }
            _ => {}
        }
        *g.ev_mut(id) = fresh;
        self.threads[t].pos += 1;
        Some(outcome(id, &fresh))
    }
}

/// An address below everything that the current thread has on its stack.
// Never inlined: its frame is the last.
#[inline(never)]
fn stack_end() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

fn outcome(id: Id, e: &Event) -> Outcome {
    Outcome { value: e.rval, wrote: e.wrote, choice: e.choice, event: id }
}

fn same_shape(a: &Label, b: &Label) -> bool {
    // `a` is what the graph says, `b` what the thread asks for; a timed wait may have ended
    // otherwise.
    if b.kind == Kind::Woken && b.timed && a.kind == Kind::Rmw && a.rmw == Rmw::Leave {
        return true;
    }
    a.kind == b.kind
        && a.rmw == b.rmw
        && a.ord == b.ord
        && a.fail == b.fail
        && a.bits == b.bits
        && (a.awaits == b.awaits || b.timed)
}
