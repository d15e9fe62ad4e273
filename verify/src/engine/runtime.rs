//! Running the model: each of its threads is a coroutine, all of them on one thread of the system.
//!
//! A closure cannot be copied in the middle, so every execution starts from the beginning: the
//! threads run again and are given what the graph says (*replay*), in an order in which every read
//! comes after the write that it reads from; then they go on, and the graph grows. What lies
//! between two events is real code on real memory. Because non-atomic accesses are ordered by
//! happens-before, or else reported as a race, they see in a replay what they saw the first time.
//! Addresses may differ between two runs, so values are taken anew from the run at hand.

use super::event::{Event, INIT, Id, Kind, Label, NO_LOC, Rmw, apply};
use super::extend::Explorer;
use super::failure;
use super::graph::{Graph, HB};
use super::mutate::{Change, Effect};
use super::queue;
use super::replay::{Step, What};
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
    pub(super) fn get(&self, exec: u64) -> Option<u32> {
        let v = self.0.load(Ordering::Relaxed);
        (v >> LOC_BITS == exec).then_some((v & ((1 << LOC_BITS) - 1)) as u32)
    }

    pub(super) fn set(&self, exec: u64, loc: u32) {
        self.0
            .store(exec << LOC_BITS | u64::from(loc), Ordering::Relaxed);
    }

    /// Forgets the location: the object's own memory is its value again.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What an event acts on.
#[derive(Clone, Copy)]
pub(crate) enum Object<'a> {
    /// An object of the model, and the value it has if nobody has touched it.
    Tagged(&'a Tag, u64),
    /// The wait queue of an address.
    Queue(usize),
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
    /// Its wait is in the graph, and reads from one that does not let it go on.
    Waiting,
    /// Waits for the end of a thread.
    Join(u32),
    /// Sleeps until its ticket is taken.
    Asleep,
    /// Has asked for others to run first.
    Yield,
    /// Spins; goes on when one of its reads could see something new.
    Spin,
    /// Cannot go on in this execution.
    Stuck,
    Finished,
}

pub(crate) struct Thread {
    co: Option<Co>,
    yielder: *const Yielder<(), ()>,
    pos: u32,
    state: State,
    pending: Option<Label>,
    site: &'static Location<'static>,
    name: Option<String>,
    /// Where it was last seen.
    last: &'static Location<'static>,
    /// Whether the wait may end without what it waits for.
    timed: bool,
    /// Its wait ends now without what it waits for.
    fire: bool,
    /// How often its timeouts have fired because nothing else could run.
    fired: u32,
    spin: Spin,
    /// It has panicked: while its frames unwind it must not be given up.
    panicked: bool,
    /// It may vanish after a write.
    mortal: bool,
    /// It has vanished.
    gone: bool,
    /// What the kernel does then.
    deaths: Vec<Box<dyn FnOnce()>>,
    /// What the thread has under `thread::current` and in its thread-locals; the front end's.
    pub extra: Option<Box<dyn std::any::Any>>,
}

/// What is known of a loop that waits for another thread.
#[derive(Clone, Copy, Default)]
struct Spin {
    /// Index of the first event of the iteration.
    from: u32,
    /// Iterations without an effect so far.
    count: u32,
    /// How often it was let go on although nothing had changed.
    released: u32,
    /// The iteration at hand is such a one.
    free: bool,
    /// Loads in a row at one place that gave the same.
    streak: u32,
}

