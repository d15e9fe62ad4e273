//! Running the model: each of its threads is a coroutine, all of them on one thread of the system.
//!
//! A closure cannot be copied in the middle, so every execution starts from the beginning: the
//! threads run again and are given what the graph says (*replay*), in an order in which every read
//! comes after the write that it reads from; then they go on, and the graph grows. What lies
//! between two events is real code on real memory. Because non-atomic accesses are ordered by
//! happens-before, or else reported as a race, they see in a replay what they saw the first time.
//! Addresses may differ between two runs, so values are taken again from the run at hand.
//!
//! | file | what it holds |
//! |---|---|
//! | `schedule` | an execution from its start to its end |
//! | `request` | the request of a thread for a step |
//! | `step` | a step of a thread: replayed, or a new event |
//! | `location` | ties objects of the model to locations of the graph |
//! | `object` | the words and queues that the checker's own types stand on |
//! | `provenance` | which thread made an object, and when |
//! | `race` | accesses that are not atomic |
//! | `spin` | loops that wait for another thread |
//! | `symmetry` | threads that run the same closure |
//! | `crash` | processes that vanish |
//! | `drain` | how an execution that is given up comes to an end |
//! | `watchdog` | stacks that overflow, threads that never come back |

mod crash;
mod drain;
mod location;
pub(crate) mod object;
pub(crate) mod provenance;
pub(crate) mod race;
mod request;
mod schedule;
mod spin;
mod stacks;
mod step;
pub(crate) mod symmetry;
mod watchdog;

pub(crate) use location::{Object, Tag, exclusive, peek, refuse_strangers, seen};
pub(crate) use request::request_step;

use crate::engine::explore::explorer::Explorer;
use crate::engine::explore::mutation::Change;
use crate::engine::explore::replay::Step;
use crate::engine::memory_model::event::{Id, Label, NONE};
use crate::engine::memory_model::fact::Fact;
use crate::engine::memory_model::graph::HB;
use crate::engine::report::failure;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, Yielder};
use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::AtomicU64;

type Co = Coroutine<(), (), (), DefaultStack>;

thread_local! {
    static RUNTIME: Cell<*mut Runtime> = const { Cell::new(std::ptr::null_mut()) };
}

/// Numbers of executions, given out to workers in blocks so that no two share one.
static NEXT_EXEC: AtomicU64 = AtomicU64::new(1);
const EXEC_BLOCK: u64 = 1 << 16;

/// The next action of a thread of the model.
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
    /// Waits for a condition that does not hold with what it has read.
    Until,
    /// Its way on is not explored.
    Stuck,
    /// Has given itself up in this execution.
    Quit,
    Finished,
}

/// The record of a loop that waits for another thread.
#[derive(Clone, Copy, Default)]
struct Spin {
    /// Index of the first event of the iteration.
    from: u32,
    /// Iterations without an effect so far.
    count: u32,
    /// The number of times it was let go on although nothing had changed.
    released: u32,
    /// The iteration at hand is such a one.
    free: bool,
    /// Iterations with an effect in a row that did the same with the same values.
    rounds: u32,
    /// It stands after the end of an iteration.
    yielded: bool,
    /// Loads in a row at one place that gave the same.
    streak: u32,
}

pub(crate) struct Thread {
    co: Option<Co>,
    /// The addresses of its stack.
    stack: std::ops::Range<usize>,
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
    /// The number of times its timeouts have fired because nothing else could run.
    fired: u32,
    spin: Spin,
    twin: symmetry::Twin,
    /// It has panicked: while its frames unwind it must not be given up.
    panicked: bool,
    /// It may vanish after a write.
    mortal: bool,
    /// The first thread of its process; 0 if it is in none.
    process: u32,
    /// Its process has other threads.
    family: bool,
    /// It has vanished.
    gone: bool,
    /// The data behind `thread::current` and the thread-locals. It belongs to the front end.
    pub extra: Option<Box<dyn std::any::Any>>,
}

impl Thread {
    fn vacant() -> Thread {
        Thread {
            co: None,
            stack: 0..0,
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
            twin: symmetry::Twin::default(),
            panicked: false,
            mortal: false,
            process: 0,
            family: false,
            gone: false,
            extra: None,
        }
    }
}

/// The result of an operation.
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
    /// The number of times a spin loop may go round on the newest values when nothing else can run.
    pub spins: u32,
    /// The number of equal loads in a row that make a spin loop of code that does not say that it
    /// is one.
    pub rounds: u32,
    /// The number of times the timeouts of a thread may fire when nothing else can run.
    pub fires: u32,
    /// Begin without exploring alternatives.
    pub paused: bool,
}

