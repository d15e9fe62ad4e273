//! Running the model: each of its threads is a coroutine, all of them on one thread of the system.
//!
//! A closure cannot be copied in the middle, so every execution starts from the beginning: the
//! threads run again and are given what the graph says (*replay*), in an order in which every read
//! comes after the write that it reads from; then they go on, and the graph grows. What lies
//! between two events is real code on real memory. Because non-atomic accesses are ordered by
//! happens-before, or else reported as a race, they see in a replay what they saw the first time.
//! Addresses may differ between two runs, so values are taken anew from the run at hand.

use super::event::{Event, INIT, Id, Kind, Label, Rmw, apply};
use super::extend::Explorer;
use super::failure;
use super::graph::HB;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

type Co = Coroutine<(), (), (), DefaultStack>;

thread_local! {
    static RUNTIME: Cell<*mut Runtime> = const { Cell::new(std::ptr::null_mut()) };
}

/// What ties an object of the model to its location in the graph: the number of the execution in
/// which it was first touched, and the location. Objects made by `const fn` register themselves at
/// the first access; a static is a new object in every execution.
#[derive(Debug)]
pub(crate) struct Tag(AtomicU64);

const LOC_BITS: u32 = 24;

impl Tag {
    pub(crate) const fn new() -> Tag {
        Tag(AtomicU64::new(0))
    }

    /// Relaxed: only the thread that runs the execution looks at its own number.
    fn get(&self, exec: u64) -> Option<u32> {
        let v = self.0.load(Ordering::Relaxed);
        (v >> LOC_BITS == exec).then_some((v & ((1 << LOC_BITS) - 1)) as u32)
    }

    fn set(&self, exec: u64, loc: u32) {
        self.0.store(exec << LOC_BITS | u64::from(loc), Ordering::Relaxed);
    }

    /// Forgets the location: the object's own memory is its value again.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Numbers of executions, given out to workers in blocks so that no two share one.
static NEXT_EXEC: AtomicU64 = AtomicU64::new(1);
const EXEC_BLOCK: u64 = 1 << 16;

/// What a thread of the model is about to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Not created (yet) in this run.
    Vacant,
    /// Can be resumed.
    Ready,
    /// Its next event is in the graph and reads from one that has not been run again yet.
    Replay,
    /// Stands before an event that the graph does not have yet, while others are replayed.
    Frontier,
    /// Waits for a value on which its read-modify-write can go on.
    Await,
    /// Waits for the end of a thread.
    Join(u32),
    /// Has asked for others to run first; goes on when one of its reads could see something new.
    Spin,
    /// Cannot go on in this execution.
    Stuck,
    Finished,
}

struct Thread {
    co: Option<Co>,
    yielder: *const Yielder<(), ()>,
    pos: u32,
    state: State,
    pending: Option<Label>,
    site: &'static Location<'static>,
    name: Option<String>,
    /// Where it was last seen.
    last: &'static Location<'static>,
    /// Index of the first event of the iteration of a spin loop.
    spin_from: u32,
    spins: u32,
}

/// What an operation gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub value: u64,
    pub wrote: bool,
    pub choice: u32,
    pub event: Id,
}

/// Limits of one execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub threads: usize,
    pub events: usize,
    pub stack: usize,
    pub spins: u32,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Blocked,
    Failed,
}

pub(crate) struct Runtime {
    pub ex: Explorer,
    threads: Vec<Thread>,
    /// Threads in the order in which they were created in this run.
    order: Vec<u32>,
    cur: u32,
    exec: u64,
    exec_end: u64,
    /// Locations that have been tied to an object in this run.
    bound: Vec<u64>,
    replaying: bool,
    pub aborting: bool,
    pub failure: Option<failure::Kind>,
    stacks: Vec<DefaultStack>,
    pub limits: Limits,
    pub panic_note: Option<(String, String)>,
}

/// The runtime of this thread of the system, while a model runs on it.
#[inline]
pub(crate) fn current() -> Option<*mut Runtime> {
    let p = RUNTIME.get();
    (!p.is_null()).then_some(p)
}