impl Thread {
    fn vacant() -> Thread {
        Thread {
            co: None,
            yielder: std::ptr::null(),
            pos: 0,
            state: State::Vacant,
            pending: None,
            site: Location::caller(),
            name: None,
            last: Location::caller(),
            timed: false,
            fire: false,
            fired: 0,
            spin: Spin::default(),
            panicked: false,
            mortal: false,
            gone: false,
            deaths: Vec::new(),
            extra: None,
        }
    }
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
    /// Iterations without an effect that a spin loop may make before it has to see something new.
    pub unroll: u32,
    /// How often a spin loop may go round on the newest values when nothing else can run.
    pub spins: u32,
    /// How many equal loads in a row make a spin loop of code that does not say that it is one.
    pub rounds: u32,
    /// How often the timeouts of a thread may fire when nothing else can run.
    pub fires: u32,
    /// Begin without exploring alternatives.
    pub muted: bool,
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
    /// Wait queues by address.
    queues: Vec<(usize, u32)>,
    replaying: bool,
    pub aborting: bool,
    pub failure: Option<failure::Kind>,
    stacks: Vec<DefaultStack>,
    pub limits: Limits,
    pub panic_note: Option<(String, String)>,
    /// Alternatives are not explored.
    pub muted: bool,
    /// Those of the next step are not.
    pub skip: bool,
    /// Where non-atomic accesses have been in this run.
    pub(super) shadows: Vec<super::race::Shadow>,
    /// Reads of atomics that were not atomic: location, thread, epoch, place.
    unsynced: Vec<(u32, u32, u32, &'static Location<'static>)>,
    /// Steps of this run, those among them that are no events.
    steps: usize,
    /// Other workers run the same model.
    pub parallel: bool,
    /// Objects of this run by address; kept when there are other workers.
    addresses: Vec<(usize, u32)>,
    /// What the events have to be, when one execution is run again.
    pub guide: Option<Vec<Step>>,
    /// What is changed about some places of the model, to see whether it matters.
    pub changes: Vec<Change>,
    /// What was allocated in this run and has to be freed before its end.
    pub(super) allocations: Vec<Allocation>,
    /// Values that live as long as the execution, by the address of their static.
    pub statics: Vec<(usize, Box<dyn std::any::Any>)>,
}

/// Something that has to be freed before the end of the execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocation {
    what: &'static str,
    site: &'static Location<'static>,
    live: bool,
}

/// The runtime of this thread of the system, while a model runs on it.
#[inline]
pub(crate) fn current() -> Option<*mut Runtime> {
    let p = RUNTIME.get();
    (!p.is_null()).then_some(p)
}

/// Asks for an event. `object` is what it acts on, with the value it has if nobody has touched it.
#[inline]
pub(crate) fn perform(label: Label, object: Option<Object<'_>>) -> Outcome {
    let rt = current().unwrap_or_else(|| {
        panic!(
            "an object of the model checker was used outside of `model` at {}",
            label.site
        )
    });
    // SAFETY: the runtime lives as long as the pointer is set, and only one coroutine runs at a
    // time; no reference into it is held across a switch.
    unsafe {
        let out = Runtime::perform(rt, label, object);
        if out.wrote && (*rt).may_vanish() {
            vanish_or_not(rt, label.site);
        }
        out
    }
}

/// After a write of a process: it goes on, or it is gone.
#[cold]
fn vanish_or_not(rt: *mut Runtime, site: &'static Location<'static>) {
    if super::object::choose(2, super::extend::CRASH, site) == 0 {
        return;
    }
    // SAFETY: on the coroutine of the current thread; references end before each switch.
    unsafe {
        let t = (*rt).cur as usize;
        let deaths = {
            let thread = &mut (&mut (*rt).threads)[t];
            thread.gone = true;
            std::mem::take(&mut thread.deaths)
        };
        for death in deaths.into_iter().rev() {
            death();
        }
        (&mut (*rt).threads)[t].state = State::Finished;
        loop {
            Runtime::switch(rt);
        }
    }
}

/// Looks at the runtime.
///
/// # Panics
/// Outside of a model.
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&mut Runtime) -> R) -> R {
    let rt = current().unwrap_or_else(|| panic!("this works only inside of a model"));
    // SAFETY: no other reference to the runtime is alive while user code runs, and `f` runs none.
    f(unsafe { &mut *rt })
}

/// Stops the current thread for good when the execution has failed.
pub(crate) fn stop_if_failed() {
    if let Some(rt) = current() {
        // SAFETY: on the coroutine of the current thread; no reference is held across the switch.
        unsafe {
            if (*rt).aborting {
                Runtime::halt(rt);
            }
        }
    }
}