/// The end of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Blocked,
    Failed,
    /// Something was learned: all begins again.
    Learned,
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
    /// The execution is beyond a bound of the exploration.
    given_up: bool,
    /// It was given up, and comes to an end quietly.
    draining: bool,
    /// Events of the execution, without those of its quiet end.
    pub events: usize,
    pub failure: Option<failure::Kind>,
    stacks: Vec<DefaultStack>,
    pub limits: Limits,
    pub panic_note: Option<(String, String)>,
    /// The panics of this run so far: thread, message, place.
    panics: Vec<(u32, String, String)>,
    /// Tells threads of the system that are not the model's.
    run: std::sync::Arc<location::Run>,
    /// Where the model was started.
    pub site: &'static Location<'static>,
    /// Alternatives are not explored.
    pub paused: bool,
    /// Those of the next step are not.
    pub skip: bool,
    /// Where non-atomic accesses have been in this run.
    pub(super) shadows: Vec<race::Shadow>,
    /// Reads of atomics that were not atomic.
    unsynced: Vec<location::Unsynced>,
    /// Steps of this run, those among them that are no events.
    steps: usize,
    watch: std::sync::Arc<watchdog::Watch>,
    /// Other workers run the same model.
    pub parallel: bool,
    /// Of executions that differ only in which of some equal threads is which, one is enough.
    pub symmetry: bool,
    /// Objects of this run by address; kept when there are other workers.
    addresses: Vec<(usize, u32)>,
    /// The required events, when one execution is run again.
    pub guide: Option<Vec<Step>>,
    /// Changes of some places of the model, made to see whether they matter.
    pub changes: Vec<Change>,
    /// Allocations of this run, which have to be freed before its end.
    pub(super) allocations: Vec<Allocation>,
    /// Values that live as long as the execution, by the address of their static.
    pub statics: Vec<(usize, Box<dyn std::any::Any>)>,
    /// The actions of the kernel when processes vanish.
    deaths: Vec<crash::Death>,
    /// Facts about the model from runs before the exploration began again.
    pub facts: Vec<Fact>,
    /// The fact that this run has learned.
    pub fact: Option<Fact>,
    /// A row of equal loads that is followed to its end.
    probe: Option<spin::Probe>,
    /// Memory that the model has allocated in this run.
    pub(super) blocks: provenance::Blocks,
    /// Where the stack of each thread ended at each of its events.
    pub(super) stack_ends: Vec<Vec<usize>>,
    /// When the object of each location was made, as far as that matters.
    provenances: Vec<Option<provenance::Provenance>>,
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

/// The current thread stands in a loop that waits for another one: see [`Runtime::relax`].
pub(crate) fn relax() {
    if let Some(rt) = current() {
        stop_if_failed();
        // SAFETY: on the coroutine of the current thread; no reference is held across a switch.
        unsafe {
            provenance::leave();
            Runtime::relax(rt);
            Runtime::enter(rt);
        }
    }
}

/// Waits until `condition` holds: see [`Runtime::does_not_hold`].
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool, site: &'static Location<'static>) {
    loop {
        let from = current().map(|_| with(|rt| rt.threads[rt.cur as usize].pos));
        if condition() {
            return;
        }
        stop_if_failed();
        match (current(), from) {
            // SAFETY: on the coroutine of the current thread; no reference is held across a switch.
            (Some(rt), Some(from)) => unsafe {
                provenance::leave();
                Runtime::does_not_hold(rt, from, site);
                Runtime::enter(rt);
            },
            _ => std::hint::spin_loop(),
        }
    }
}

/// The references to values made at `site` are counted while others have some.
pub(crate) fn learn_that_counted(site: u32) -> ! {
    learn(Fact::Counted(site))
}

fn learn(fact: Fact) -> ! {
    let rt = current().expect("only a model has something to teach");
    // SAFETY: on the coroutine of the current thread.
    unsafe { Runtime::learn(rt, fact) }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether a panic is not to be reported.
pub(crate) fn quiet() -> bool {
    QUIET.get()
}

/// Drops something that an earlier execution has left behind. That is no part of this one: its
/// destructor finds the objects of the model as they are outside of one, and if it wants more it
/// does not get to its end.
pub(crate) fn drop_outside<T>(value: T) {
    if !std::mem::needs_drop::<T>() {
        return;
    }
    let rt = RUNTIME.replace(std::ptr::null_mut());
    let quiet = QUIET.replace(true);
    provenance::leave();
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)));
    QUIET.set(quiet);
    RUNTIME.set(rt);
    if !rt.is_null() {
        // SAFETY: it was the runtime a moment ago.
        unsafe { Runtime::enter(rt) };
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

/// Gives up the current thread for good.
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), expect(dead_code))]
fn halt_current() -> ! {
    let rt = current().expect("a thread of the model runs");
    // SAFETY: on the coroutine of the current thread; no reference is held across the switch.
    unsafe { Runtime::halt(rt) }
}