/// Asks for an event. `object` is what it acts on, with the value it has if nobody has touched it.
#[inline]
pub(crate) fn perform(label: Label, object: Option<(&Tag, u64)>) -> Outcome {
    let rt = current().unwrap_or_else(|| panic!("an object of the model checker was used outside of `model` at {}", label.site));
    // SAFETY: the runtime lives as long as the pointer is set, and only one coroutine runs at a
    // time; no reference into it is held across a switch.
    unsafe { Runtime::perform(rt, label, object) }
}

/// The newest value of an object, without a step.
pub(crate) fn peek(tag: &Tag, init: u64) -> u64 {
    let Some(rt) = current() else { return init };
    // SAFETY: no other reference to the runtime is alive here.
    let rt = unsafe { &*rt };
    match tag.get(rt.exec) {
        Some(loc) => {
            let newest = rt.ex.graph.locs[loc as usize].mo.last().copied().unwrap_or(INIT);
            rt.ex.graph.value(loc, newest)
        }
        None => init,
    }
}

/// The value of an object that the current thread has for itself.
pub(crate) fn exclusive(tag: &Tag, init: u64, _site: &'static Location<'static>) -> u64 {
    peek(tag, init)
}

/// Gives up the current thread in this execution: it does not go on, the others do.
pub(crate) fn block() -> ! {
    let Some(rt) = current() else { panic!("`block` outside of a model") };
    // SAFETY: on the coroutine of the current thread; no reference is held across the switch.
    unsafe {
        loop {
            let cur = (*rt).cur as usize;
            (&mut (*rt).threads)[cur].state = State::Stuck;
            Runtime::switch(rt);
        }
    }
}

impl Runtime {
    /// The last value, in modification order, of an object of the execution that has just ended.
    pub(crate) fn newest(&self, tag: &Tag) -> Option<u64> {
        let loc = tag.get(self.exec)?;
        let newest = self.ex.graph.locs[loc as usize].mo.last().copied().unwrap_or(INIT);
        Some(self.ex.graph.value(loc, newest))
    }

    pub(crate) fn new(ex: Explorer, limits: Limits) -> Runtime {
        Runtime {
            ex,
            threads: Vec::new(),
            order: Vec::new(),
            cur: 0,
            exec: 0,
            exec_end: 0,
            bound: Vec::new(),
            replaying: false,
            aborting: false,
            failure: None,
            stacks: Vec::new(),
            limits,
            panic_note: None,
        }
    }

    pub(crate) fn fail(&mut self, kind: failure::Kind) {
        if self.failure.is_none() {
            self.failure = Some(kind);
        }
        self.aborting = true;
    }

    /// Gives the processor back to the scheduler.
    ///
    /// # Safety
    /// Called on the coroutine of the current thread.
    unsafe fn switch(rt: *mut Runtime) {
        // SAFETY: `rt` is live; the yielder lives as long as the coroutine that runs.
        unsafe {
            let y = (&(*rt).threads)[(*rt).cur as usize].yielder;
            (*y).suspend(());
        }
    }

    /// Stops for good: the coroutine is not resumed.
    unsafe fn halt(rt: *mut Runtime) -> ! {
        loop {
            // SAFETY: as in `switch`.
            unsafe { Runtime::switch(rt) };
        }
    }

    fn location_of(&mut self, tag: &Tag, init: u64, expected: Option<u32>) -> Result<u32, String> {
        let exec = self.exec;
        if let Some(loc) = tag.get(exec) {
            return match expected {
                Some(e) if e != loc => Err("it touched another object".into()),
                _ => Ok(loc),
            };
        }
        let loc = match expected {
            Some(loc) => {
                if self.bound.get(loc as usize) == Some(&exec) {
                    return Err("it touched a new object".into());
                }
                self.ex.graph.locs[loc as usize].init = init;
                loc
            }
            None => {
                // A location of the graph that no object has been tied to yet may still be
                // claimed by a thread that is replayed; take a fresh one.
                self.ex.graph.add_loc(init)
            }
        };
        if self.bound.len() <= loc as usize {
            self.bound.resize(loc as usize + 1, 0);
        }
        self.bound[loc as usize] = exec;
        tag.set(exec, loc);
        Ok(loc)
    }