/// The newest value of an object, without a step.
pub(crate) fn peek(tag: &Tag, init: u64) -> u64 {
    let Some(rt) = current() else { return init };
    // SAFETY: no other reference to the runtime is alive here.
    let rt = unsafe { &*rt };
    match tag.get(rt.exec) {
        Some(loc) => {
            let newest = rt.ex.graph.locs[loc as usize]
                .mo
                .last()
                .copied()
                .unwrap_or(INIT);
            rt.ex.graph.value(loc, newest)
        }
        None => init,
    }
}

/// The value of an object that the current thread has for itself, or only reads: `shared`. Whoever
/// else has touched it has to come before.
pub(crate) fn exclusive(
    tag: &Tag,
    init: u64,
    shared: bool,
    site: &'static Location<'static>,
) -> u64 {
    stop_if_failed();
    with(|rt| {
        let Some(loc) = tag.get(rt.exec) else { return };
        let g = &rt.ex.graph;
        let l = &g.locs[loc as usize];
        let others = l.mo.iter().chain(l.reads.iter().filter(|_| !shared));
        let run = |id: Id| rt.threads[g.ev(id).tid as usize].pos > g.ev(id).idx;
        let racing = others
            .copied()
            .find(|&id| run(id) && !rt.ordered(g.ev(id).tid, g.ev(id).idx + 1));
        if let Some(id) = racing {
            let (first, tid) = (g.ev(id).label.site, g.ev(id).tid);
            rt.race(
                "an access of an atomic that is not atomic itself".into(),
                first,
                tid,
                site,
            );
        } else if shared {
            let access = (loc, rt.cur, rt.epoch(), site);
            rt.unsynced.push(access);
        }
    });
    stop_if_failed();
    peek(tag, init)
}