/// Gives up the current thread in this execution: it does not go on, the others do.
pub(crate) fn block() -> ! {
    let Some(rt) = current() else { panic!("`block` outside of a model") };
    // SAFETY: on the coroutine of the current thread; no reference is held across the switch.
    unsafe {
        loop {
            let cur = (*rt).cur as usize;
            (&mut (*rt).threads)[cur].state = State::Quit;
            Runtime::switch(rt);
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        stacks::give(&mut self.stacks, self.limits.stack);
    }
}

impl Runtime {
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
            given_up: false,
            draining: false,
            events: 0,
            failure: None,
            stacks: Vec::new(),
            limits,
            panic_note: None,
            panics: Vec::new(),
            run: location::Run::new(),
            site: Location::caller(),
            paused: false,
            skip: false,
            shadows: Vec::new(),
            unsynced: Vec::new(),
            watch: watchdog::watch(),
            parallel: false,
            symmetry: false,
            addresses: Vec::new(),
            guide: None,
            changes: Vec::new(),
            steps: 0,
            allocations: Vec::new(),
            statics: Vec::new(),
            deaths: Vec::new(),
            facts: Vec::new(),
            fact: None,
            probe: None,
            blocks: provenance::Blocks::default(),
            stack_ends: Vec::new(),
            provenances: Vec::new(),
        }
    }

    /// The current thread panics; whether that fails the model is seen when it is not caught.
    pub(crate) fn panicked(&mut self, message: String, at: String) {
        self.panics.push((self.cur, message.clone(), at.clone()));
        self.panic_note = Some((message, at));
        self.threads[self.cur as usize].panicked = true;
        // While it unwinds no other thread gets a turn: the count of panics is the system thread's.
        self.aborting |= self.draining;
    }

    /// The panics of the current thread, for a program that is about to abort: a panic in a drop
    /// while another one unwinds cannot be caught.
    pub(crate) fn panic_report(&self) -> String {
        let mine = self.panics.iter().filter(|p| p.0 == self.cur);
        mine.map(|(t, message, at)| {
            format!("thread {t} of the model panicked at {at}:\n{message}\n")
        })
        .collect()
    }

    pub(crate) fn fail(&mut self, kind: failure::Kind) {
        if self.failure.is_none() {
            self.failure = Some(kind);
        }
        self.aborting = true;
    }

    /// Ends the exploration, to begin it again with the new fact.
    ///
    /// # Safety
    /// Called on the coroutine of the current thread.
    unsafe fn learn(rt: *mut Runtime, fact: Fact) -> ! {
        // SAFETY: `rt` is live; the reference ends before the switch.
        unsafe {
            (*rt).fact = Some(fact);
            (*rt).aborting = true;
            Runtime::halt(rt)
        }
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

    /// The step that a replay string asks for next.
    fn turn(&self) -> Option<Step> {
        self.guide.as_ref()?.get(self.ex.graph.events.len()).copied()
    }

    fn replay_diverged(&mut self) {
        let n = self.ex.graph.events.len();
        self.fail(failure::Kind::Misuse(format!(
            "the replay string does not belong to this model: its step {n} cannot be done"
        )));
    }

    /// A thread was ended because of what it did without asking.
    fn ended_from_outside(&mut self, t: u32, cause: watchdog::Cause) {
        let thread = &self.threads[t as usize];
        let mut place =
            format!("thread {t} (spawned at {}), last seen at {}", thread.site, thread.last);
        if let Some(at) = watchdog::place() {
            place += &format!(", at {at}");
        }
        self.fail(match cause {
            watchdog::Cause::Overflow => failure::Kind::Limit(format!(
                "stack overflow: {place} (Builder::stack_size is {} bytes)",
                self.limits.stack
            )),
            watchdog::Cause::Stuck => failure::Kind::Endless(format!(
                "{place}, runs on and on without a step (VERIFY_STUCK_SECONDS sets the patience, \
                 0 forever)"
            )),
            watchdog::Cause::Blocked => failure::Kind::Misuse(format!(
                "{place}, blocks in a system call: no other thread of the model gets a turn. Is \
                 it a lock, a channel or a `park` of `std` in place of the checker's own? \
                 (VERIFY_STUCK_SECONDS sets the patience, 0 forever)"
            )),
            watchdog::Cause::Memory => failure::Kind::Limit(format!(
                "memory runs out: {place} (VERIFY_MEMORY_MIB sets the limit)"
            )),
        });
    }

    fn count_step(&mut self, site: &'static Location<'static>) {
        self.steps += 1;
        self.watch.turn();
        if self.steps.max(self.ex.graph.events.len()) > self.limits.events {
            let message = format!(
                "Model exceeded maximum number of branches: {} steps in one execution; thread {} \
                 is at {site}. Is it a loop that never ends? (Builder::max_branches raises the \
                 limit.)",
                self.limits.events, self.cur
            );
            self.fail(failure::Kind::Limit(message));
        }
    }

    fn wait(&mut self, t: usize, state: State, label: Label) {
        let thread = &mut self.threads[t];
        thread.state = state;
        thread.timed = label.timed;
        thread.pending = Some(label);
    }

    /// From here on code of the current thread runs.
    ///
    /// # Safety
    /// `rt` is live.
    unsafe fn enter(rt: *mut Runtime) {
        // SAFETY: as the caller says; the reference ends here.
        unsafe {
            let provenance = (*rt).provenance_now();
            provenance::enter(&(*rt).blocks, provenance);
        }
    }

    /// Something is made by the current thread at this point.
    pub(super) fn provenance_now(&self) -> provenance::Provenance {
        provenance::Provenance {
            tid: self.cur,
            epoch: self.epoch(),
            site: self.threads[self.cur as usize].last,
        }
    }

    /// Where a thread was spawned.
    pub(super) fn began_at(&self, tid: u32) -> &'static Location<'static> {
        self.threads[tid as usize].site
    }

    /// The thread on whose stack an address is.
    pub(super) fn on_stack_of(&self, address: usize) -> Option<u32> {
        self.order.iter().copied().find(|&t| self.threads[t as usize].stack.contains(&address))
    }

    pub(crate) fn cur(&self) -> u32 {
        self.cur
    }

    /// Gives a thread what the front end keeps with it.
    pub(crate) fn set_extra(&mut self, tid: u32, extra: Box<dyn std::any::Any>) {
        self.threads[tid as usize].extra = Some(extra);
    }

    /// Returns the data that the front end keeps with the current thread.
    pub(crate) fn extra(&mut self) -> &mut Option<Box<dyn std::any::Any>> {
        &mut self.threads[self.cur as usize].extra
    }

    /// Notes an allocation; gives its number.
    pub(crate) fn allocated(
        &mut self,
        what: &'static str,
        site: &'static Location<'static>,
    ) -> usize {
        self.allocations.push(Allocation { what, site, live: true });
        self.allocations.len() - 1
    }

    /// Notes that an allocation was freed.
    pub(crate) fn freed(&mut self, allocation: usize) {
        if let Some(a) = self.allocations.get_mut(allocation) {
            a.live = false;
        }
    }

    fn leak(&self) -> Option<String> {
        // A thread that vanishes drops nothing.
        let vanished = self.threads.iter().any(|t| t.gone && t.state != State::Vacant);
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
        if pos == 0 { thread.spawn } else { thread.events[pos - 1] }
    }

    /// The event at which the current thread stood before its last one.
    pub(super) fn before_last_event(&self) -> Option<Id> {
        let thread = &self.ex.graph.threads[self.cur as usize];
        match self.threads[self.cur as usize].pos as usize {
            0 => None,
            1 => Some(thread.spawn).filter(|&id| id != NONE),
            pos => Some(thread.events[pos - 2]),
        }
    }

    /// The number of the stretch between two events in which the current thread is.
    pub(crate) fn epoch(&self) -> u32 {
        self.threads[self.cur as usize].pos + 1
    }

    /// Returns whether stretch `epoch` of thread `tid` happens before the current point.
    pub(crate) fn ordered(&self, tid: u32, epoch: u32) -> bool {
        if tid == self.cur {
            return true;
        }
        let here = self.here();
        here != crate::engine::memory_model::event::NONE
            && self.ex.graph.clock(here, HB).get(tid as usize).is_some_and(|&c| c >= epoch)
    }

    /// Virtual time.
    pub(crate) fn time(&self) -> u64 {
        let here = self.here();
        if here == crate::engine::memory_model::event::NONE {
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