    unsafe fn perform(rt: *mut Runtime, mut label: Label, object: Option<(&Tag, u64)>) -> Outcome {
        // SAFETY: `rt` is live and nobody else uses it until we switch; every reference made from
        // it ends before the next switch.
        unsafe {
            loop {
                let this = &mut *rt;
                if this.aborting {
                    Runtime::halt(rt);
                }
                let t = this.cur as usize;
                this.threads[t].last = label.site;
                let len = this.ex.graph.threads[t].events.len();
                let pos = this.threads[t].pos as usize;
                if pos < len {
                    if let Some(outcome) = this.replay(t, pos, &mut label, object) {
                        return outcome;
                    }
                    Runtime::switch(rt);
                    continue;
                }
                if this.replaying {
                    this.threads[t].state = State::Frontier;
                    Runtime::switch(rt);
                    continue;
                }
                if let Some((tag, init)) = object {
                    match this.location_of(tag, init, None) {
                        Ok(loc) => label.loc = loc,
                        Err(e) => {
                            this.fail(failure::Kind::Nondeterminism(e));
                            Runtime::halt(rt);
                        }
                    }
                }
                if label.awaits && !this.ex.enabled(&label) {
                    this.threads[t].state = State::Await;
                    this.threads[t].pending = Some(label);
                    Runtime::switch(rt);
                    continue;
                }
                if label.kind == Kind::Join {
                    let child = label.a as u32;
                    if this.threads[child as usize].state != State::Finished {
                        this.threads[t].state = State::Join(child);
                        Runtime::switch(rt);
                        continue;
                    }
                }
                if this.ex.graph.events.len() >= this.limits.events {
                    this.fail(failure::Kind::Limit(format!(
                        "Model exceeded maximum number of branches: {} events in one execution; thread {t} is at {}. \
                         Is it a loop that never ends? (Builder::max_branches raises the limit.)",
                        this.limits.events, label.site
                    )));
                    Runtime::halt(rt);
                }
                let id = this.ex.add(t as u32, label);
                this.threads[t].pos += 1;
                if this.ex.woke {
                    this.ex.woke = false;
                    this.replaying = true;
                }
                return outcome(id, this.ex.graph.ev(id));
            }
        }
    }