/// Gives up the current thread in this execution: it does not go on, the others do.
pub(crate) fn block() -> ! {
    let Some(rt) = current() else {
        panic!("`block` outside of a model")
    };
    // SAFETY: on the coroutine of the current thread; no reference is held across the switch.
    unsafe {
        loop {
            let cur = (*rt).cur as usize;
            (&mut (*rt).threads)[cur].state = State::Stuck;
            Runtime::switch(rt);
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        stacks::give(&mut self.stacks, self.limits.stack);
    }
}

/// Stacks that no exploration uses: a fresh one costs as much as an execution.
mod stacks {
    use corosensei::stack::DefaultStack;
    use std::sync::Mutex;

    static SPARE: Mutex<Vec<(usize, DefaultStack)>> = Mutex::new(Vec::new());
    const MOST: usize = 128;

    pub(super) fn take(size: usize) -> Option<DefaultStack> {
        let mut spare = SPARE.lock().unwrap_or_else(|e| e.into_inner());
        let at = spare.iter().rposition(|s| s.0 == size)?;
        Some(spare.swap_remove(at).1)
    }

    pub(super) fn give(stacks: &mut Vec<DefaultStack>, size: usize) {
        let mut spare = SPARE.lock().unwrap_or_else(|e| e.into_inner());
        let room = MOST.saturating_sub(spare.len());
        spare.extend(stacks.drain(..).take(room).map(|s| (size, s)));
    }
}

impl Runtime {
    /// The last value, in modification order, of an object of the execution that has just ended.
    pub(crate) fn newest(&self, tag: &Tag) -> Option<u64> {
        let loc = tag.get(self.exec)?;
        let newest = self.ex.graph.locs[loc as usize]
            .mo
            .last()
            .copied()
            .unwrap_or(INIT);
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
            queues: Vec::new(),
            replaying: false,
            aborting: false,
            failure: None,
            stacks: Vec::new(),
            limits,
            panic_note: None,
            muted: false,
            skip: false,
            shadows: Vec::new(),
            unsynced: Vec::new(),
            parallel: false,
            addresses: Vec::new(),
            guide: None,
            changes: Vec::new(),
            steps: 0,
            allocations: Vec::new(),
            statics: Vec::new(),
        }
    }

    /// The current thread panics; whether that fails the model is seen when it is not caught.
    pub(crate) fn panicked(&mut self, message: String, at: String) {
        self.panic_note = Some((message, at));
        self.threads[self.cur as usize].panicked = true;
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

    fn location_of(&mut self, object: Object<'_>, expected: Option<u32>) -> Result<u32, String> {
        let exec = self.exec;
        let known = match object {
            // Another worker may have touched the same static meanwhile: then its address tells.
            Object::Tagged(tag, _) => tag.get(exec).or_else(|| {
                let foreign = self.parallel && tag.0.load(Ordering::Relaxed) != 0;
                let address = std::ptr::from_ref(tag).addr();
                let mine = || self.addresses.iter().find(|a| a.0 == address).map(|a| a.1);
                foreign.then(mine).flatten()
            }),
            Object::Queue(address) => self.queues.iter().find(|q| q.0 == address).map(|q| q.1),
        };
        if let Some(loc) = known {
            return match expected {
                Some(e) if e != loc => Err("it touched another object".into()),
                _ => Ok(loc),
            };
        }
        let init = match object {
            Object::Tagged(_, init) => init,
            Object::Queue(_) => 0,
        };
        let loc = match expected {
            Some(loc) => {
                if self.bound.get(loc as usize) == Some(&exec) {
                    return Err("it touched a new object".into());
                }
                self.ex.graph.locs[loc as usize].init = init;
                loc
            }
            None => self.ex.graph.add_loc(init),
        };
        if self.bound.len() <= loc as usize {
            self.bound.resize(loc as usize + 1, 0);
        }
        self.bound[loc as usize] = exec;
        match object {
            Object::Tagged(tag, _) => {
                tag.set(exec, loc);
                if self.parallel {
                    self.addresses.push((std::ptr::from_ref(tag).addr(), loc));
                }
            }
            Object::Queue(address) => self.queues.push((address, loc)),
        }
        Ok(loc)
    }

    /// The step that a replay string asks for next.
    fn turn(&self) -> Option<Step> {
        self.guide
            .as_ref()?
            .get(self.ex.graph.events.len())
            .copied()
    }

    fn astray(&mut self) {
        let n = self.ex.graph.events.len();
        self.fail(failure::Kind::Misuse(format!(
            "the replay string does not belong to this model: its step {n} cannot be done"
        )));
    }

    fn count_step(&mut self, site: &'static Location<'static>) {
        self.steps += 1;
        if self.steps.max(self.ex.graph.events.len()) > self.limits.events {
            let message = format!(
                "Model exceeded maximum number of branches: {} steps in one execution; thread {} is at {site}. \
                 Is it a loop that never ends? (Builder::max_branches raises the limit.)",
                self.limits.events, self.cur
            );
            self.fail(failure::Kind::Limit(message));
        }
    }

    /// Whether the current thread is one that may vanish here.
    fn may_vanish(&self) -> bool {
        let thread = &self.threads[self.cur as usize];
        thread.mortal && !thread.gone && !self.aborting
    }

    pub(crate) fn set_mortal(&mut self, mortal: bool) {
        self.threads[self.cur as usize].mortal = mortal;
    }

    pub(crate) fn on_death(&mut self, f: Box<dyn FnOnce()>) {
        self.threads[self.cur as usize].deaths.push(f);
    }

    /// Whether a thread has vanished.
    pub(super) fn gone(&self, tid: u32) -> bool {
        self.threads[tid as usize].gone
    }

    fn wait(&mut self, t: usize, state: State, label: Label) {
        let thread = &mut self.threads[t];
        thread.state = state;
        thread.timed = label.timed;
        thread.pending = Some(label);
    }

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
            let t = this.cur as usize;
            let pos = this.threads[t].pos;
            let in_graph = (pos as usize) < this.ex.graph.threads[t].events.len();
            let last = this.threads[t].last;
            this.count_step(last);
            if this.aborting {
                Runtime::halt(rt);
            }
            let from = std::mem::replace(&mut this.threads[t].spin.from, pos);
            if from == pos && this.threads[t].spin.count > 0 {
                return;
            }
            let idle = this.idle(t, from, pos);
            let spin = &mut this.threads[t].spin;
            if !idle {
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
            if this.replaying || !this.news(t, from, pos) {
                this.threads[t].state = State::Spin;
                this.threads[t].spin.from = from;
                Runtime::switch(rt);
                let this = &mut *rt;
                this.threads[t].spin.from = pos;
            }
        }
    }

    /// Whether the events `from..to` of a thread change nothing that others can see.
    fn idle(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        from < to
            && g.threads[t].events[from as usize..to as usize]
                .iter()
                .all(|&id| {
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
    fn source(&self, t: usize, mut w: Id) -> Id {
        loop {
            if w >= super::event::NONE {
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

    /// Whether the iteration `from..to` of a spin loop read what the one before it read.
    fn same_as_before(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        let events = &g.threads[t].events;
        let len = to - from;
        if len == 0 || len > from {
            return false;
        }
        let own = |w: Id| w < super::event::NONE && g.ev(w).tid as usize == t;
        (0..len).all(|i| {
            let (a, b) = (
                g.ev(events[(from - len + i) as usize]),
                g.ev(events[(from + i) as usize]),
            );
            a.label.kind == b.label.kind
                && a.label.loc == b.label.loc
                && (!a.reads()
                    || self.source(t, a.rf) == self.source(t, b.rf)
                    || (own(a.rf) && own(b.rf)))
        })
    }

    /// Whether one of the reads among the events `from..to` of a thread passed over a newer write
    /// that was there already.
    fn stale(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        g.threads[t].events[from as usize..to as usize]
            .iter()
            .any(|&id| {
                let e = g.ev(id);
                let then = if e.rf < super::event::NONE {
                    id.max(e.rf)
                } else {
                    id
                };
                e.reads() && {
                    let seen = if e.wrote { e.pos } else { g.pos(e.rf) };
                    let mo = &g.locs[e.label.loc as usize].mo;
                    mo[seen as usize..]
                        .iter()
                        .any(|&w| w < then && g.ev(w).tid as usize != t)
                }
            })
    }

    /// Whether one of the reads among the events `from..to` of a thread could see something newer.
    fn news(&self, t: usize, from: u32, to: u32) -> bool {
        let g = &self.ex.graph;
        g.threads[t].events[from as usize..to as usize]
            .iter()
            .any(|&id| {
                let e = g.ev(id);
                e.reads() && {
                    let seen = if e.wrote { e.pos } else { g.pos(e.rf) };
                    let mo = &g.locs[e.label.loc as usize].mo;
                    // One's own idle writes are no news.
                    mo[seen as usize..]
                        .iter()
                        .any(|&w| g.ev(w).tid as usize != t)
                }
            })
    }

    unsafe fn perform(rt: *mut Runtime, mut label: Label, object: Option<Object<'_>>) -> Outcome {
        // SAFETY: `rt` is live and nobody else uses it until we switch; every reference made from
        // it ends before the next switch.
        unsafe {
            loop {
                let this = &mut *rt;
                let t = this.cur as usize;
                if this.aborting {
                    if this.threads[t].panicked && std::thread::panicking() {
                        // The execution has failed; the destructors get something to end with.
                        return Outcome {
                            value: label.a,
                            wrote: true,
                            choice: 0,
                            event: 0,
                        };
                    }
                    Runtime::halt(rt);
                }
                this.threads[t].last = label.site;
                if !this.changes.is_empty() {
                    match this
                        .changes
                        .iter()
                        .find(|c| c.applies(&label))
                        .map(|c| c.apply(&mut label))
                    {
                        Some(Effect::Skip) => {
                            return Outcome {
                                value: 0,
                                wrote: false,
                                choice: 0,
                                event: 0,
                            };
                        }
                        Some(Effect::Go) | None => {}
                    }
                }
                let len = this.ex.graph.threads[t].events.len();
                let pos = this.threads[t].pos as usize;
                if pos < len {
                    if let Some(outcome) = this.replay(t, pos, &mut label, object) {
                        if this.threads[t].repeats(
                            &this.ex.graph,
                            outcome.event,
                            this.limits.rounds,
                        ) {
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
                if let Some(object) = object {
                    match this.location_of(object, None) {
                        Ok(loc) => label.loc = loc,
                        Err(e) => {
                            this.fail(failure::Kind::Nondeterminism(e));
                            Runtime::halt(rt);
                        }
                    }
                }
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
                    } else if queue::taken_by(&this.ex.graph, label.a).is_none() {
                        this.wait(t, State::Asleep, label);
                        Runtime::switch(rt);
                        continue;
                    } else {
                        label.loc = NO_LOC;
                    }
                }
                if label.kind == Kind::Join {
                    let child = label.a as u32;
                    if this.threads[child as usize].state != State::Finished {
                        this.threads[t].state = State::Join(child);
                        Runtime::switch(rt);
                        continue;
                    }
                }
                if label.kind == Kind::Spawn && this.order.len() >= this.limits.threads {
                    this.fail(failure::Kind::Limit(format!(
                        "more than {} threads: thread {t} spawns another at {} (Builder::max_threads raises the limit)",
                        this.limits.threads, label.site
                    )));
                    Runtime::halt(rt);
                }
                if let Some(&(_, tid, _, first)) = this.unsynced.iter().find(|u| {
                    u.0 == label.loc && label.kind != Kind::Load && !this.ordered(u.1, u.2)
                }) {
                    this.race(
                        "an access of an atomic that is not atomic itself".into(),
                        first,
                        tid,
                        label.site,
                    );
                    Runtime::halt(rt);
                }
                this.count_step(label.site);
                if this.aborting {
                    Runtime::halt(rt);
                }
                let others = this.ex.stack.len();
                let id = match turn {
                    None => this.ex.add(t as u32, label),
                    Some(step) => match this.ex.add_as_told(t as u32, label, &step) {
                        Some(id) => id,
                        None => {
                            this.astray();
                            Runtime::halt(rt);
                        }
                    },
                };
                this.threads[t].pos += 1;
                if std::mem::take(&mut this.skip) || this.muted {
                    this.ex.stack.truncate(others);
                }
                if this.ex.woke {
                    this.ex.woke = false;
                    this.replaying = true;
                }
                if this.ex.dead {
                    Runtime::switch(rt);
                }
                let out = outcome(id, this.ex.graph.ev(id));
                if this.threads[t].repeats(&this.ex.graph, id, this.limits.rounds) {
                    Runtime::relax(rt);
                }
                return out;
            }
        }
    }

    /// Gives the thread what the graph says, or says why it has to wait.
    fn replay(
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
        if ev.label.loc != NO_LOC
            && let Some(object) = object
            && let Err(e) = self.location_of(object, Some(ev.label.loc))
        {
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
    pub(crate) fn create<F: FnOnce() + 'static>(
        &mut self,
        tid: u32,
        name: Option<String>,
        site: &'static Location<'static>,
        f: F,
    ) {
        let stack = self
            .stacks
            .pop()
            .or_else(|| stacks::take(self.limits.stack))
            .unwrap_or_else(|| {
                DefaultStack::new(self.limits.stack)
                    .expect("no memory for the stack of a thread of the model")
            });
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
            state: State::Ready,
            site,
            name,
            last: site,
            ..Thread::vacant()
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
        let known =
            (1..self.ex.graph.threads.len()).find(|&t| self.ex.graph.threads[t].spawn == spawn);
        let told = self
            .guide
            .as_ref()
            .and_then(|g| g.get(spawn as usize))
            .map(|step| step.what);
        let tid = match (known, told) {
            (Some(t), _) => t as u32,
            (None, Some(What::Create(tid))) => {
                self.ex.graph.add_thread_at(tid, spawn);
                tid
            }
            (None, _) => self.ex.graph.add_thread(spawn),
        };
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
        self.queues.clear();
        self.shadows.clear();
        self.unsynced.clear();
        self.addresses.clear();
        self.steps = 0;
        self.allocations.clear();
        self.statics.clear();
        self.ex.dead = false;
        self.replaying = true;
        self.aborting = false;
        self.ex.woke = false;
        self.muted = self.limits.muted;
        self.skip = false;
        self.panic_note = None;
        self.create(0, None, Location::caller(), main);
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
                let mut co = (&mut (*rt).threads)[t as usize]
                    .co
                    .take()
                    .expect("a thread that is ready has a coroutine");
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

    /// The thread to run next.
    fn pick(&mut self) -> Option<u32> {
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
        if self.ex.dead {
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
            self.astray();
            return None;
        }
        // Between a comparison and the place in the queue nobody else gets a turn.
        if let Some(t) = (0..n).find(|&t| {
            self.threads[t as usize].state != State::Vacant
                && queue::owes_enqueue(&self.ex.graph, t)
        }) {
            return Some(t);
        }
        let cur = self.cur;
        if self.runnable(cur) {
            return Some(cur);
        }
        (0..n)
            .find(|&t| self.runnable(t))
            .or_else(|| (0..n).find(|&t| self.threads[t as usize].state == State::Yield))
    }

    fn can_replay(&self, ev: &Event) -> bool {
        match ev.label.kind {
            Kind::Load | Kind::Rmw | Kind::Woken => {
                ev.rf == INIT || {
                    let src = self.ex.graph.ev(ev.rf);
                    self.threads[src.tid as usize].state != State::Vacant
                        && self.threads[src.tid as usize].pos > src.idx
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
            State::Await => {
                thread.fire || thread.pending.as_ref().is_some_and(|l| self.ex.enabled(l))
            }
            State::Join(c) => self.threads[c as usize].state == State::Finished,
            State::Asleep => thread
                .pending
                .as_ref()
                .is_some_and(|l| queue::taken_by(&self.ex.graph, l.a).is_some()),
            State::Spin => self.news(t as usize, thread.spin.from, thread.pos),
            State::Yield => false,
            State::Vacant | State::Stuck | State::Waiting | State::Finished => false,
        }
    }

    /// Nothing can run. Says how the execution ended, or `None` when somebody can go on after all.
    fn quiesce(&mut self) -> Option<End> {
        if self.failure.is_some() {
            return Some(End::Failed);
        }
        let left = |t: &Thread| !matches!(t.state, State::Vacant | State::Finished);
        if !self.threads.iter().any(left) {
            if let Some(leak) = self.leak() {
                self.fail(failure::Kind::Leak(leak));
                return Some(End::Failed);
            }
            return Some(End::Complete);
        }
        if self.ex.dead {
            return Some(End::Blocked);
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
        // Spin loops that see the newest values go round a few more times: they may be bounded.
        let mut spinning = None;
        let mut released = false;
        for t in 0..self.threads.len() {
            let limit = self.limits.spins;
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
        let dropped = self.threads.iter().any(|t| t.state == State::Stuck);
        let standing = self.standing();
        for t in 0..self.threads.len() {
            if self.threads[t].state == State::Await {
                let label = self.threads[t]
                    .pending
                    .take()
                    .expect("an awaiting thread has its label");
                self.ex.add_blocked(t as u32, label);
            }
        }
        // A thread that was given up may be what the others wait for.
        if dropped || exhausted {
            return Some(End::Blocked);
        }
        match spinning {
            Some(t) => self.fail(failure::Kind::Endless(format!(
                "thread {t} spins on the newest values, nobody can change them\n  {}",
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
                let name = thread
                    .name
                    .as_deref()
                    .map(|n| format!(" `{n}`"))
                    .unwrap_or_default();
                out.push(format!(
                    "thread {t}{name} (spawned at {}) is at {}",
                    thread.site, thread.last
                ));
            }
        }
        out
    }

    /// What is left of the coroutines of an execution that did not end is forgotten: to unwind
    /// them would run destructors of the model in a state that no execution has.
    fn teardown(&mut self) {
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
                // them is pinned memory that somebody else still uses, because every thread of
                // the execution is given up together.
                unsafe { co.force_reset() };
                self.stacks.push(co.into_stack());
            }
        }
    }

    pub(crate) fn cur(&self) -> u32 {
        self.cur
    }

    /// Gives a thread what the front end keeps with it.
    pub(crate) fn set_extra(&mut self, tid: u32, extra: Box<dyn std::any::Any>) {
        self.threads[tid as usize].extra = Some(extra);
    }

    /// What the front end keeps with the current thread.
    pub(crate) fn extra(&mut self) -> &mut Option<Box<dyn std::any::Any>> {
        &mut self.threads[self.cur as usize].extra
    }

    /// Notes an allocation; gives its number.
    pub(crate) fn allocated(
        &mut self,
        what: &'static str,
        site: &'static Location<'static>,
    ) -> usize {
        self.allocations.push(Allocation {
            what,
            site,
            live: true,
        });
        self.allocations.len() - 1
    }

    /// Notes that an allocation was freed.
    pub(crate) fn freed(&mut self, allocation: usize) {
        if let Some(a) = self.allocations.get_mut(allocation) {
            a.live = false;
        }
    }

    fn leak(&self) -> Option<String> {
        // Who vanishes drops nothing.
        let vanished = self
            .threads
            .iter()
            .any(|t| t.gone && t.state != State::Vacant);
        let a = self.allocations.iter().find(|a| a.live && !vanished)?;
        Some(format!("{} leaked.\n  Allocated: {}", a.what, a.site))
    }

    /// The number of the execution that runs.
    pub(super) fn exec(&self) -> u64 {
        self.exec
    }

    /// The event at which the current thread stands: its last one, or the one that created it.
    pub(super) fn here(&self) -> Id {
        let pos = self.threads[self.cur as usize].pos as usize;
        let thread = &self.ex.graph.threads[self.cur as usize];
        if pos == 0 {
            thread.spawn
        } else {
            thread.events[pos - 1]
        }
    }

    /// The number of the stretch between two events in which the current thread is.
    pub(crate) fn epoch(&self) -> u32 {
        self.threads[self.cur as usize].pos + 1
    }

    /// Whether stretch `epoch` of thread `tid` happens before the current point.
    pub(crate) fn ordered(&self, tid: u32, epoch: u32) -> bool {
        if tid == self.cur {
            return true;
        }
        let here = self.here();
        here != super::event::NONE
            && self
                .ex
                .graph
                .clock(here, HB)
                .get(tid as usize)
                .is_some_and(|&c| c >= epoch)
    }

    /// Virtual time.
    pub(crate) fn time(&self) -> u64 {
        let here = self.here();
        if here == super::event::NONE {
            0
        } else {
            self.ex.graph.ev(here).time
        }
    }

    /// A name for each thread.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |(t, thread): (usize, &Thread)| match &thread.name {
            Some(name) => format!("{t} {name}"),
            None if t == 0 => String::from("0 main"),
            None => format!("thread {t}"),
        };
        self.threads.iter().enumerate().map(name).collect()
    }
}

impl Thread {
    /// Whether the thread has been doing the same loads with the same results over and over: a
    /// spin loop that does not say so.
    fn repeats(&mut self, g: &Graph, id: Id, rounds: u32) -> bool {
        const LONGEST: usize = 8;
        let e = g.ev(id);
        if e.wrote || !e.reads() {
            self.spin.streak = 0;
            return false;
        }
        let events = &g.threads[e.tid as usize].events[..e.idx as usize];
        let mut same = false;
        for &p in events.iter().rev().take(LONGEST) {
            let before = g.ev(p);
            if before.wrote || !before.reads() {
                break;
            }
            if before.label.site == e.label.site && before.label.loc == e.label.loc {
                same = before.rf == e.rf;
                break;
            }
        }
        self.spin.streak = if same { self.spin.streak + 1 } else { 0 };
        self.spin.streak > rounds
    }
}

fn outcome(id: Id, e: &Event) -> Outcome {
    Outcome {
        value: e.rval,
        wrote: e.wrote,
        choice: e.choice,
        event: id,
    }
}

fn same_shape(a: &Label, b: &Label) -> bool {
    // `a` is what the graph says, `b` what the thread asks for; a timed wait may have ended otherwise.
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

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(s) = payload.downcast_ref::<&str>() {
        (*s).to_string()
    } else if let Some(s) = payload.downcast_ref::<String>() {
        s.clone()
    } else {
        String::from("a panic with a payload that is no string")
    }
}
