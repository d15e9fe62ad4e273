//! One execution from its start to its end: which thread runs next, and what it means that none
//! can.

use super::{EXEC_BLOCK, End, NEXT_EXEC, RUNTIME, Runtime, State, Thread};
use crate::engine::explore::replay::StepKind;
use crate::engine::explore::wait_queue;
use crate::engine::memory_model::event::{Event, INIT, Id, Kind};
use crate::engine::memory_model::fact::Fact;
use crate::engine::report::failure;
use crate::engine::runtime::provenance;
use crate::engine::runtime::stacks;
use crate::engine::runtime::symmetry::{Shape, Twin};
use crate::engine::runtime::watchdog;
use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::Ordering;

impl Runtime {
    /// Creates thread `tid`, whose creation is the event that the current thread just did.
    pub(crate) fn create<F: FnOnce() + 'static>(
        &mut self,
        tid: u32,
        name: Option<String>,
        site: &'static Location<'static>,
        f: F,
    ) {
        let stack =
            self.stacks.pop().or_else(|| stacks::take(self.limits.stack)).unwrap_or_else(|| {
                DefaultStack::new(self.limits.stack)
                    .expect("no memory for the stack of a thread of the model")
            });
        let addresses = stack.limit().get()..stack.base().get();
        let rt: *mut Runtime = self;
        let co = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the coroutine only runs while its runtime is alive.
            unsafe {
                let cur = (*rt).cur as usize;
                (&mut (*rt).threads)[cur].yielder = yielder;
                Runtime::enter(rt);
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
                // SAFETY: the coroutine only runs while its runtime is alive.
                let this = unsafe { &mut *rt };
                let (message, at) = this
                    .panic_note
                    .take()
                    .unwrap_or_else(|| (panic_message(&*payload), String::from("?")));
                this.fail(failure::Kind::Panic { message, at });
            }
        });
        while self.threads.len() <= tid as usize {
            self.threads.push(Thread::vacant());
        }
        self.threads[tid as usize] = Thread {
            co: Some(co),
            stack: addresses,
            state: State::Ready,
            site,
            name,
            last: site,
            ..Thread::vacant()
        };
        self.order.push(tid);
        while self.stack_ends.len() <= tid as usize {
            self.stack_ends.push(Vec::new());
        }
        self.stack_ends[tid as usize].clear();
    }

    /// Creates the thread that the event `spawn`, just done, stands for.
    pub(crate) fn spawned<F: FnOnce() + 'static>(
        &mut self,
        spawn: Id,
        name: Option<String>,
        site: &'static Location<'static>,
        shape: Option<Shape>,
        f: F,
    ) -> u32 {
        let known =
            (1..self.ex.graph.threads.len()).find(|&t| self.ex.graph.threads[t].spawn == spawn);
        let told = self.guide.as_ref().and_then(|g| g.get(spawn as usize)).map(|step| step.kind);
        let tid = match (known, told) {
            (Some(t), _) => t as u32,
            (None, Some(StepKind::Create(tid))) => {
                self.ex.graph.add_thread_at(tid, spawn);
                tid
            }
            (None, _) => self.ex.graph.add_thread(spawn),
        };
        let unnamed = name.is_none();
        self.create(tid, name, site, f);
        self.inherit(tid);
        self.find_twin(tid, shape.filter(|_| unnamed), site, known.is_none());
        tid
    }

    /// Runs one execution: replays the graph at hand and goes on to the end.
    pub(crate) fn run<F: FnOnce() + 'static>(&mut self, main: F) -> End {
        if self.exec + 1 >= self.exec_end {
            // Relaxed: the numbers only have to be distinct.
            self.exec = NEXT_EXEC.fetch_add(EXEC_BLOCK, Ordering::Relaxed);
            self.exec_end = self.exec + EXEC_BLOCK;
        } else {
            self.exec += 1;
        }
        for t in &mut self.threads {
            t.state = State::Vacant;
            t.pos = 0;
            t.pending = None;
            t.twin = Twin::default();
        }
        self.order.clear();
        self.queues.clear();
        self.shadows.clear();
        self.unsynced.clear();
        self.blocks.forget();
        self.provenances.clear();
        self.fact = None;
        self.deaths.clear();
        self.probe = None;
        self.addresses.clear();
        self.steps = 0;
        self.allocations.clear();
        self.statics.clear();
        self.ex.inconsistent = false;
        self.given_up = false;
        self.replaying = true;
        self.aborting = false;
        self.ex.woke = false;
        self.paused = self.limits.paused;
        self.skip = false;
        self.panic_note = None;
        self.panics.clear();
        self.run.begin(self.exec);
        self.create(0, None, self.site, main);
        // Places for the threads that the graph knows.
        let known = self.ex.graph.threads.len();
        while self.threads.len() < known {
            self.threads.push(Thread::vacant());
        }
        let rt: *mut Runtime = self;
        RUNTIME.set(rt);
        // SAFETY: `rt` points to `self`; the references that `schedule` and the coroutines make
        // from it do not overlap, because no reference is held across a resume.
        let end = unsafe { Runtime::schedule(rt) };
        self.events = self.ex.graph.events.len();
        if end == End::Blocked {
            // SAFETY: `rt` points to `self`, and no reference from it is held across a resume.
            unsafe { Runtime::drain(rt) };
        }
        RUNTIME.set(std::ptr::null_mut());
        self.run.end();
        self.teardown();
        end
    }

    pub(super) unsafe fn schedule(rt: *mut Runtime) -> End {
        // SAFETY: see `run`.
        unsafe {
            (*rt).cur = 0;
            let mut next = Some(0);
            loop {
                let Some(t) = next else {
                    match (*rt).quiesce() {
                        Some(end) => return end,
                        None => {
                            next = (*rt).pick();
                            continue;
                        }
                    }
                };
                (*rt).cur = t;
                let ended = Runtime::resume(rt, t);
                let this = &mut *rt;
                if let Some(foreign_access) = this.run.foreign_access() {
                    this.fail(failure::Kind::Misuse(foreign_access));
                }
                if this.failure.is_some() {
                    return End::Failed;
                }
                if this.fact.is_some() {
                    return End::Learned;
                }
                if ended {
                    if let Some(probe) = this.probe.filter(|probe| probe.tid == t) {
                        this.fact = Some(Fact::Ends(probe.site));
                        return End::Learned;
                    }
                    if (this.threads[t as usize].pos as usize)
                        < this.ex.graph.threads[t as usize].events.len()
                    {
                        this.fail(failure::Kind::Nondeterminism(format!(
                            "thread {t} ended earlier when it was run again"
                        )));
                        return End::Failed;
                    }
                }
                next = this.pick();
            }
        }
    }

    /// Runs thread `t` up to its next switch. Says whether it has ended.
    ///
    /// # Safety
    /// As [`schedule`](Self::schedule); `t` is the current thread.
    pub(super) unsafe fn resume(rt: *mut Runtime, t: u32) -> bool {
        // SAFETY: as the caller says; no reference into the runtime is held while the thread runs.
        unsafe {
            let thread = &mut (&mut (*rt).threads)[t as usize];
            thread.state = State::Ready;
            // Taken out while it runs: the vector of threads may grow meanwhile.
            let mut co = thread.co.take().expect("a thread that is ready has a coroutine");
            (*rt).watch.turn();
            watchdog::arm(&co, &(*rt).watch);
            let result = co.resume(());
            let cause = watchdog::disarm();
            provenance::leave();
            let this = &mut *rt;
            if let Some(cause) = cause {
                this.ended_from_outside(t, cause);
            }
            let thread = &mut this.threads[t as usize];
            match result {
                CoroutineResult::Return(()) => {
                    thread.state = State::Finished;
                    this.stacks.push(co.into_stack());
                    true
                }
                CoroutineResult::Yield(()) => {
                    thread.co = Some(co);
                    false
                }
            }
        }
    }

    /// The thread to run next.
    pub(super) fn pick(&mut self) -> Option<u32> {
        let n = self.threads.len() as u32;
        if self.replaying {
            let mut left = false;
            for t in 0..n {
                let thread = &self.threads[t as usize];
                let Some(g) = self.ex.graph.threads.get(t as usize) else {
                    continue;
                };
                if (thread.pos as usize) < g.events.len() {
                    let ev = self.ex.graph.ev(g.events[thread.pos as usize]);
                    if ev.waiting {
                        // Runs up to its wait, so that what lies before it is done.
                        if thread.state == State::Ready {
                            return Some(t);
                        }
                        continue;
                    }
                    left = true;
                    if thread.state == State::Vacant {
                        continue;
                    }
                    if self.can_replay(ev) {
                        return Some(t);
                    }
                    if thread.state == State::Ready {
                        return Some(t);
                    }
                }
            }
            if left {
                self.fail(failure::Kind::Nondeterminism(
                    "a thread did not come back to what it did before".into(),
                ));
                return None;
            }
            self.replaying = false;
        }
        if self.ex.inconsistent || self.given_up {
            return None;
        }
        if let Some(step) = self.turn() {
            let t = step.tid;
            let there = self
                .threads
                .get(t as usize)
                .is_some_and(|t| !matches!(t.state, State::Vacant | State::Finished));
            let asks = there
                && (step.fired
                    || self.runnable(t)
                    || self.threads[t as usize].state == State::Yield
                    || self.threads[t as usize].state == State::Spin);
            if asks {
                return Some(t);
            }
            self.replay_diverged();
            return None;
        }
        if let Some(probe) = &self.probe {
            return Some(probe.tid);
        }
        // Between a comparison and the place in the queue no other thread gets a turn.
        if let Some(t) = (0..n).find(|&t| {
            self.threads[t as usize].state != State::Vacant
                && wait_queue::owes_enqueue(&self.ex.graph, t)
                && !self.is_ahead_of_twin(t)
        }) {
            return Some(t);
        }
        let cur = self.cur;
        let may_go = |t: u32| self.runnable(t) && !self.is_ahead_of_twin(t);
        if may_go(cur) {
            return Some(cur);
        }
        let next = (0..n).find(|&t| may_go(t)).or_else(|| {
            // In turn: two that yield to each other both get on.
            let mut turns = (1..=n).map(|i| (cur + i) % n);
            turns.find(|&t| {
                self.threads[t as usize].state == State::Yield && !self.is_ahead_of_twin(t)
            })
        });
        if next.is_none() {
            self.twins_wait();
        }
        next
    }

    pub(super) fn can_replay(&self, ev: &Event) -> bool {
        match ev.label.kind {
            Kind::Load | Kind::Rmw | Kind::Woken => {
                ev.rf == INIT || {
                    let src = self.ex.graph.ev(ev.rf);
                    self.threads[src.tid as usize].state != State::Vacant
                        && self.threads[src.tid as usize].pos > src.idx
                }
            }
            Kind::Join => self.has_ended(ev.label.a as u32),
            _ => true,
        }
    }

    /// Returns whether a thread, all of whose events are in the graph, has done them. One that
    /// vanished where it stood has no more than that.
    fn has_ended(&self, t: u32) -> bool {
        let thread = &self.threads[t as usize];
        let there = || thread.pos as usize == self.ex.graph.threads[t as usize].events.len();
        thread.state == State::Finished
            || (thread.family && thread.state != State::Vacant && there() && self.vanishes(t))
    }

    pub(super) fn runnable(&self, t: u32) -> bool {
        let thread = &self.threads[t as usize];
        match thread.state {
            State::Ready | State::Frontier | State::Replay => true,
            State::Await => {
                thread.fire || thread.pending.as_ref().is_some_and(|l| self.ex.enabled(l))
            }
            State::Join(child) => self.may_join(t, child),
            State::Asleep => thread
                .pending
                .as_ref()
                .is_some_and(|l| wait_queue::taken_by(&self.ex.graph, l.a).is_some()),
            State::Spin => self.has_newer_write(t as usize, thread.spin.from, thread.pos),
            State::Yield => false,
            State::Vacant
            | State::Stuck
            | State::Until
            | State::Quit
            | State::Waiting
            | State::Finished => false,
        }
    }

    /// Nothing can run. Returns how the execution ended, or `None` when a thread can go on after
    /// all.
    pub(super) fn quiesce(&mut self) -> Option<End> {
        if self.failure.is_some() {
            return Some(End::Failed);
        }
        if self.fact.is_some() {
            return Some(End::Learned);
        }
        if self.ex.inconsistent || self.given_up {
            return Some(End::Blocked);
        }
        if self.reap() {
            return None;
        }
        let left = |t: &Thread| !matches!(t.state, State::Vacant | State::Finished);
        if !self.threads.iter().any(left) {
            if self.stopped_for_nothing() {
                return Some(End::Blocked);
            }
            if let Some(leak) = self.leak() {
                self.fail(failure::Kind::Leak(leak));
                return Some(End::Failed);
            }
            return Some(End::Complete);
        }
        // Timeouts fire when nothing else can run.
        let mut exhausted = false;
        for t in 0..self.threads.len() {
            let limit = self.limits.fires;
            let thread = &mut self.threads[t];
            if thread.timed && matches!(thread.state, State::Await | State::Asleep) {
                if thread.fired < limit {
                    thread.fired += 1;
                    thread.fire = true;
                    thread.state = State::Ready;
                    return None;
                }
                exhausted = true;
            }
        }
        let dropped = self.threads.iter().any(|t| matches!(t.state, State::Stuck | State::Quit));
        // Spin loops that see the newest values go round a few more times: they may be bounded.
        // If a thread was given up there is not much to see.
        let limit = if dropped || exhausted { 20 } else { self.limits.spins };
        let mut spinning = None;
        let mut released = false;
        for t in 0..self.threads.len() {
            let thread = &mut self.threads[t];
            if thread.state == State::Spin {
                spinning = Some(t);
                if thread.spin.released < limit {
                    thread.spin.released += 1;
                    thread.spin.free = true;
                    thread.state = State::Ready;
                    released = true;
                }
            }
        }
        if released {
            return None;
        }
        let (waits, passed_over) = self.in_vain();
        let standing = self.standing();
        self.ex.no_alternatives = self.paused;
        for t in 0..self.threads.len() {
            if self.threads[t].state == State::Await {
                let label =
                    self.threads[t].pending.take().expect("an awaiting thread has its label");
                if self.sleeps_beside_twins(t as u32) {
                    return Some(End::Learned);
                }
                self.ex.add_blocked(t as u32, label);
            }
        }
        // A thread that was given up may be what the others wait for.
        if dropped || exhausted || passed_over || self.stopped_for_nothing() {
            return Some(End::Blocked);
        }
        match spinning.or(waits) {
            Some(t) => self.fail(failure::Kind::Endless(format!(
                "thread {t} spins on the newest values, no thread can change them\n  {}",
                standing.join("\n  ")
            ))),
            None => self.fail(failure::Kind::Deadlock(standing)),
        }
        Some(End::Failed)
    }

    /// The threads that are not finished, for a message.
    pub(crate) fn standing(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (t, thread) in self.threads.iter().enumerate() {
            if !matches!(thread.state, State::Vacant | State::Finished) {
                let name = thread.name.as_deref().map(|n| format!(" `{n}`")).unwrap_or_default();
                out.push(format!(
                    "thread {t}{name} (spawned at {}) is at {}",
                    thread.site, thread.last
                ));
            }
        }
        out
    }

    /// Forgets what is left of the coroutines of an execution that did not end.
    pub(super) fn teardown(&mut self) {
        // One that is unwinding is let to its end: the count of panics is the system thread's.
        for i in 0..self.order.len() {
            let t = self.order[i] as usize;
            let Some(mut co) = self.threads[t].co.take() else {
                continue;
            };
            if self.threads[t].panicked && co.started() && !co.done() && std::thread::panicking() {
                self.aborting = true;
                self.cur = t as u32;
                RUNTIME.set(self);
                let _ = co.resume(());
                RUNTIME.set(std::ptr::null_mut());
            }
            self.threads[t].co = Some(co);
        }
        for &t in self.order.iter().rev() {
            if let Some(mut co) = self.threads[t as usize].co.take() {
                // SAFETY: the frames are never resumed. Values on the stack are leaked; none of
                // them is pinned memory that another thread still uses, because every thread of
                // the execution is given up together.
                unsafe { co.force_reset() };
                self.stacks.push(co.into_stack());
            }
        }
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(s) = payload.downcast_ref::<&str>() {
        (*s).to_string()
    } else if let Some(s) = payload.downcast_ref::<String>() {
        s.clone()
    } else {
        String::from("a panic with a payload that is no string")
    }
}