    /// Gives the thread what the graph says, or says why it has to wait.
    fn replay(&mut self, t: usize, pos: usize, label: &mut Label, object: Option<(&Tag, u64)>) -> Option<Outcome> {
        let id = self.ex.graph.threads[t].events[pos];
        let ev = *self.ex.graph.ev(id);
        if !same_shape(&ev.label, label) {
            self.fail(failure::Kind::Nondeterminism(format!(
                "thread {t} did {:?} at {} when it was run again, and had done {:?} at {} before",
                label.kind, label.site, ev.label.kind, ev.label.site
            )));
            return None;
        }
        if let Some((tag, init)) = object
            && let Err(e) = self.location_of(tag, init, Some(ev.label.loc))
        {
            self.fail(failure::Kind::Nondeterminism(format!("thread {t} at {}: {e} when it was run again", label.site)));
            return None;
        }
        if ev.waiting {
            self.threads[t].state = State::Stuck;
            return None;
        }
        let ready = self.can_replay(&ev);
        if !ready {
            self.threads[t].state = State::Replay;
            return None;
        }
        label.loc = ev.label.loc;
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
                        "the compare-exchange of thread {t} at {} found another value when it was run again \
                         (if it compares addresses: memory freed and allocated anew may get the same address)",
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

    /// Creates thread `tid`, whose creation is the event that the current thread just did.
    pub(crate) fn create<F: FnOnce() + 'static>(&mut self, tid: u32, name: Option<String>, site: &'static Location<'static>, f: F) {
        let stack = self
            .stacks
            .pop()
            .unwrap_or_else(|| DefaultStack::new(self.limits.stack).expect("no memory for the stack of a thread of the model"));
        let rt: *mut Runtime = self;
        let co = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the coroutine only runs while its runtime is alive.
            unsafe {
                let cur = (*rt).cur as usize;
                (&mut (*rt).threads)[cur].yielder = yielder;
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
                // SAFETY: as above.
                let this = unsafe { &mut *rt };
                let (message, at) = this.panic_note.take().unwrap_or_else(|| (panic_message(&*payload), String::from("?")));
                this.fail(failure::Kind::Panic { message, at });
            }
        });
        while self.threads.len() <= tid as usize {
            self.threads.push(Thread {
                co: None,
                yielder: std::ptr::null(),
                pos: 0,
                state: State::Vacant,
                pending: None,
                site,
                name: None,
                last: site,
                spin_from: 0,
                spins: 0,
            });
        }
        self.threads[tid as usize] = Thread {
            co: Some(co),
            yielder: std::ptr::null(),
            pos: 0,
            state: State::Ready,
            pending: None,
            site,
            name,
            last: site,
            spin_from: 0,
            spins: 0,
        };
        self.order.push(tid);
    }

    /// Creates the thread that the event `spawn`, just done, stands for.
    pub(crate) fn spawned<F: FnOnce() + 'static>(
        &mut self,
        spawn: Id,
        name: Option<String>,
        site: &'static Location<'static>,
        f: F,
    ) -> u32 {
        let known = (1..self.ex.graph.threads.len()).find(|&t| self.ex.graph.threads[t].spawn == spawn);
        let tid = known.map_or_else(|| self.ex.graph.add_thread(spawn), |t| t as u32);
        self.create(tid, name, site, f);
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
        }
        self.order.clear();
        self.replaying = true;
        self.aborting = false;
        self.ex.woke = false;
        self.create(0, None, Location::caller(), main);
        // Places for the threads that the graph knows.
        let known = self.ex.graph.threads.len();
        while self.threads.len() < known {
            self.threads.push(Thread {
                co: None,
                yielder: std::ptr::null(),
                pos: 0,
                state: State::Vacant,
                pending: None,
                site: Location::caller(),
                name: None,
                last: Location::caller(),
                spin_from: 0,
                spins: 0,
            });
        }
        let rt: *mut Runtime = self;
        RUNTIME.set(rt);
        // SAFETY: `rt` points to `self`; the references that `schedule` and the coroutines make
        // from it do not overlap, because no reference is held across a resume.
        let end = unsafe { Runtime::schedule(rt) };
        RUNTIME.set(std::ptr::null_mut());
        self.teardown();
        end
    }

    unsafe fn schedule(rt: *mut Runtime) -> End {
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
                (&mut (*rt).threads)[t as usize].state = State::Ready;
                // Taken out while it runs: the vector of threads may grow meanwhile.
                let mut co = (&mut (*rt).threads)[t as usize].co.take().expect("a thread that is ready has a coroutine");
                let result = co.resume(());
                let this = &mut *rt;
                this.threads[t as usize].co = Some(co);
                if this.failure.is_some() {
                    return End::Failed;
                }
                if let CoroutineResult::Return(()) = result {
                    let thread = &mut this.threads[t as usize];
                    thread.state = State::Finished;
                    let co = thread.co.take().expect("still there");
                    this.stacks.push(co.into_stack());
                    if (this.threads[t as usize].pos as usize) < this.ex.graph.threads[t as usize].events.len() {
                        this.fail(failure::Kind::Nondeterminism(format!("thread {t} ended earlier when it was run again")));
                        return End::Failed;
                    }
                }
                next = this.pick();
            }
        }
    }

    /// The thread to run next.
    fn pick(&mut self) -> Option<u32> {
        let n = self.threads.len() as u32;
        if self.replaying {
            let mut left = false;
            for t in 0..n {
                let thread = &self.threads[t as usize];
                let Some(g) = self.ex.graph.threads.get(t as usize) else { continue };
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
                self.fail(failure::Kind::Nondeterminism("a thread did not come back to what it did before".into()));
                return None;
            }
            self.replaying = false;
        }
        let cur = self.cur;
        if self.runnable(cur) {
            return Some(cur);
        }
        (0..n).find(|&t| self.runnable(t))
    }

    fn can_replay(&self, ev: &Event) -> bool {
        match ev.label.kind {
            Kind::Load | Kind::Rmw | Kind::Woken => {
                ev.rf == INIT || {
                    let src = self.ex.graph.ev(ev.rf);
                    self.threads[src.tid as usize].state != State::Vacant && self.threads[src.tid as usize].pos > src.idx
                }
            }
            Kind::Join => self.threads[ev.label.a as usize].state == State::Finished,
            _ => true,
        }
    }

    fn runnable(&self, t: u32) -> bool {
        let thread = &self.threads[t as usize];
        match thread.state {
            State::Ready | State::Frontier | State::Replay => true,
            State::Await => thread.pending.as_ref().is_some_and(|l| self.ex.enabled(l)),
            State::Join(c) => self.threads[c as usize].state == State::Finished,
            State::Spin => self.news(t),
            State::Vacant | State::Stuck | State::Finished => false,
        }
    }

    /// Whether one of the reads of a spin loop's last iteration could see something newer.
    fn news(&self, t: u32) -> bool {
        let thread = &self.threads[t as usize];
        let g = &self.ex.graph;
        let events = &g.threads[t as usize].events;
        events[thread.spin_from as usize..].iter().any(|&id| {
            let e = g.ev(id);
            e.reads() && (g.pos(e.rf) as usize) < g.locs[e.label.loc as usize].mo.len()
        })
    }

    /// Nothing can run. Says how the execution ended, or `None` when somebody can go on after all.
    fn quiesce(&mut self) -> Option<End> {
        if self.failure.is_some() {
            return Some(End::Failed);
        }
        let left = |t: &Thread| !matches!(t.state, State::Vacant | State::Finished);
        if !self.threads.iter().any(left) {
            return Some(End::Complete);
        }
        for t in 0..self.threads.len() {
            if self.threads[t].state == State::Await {
                let label = self.threads[t].pending.take().expect("an awaiting thread has its label");
                self.ex.add_blocked(t as u32, label);
                self.threads[t].state = State::Stuck;
            }
        }
        Some(End::Blocked)
    }

    /// The threads that are not finished, for a message.
    pub(crate) fn standing(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (t, thread) in self.threads.iter().enumerate() {
            if !matches!(thread.state, State::Vacant | State::Finished) {
                let name = thread.name.as_deref().map(|n| format!(" `{n}`")).unwrap_or_default();
                out.push(format!("thread {t}{name} (spawned at {}) is at {}", thread.site, thread.last));
            }
        }
        out
    }

    /// What is left of the coroutines of an execution that did not end is forgotten: to unwind
    /// them would run destructors of the model in a state that no execution has.
    fn teardown(&mut self) {
        for &t in self.order.iter().rev() {
            if let Some(mut co) = self.threads[t as usize].co.take() {
                if co.started() {
                    // SAFETY: the frames are never resumed. Values on the stack are leaked; none
                    // of them is pinned memory that somebody else still uses, because every
                    // thread of the execution is given up together.
                    unsafe { co.force_reset() };
                    self.stacks.push(co.into_stack());
                }
            }
        }
    }

    pub(crate) fn cur(&self) -> u32 {
        self.cur
    }

    /// The clock of what happens before the current point of the current thread.
    pub(crate) fn now(&self) -> Option<&[u32]> {
        let last = self.ex.graph.last(self.cur);
        let t = &self.threads[self.cur as usize];
        let events = &self.ex.graph.threads[self.cur as usize].events;
        let id = if t.pos == 0 { self.ex.graph.threads[self.cur as usize].spawn } else { events[t.pos as usize - 1] };
        let _ = last;
        (id != super::event::NONE).then(|| self.ex.graph.clock(id, HB))
    }
}

fn outcome(id: Id, e: &Event) -> Outcome {
    Outcome { value: e.rval, wrote: e.wrote, choice: e.choice, event: id }
}

fn same_shape(a: &Label, b: &Label) -> bool {
    a.kind == b.kind && a.rmw == b.rmw && a.ord == b.ord && a.fail == b.fail && a.bits == b.bits && a.awaits == b.awaits
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
