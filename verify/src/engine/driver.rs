//! One execution after the other, until none is left.

use crate::engine::explore::explorer::{Budget, Explorer};
use crate::engine::explore::fingerprint::fingerprint;
use crate::engine::explore::mutation::Change;
use crate::engine::explore::replay::{self, Step};
use crate::engine::memory_model::fact::Fact;
use crate::engine::memory_model::graph::Graph;
use crate::engine::report::failure::{self, Failed};
use crate::engine::runtime::{self, End, Limits, Runtime};
use std::collections::HashSet;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

/// The parameters of an exploration: the model and its limits.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub limits: Limits,
    pub budget: Budget,
    pub max_executions: Option<u64>,
    pub max_duration: Option<Duration>,
    pub progress: bool,
    pub workers: usize,
    /// Look on for a shorter failing execution when one was found.
    pub shorten: bool,
    pub guide: Option<Vec<Step>>,
    /// The facts known about the model.
    pub facts: Vec<Fact>,
    pub changes: Vec<Change>,
    /// Explore one of the executions that differ only in which of equal threads is which.
    pub symmetry: bool,
    /// Tell complete executions apart, and count the different ones.
    pub distinct: bool,
    /// Runs on the main thread of the model after the model itself: drops what the front end keeps
    /// for a thread and for an execution.
    pub at_end: fn(),
    /// Where the model was started.
    pub site: &'static Location<'static>,
}

/// The result of an exploration.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub executions: u64,
    pub blocked: u64,
    pub events: u64,
    pub distinct: Option<u64>,
    pub complete: bool,
    pub elapsed: Duration,
    pub failure: Option<Failed>,
    /// The facts learned about the model.
    pub facts: Vec<Fact>,
}

type Model = Arc<dyn Fn() + Send + Sync>;

/// Inside of a model a panic is noted for the report; elsewhere it is printed as always.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if runtime::quiet() {
                return;
            }
            // A mistake of the checker itself is not on a stack of the model's.
            let here = std::ptr::from_ref(&info).addr();
            if runtime::current().is_none() || runtime::with(|rt| rt.on_stack_of(here)).is_none() {
                before(info);
                return;
            }
            let payload = info.payload();
            // A panic while another one unwinds out of a drop: the program aborts next.
            let aborts =
                info.location().is_some_and(|l| l.file().ends_with("core/src/panicking.rs"));
            let message = payload
                .downcast_ref::<&str>()
                .map(|s| (*s).to_string())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| String::from("a panic whose payload is no string"));
            let at = info.location().map_or_else(|| String::from("?"), ToString::to_string);
            if aborts && (message.contains("cannot unwind") || message.contains("during cleanup")) {
                eprint!("{}", runtime::with(|rt| rt.panic_report()));
                before(info);
                return;
            }
            runtime::with(|rt| rt.panicked(message, at));
        }));
    });
}

/// The state that the workers share.
struct Shared {
    state: Mutex<State>,
    more: Condvar,
    start: Instant,
    /// A worker waits for a graph.
    hungry: AtomicBool,
    /// The complete executions that there were, when they are told apart.
    distinct: Option<Mutex<HashSet<u128>>>,
}

struct State {
    /// Graphs that any worker may take.
    stack: Vec<Graph>,
    /// Workers that have none.
    idle: usize,
    runs: u64,
    /// The estimated part that has been explored.
    done: f64,
    printed: Instant,
    /// No worker has to go on.
    stop: bool,
    /// The limit of executions or time was reached.
    cut: bool,
    /// Something was learned.
    fact: Option<Fact>,
    failure: Option<Failed>,
    /// The number of executions that may be looked at for a shorter failure.
    grace: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Sees the end of every complete execution, on the worker that ran it.
pub(crate) type Each<'a> = &'a (dyn Fn(&Runtime) + Sync);

/// Runs every execution of `model`, which was started at `settings.site`.
///
/// When a fact is learned about the model, the exploration begins again, and `each` sees some
/// executions again.
pub(crate) fn explore(settings: &Settings, model: &Model, each: Each<'_>) -> Summary {
    if runtime::current().is_some() {
        panic!("a model cannot run inside of a model, as it does at {}", settings.site);
    }
    install_hook();
    let start = Instant::now();
    let mut settings = settings.clone();
    loop {
        let (summary, fact) = attempt(&settings, model, start, each);
        match fact {
            Some(fact) if !settings.facts.contains(&fact) => settings.facts.push(fact),
            _ => return Summary { facts: settings.facts, ..summary },
        }
    }
}

fn attempt(
    settings: &Settings,
    model: &Model,
    start: Instant,
    each: Each<'_>,
) -> (Summary, Option<Fact>) {
    let shared = Shared {
        state: Mutex::new(State {
            stack: vec![Graph::new()],
            idle: 0,
            runs: 0,
            done: 0.0,
            printed: start,
            stop: false,
            cut: false,
            fact: None,
            failure: None,
            grace: 0,
        }),
        more: Condvar::new(),
        start,
        hungry: AtomicBool::new(false),
        distinct: settings.distinct.then(Mutex::default),
    };
    let mut summary = Summary::default();
    if settings.workers <= 1 {
        summary = work(settings, model, &shared, each);
    } else {
        let parts = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..settings.workers)
                .map(|_| scope.spawn(|| work(settings, model, &shared, each)))
                .collect();
            workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for part in parts {
            let part = part.unwrap_or_else(|payload| std::panic::resume_unwind(payload));
            summary.executions += part.executions;
            summary.blocked += part.blocked;
            summary.events = summary.events.max(part.events);
        }
    }
    let state = shared.state.into_inner().unwrap_or_else(|e| e.into_inner());
    summary.failure = state.failure;
    summary.complete = !state.cut && summary.failure.is_none();
    summary.distinct =
        shared.distinct.map(|set| set.into_inner().unwrap_or_else(|e| e.into_inner()).len() as u64);
    summary.elapsed = start.elapsed();
    (summary, state.fact)
}

fn work(settings: &Settings, model: &Model, shared: &Shared, each: Each<'_>) -> Summary {
    let mut rt = Runtime::new(Explorer::new(settings.budget), settings.limits);
    rt.parallel = settings.workers > 1;
    rt.symmetry = settings.symmetry;
    rt.site = settings.site;
    rt.guide.clone_from(&settings.guide);
    rt.changes.clone_from(&settings.changes);
    rt.facts.clone_from(&settings.facts);
    let mut summary = Summary::default();
    // Runs since the shared state was last told.
    let (mut runs, mut done) = (0_u64, 0.0);
    loop {
        if !rt.ex.next() && !take(settings, shared, &mut rt, &mut runs, &mut done) {
            return summary;
        }
        if rt.ex.preempts_too_often() {
            summary.blocked += 1;
            continue;
        }
        let weight = rt.ex.graph.weight;
        let others = rt.ex.stack.len();
        let (f, at_end) = (model.clone(), settings.at_end);
        let end = rt.run(move || {
            f();
            at_end();
        });
        summary.blocked += std::mem::take(&mut rt.ex.rejected);
        let share = weight / (rt.ex.stack.len() - others + 1) as f64;
        for g in &mut rt.ex.stack[others..] {
            g.weight = share;
        }
        runs += 1;
        done += share;
        summary.events = summary.events.max(rt.events as u64);
        match end {
            End::Complete => {
                summary.executions += 1;
                if let Some(distinct) = &shared.distinct {
                    distinct
                        .lock()
                        .unwrap_or_else(|e| e.into_inner())
                        .insert(fingerprint(&rt.ex.graph));
                }
                each(&rt);
            }
            End::Blocked => summary.blocked += 1,
            End::Failed => failed(settings, shared, &mut rt),
            End::Learned => {
                let mut state = shared.lock();
                state.fact = rt.fact.take();
                state.stop = true;
                shared.more.notify_all();
                return summary;
            }
        }
        // Relaxed: a hint.
        let asked = rt.ex.stack.len() > 1 && shared.hungry.load(Ordering::Relaxed);
        if (asked || runs % 256 == 0 || end == End::Failed || settings.max_executions.is_some())
            && !share_progress(settings, shared, &mut rt, &mut runs, &mut done)
        {
            return summary;
        }
    }
}

/// A worker without a graph takes one of the shared ones, or waits for one. `false` when all is
/// done.
fn take(
    settings: &Settings,
    shared: &Shared,
    rt: &mut Runtime,
    runs: &mut u64,
    done: &mut f64,
) -> bool {
    let mut state = shared.lock();
    state.runs += std::mem::take(runs);
    state.done += std::mem::take(done);
    state.idle += 1;
    loop {
        if state.stop {
            return false;
        }
        if let Some(g) = state.stack.pop() {
            state.idle -= 1;
            rt.ex.stack.push(g);
            return rt.ex.next();
        }
        if state.idle == settings.workers.max(1) {
            state.stop = true;
            shared.more.notify_all();
            return false;
        }
        shared.hungry.store(true, Ordering::Relaxed);
        state = shared.more.wait(state).unwrap_or_else(|e| e.into_inner());
    }
}

/// Gives graphs to those that have none, looks at the limits and says how far it is. `false` when
/// the worker has to stop.
fn share_progress(
    settings: &Settings,
    shared: &Shared,
    rt: &mut Runtime,
    runs: &mut u64,
    done: &mut f64,
) -> bool {
    let mut state = shared.lock();
    state.runs += std::mem::take(runs);
    state.done += std::mem::take(done);
    if state.idle > 0 && state.stack.is_empty() && rt.ex.stack.len() > 1 {
        // The oldest have the most below them.
        let half = rt.ex.stack.len() / 2;
        state.stack.extend(rt.ex.stack.drain(..half));
        shared.hungry.store(false, Ordering::Relaxed);
        shared.more.notify_all();
    }
    let elapsed = shared.start.elapsed();
    let over = settings.max_executions.is_some_and(|max| state.runs >= max)
        || settings.max_duration.is_some_and(|max| elapsed >= max);
    let left = !rt.ex.stack.is_empty() || !state.stack.is_empty() || settings.workers > 1;
    if over && left {
        state.cut = true;
        state.stop = true;
    }
    if state.failure.is_some() {
        state.grace = state.grace.saturating_sub(1);
        if state.grace == 0 || !settings.shorten {
            state.stop = true;
        }
    }
    if settings.progress && state.printed.elapsed() >= Duration::from_secs(5) {
        state.printed = Instant::now();
        let seconds = elapsed.as_secs_f64();
        let rest = if state.done > 0.0 { seconds / state.done - seconds } else { f64::INFINITY };
        eprintln!(
            "verify: {} executions in {seconds:.0} s, {:.0}/s, about {:.1} % done, {} left",
            state.runs,
            state.runs as f64 / seconds,
            state.done * 100.0,
            if rest < 1e7 { format!("{rest:.0} s") } else { "a long time".into() }
        );
    }
    if state.stop {
        shared.more.notify_all();
    }
    !state.stop
}

/// Keeps a failing execution if it is the shortest so far.
fn failed(settings: &Settings, shared: &Shared, rt: &mut Runtime) {
    let kind = rt.failure.take().expect("a failed execution says why");
    let certain = matches!(
        kind,
        failure::Kind::Nondeterminism(_) | failure::Kind::Limit(_) | failure::Kind::Misuse(_)
    );
    let names = rt.names();
    let mut state = shared.lock();
    if state.failure.is_none() {
        // Counted in looks of a worker at the shared state, each failure being one.
        state.grace = if certain || !settings.shorten { 0 } else { 200 };
    }
    let length = |g: &Graph| (g.events.len(), replay::switches(g));
    if state.failure.as_ref().is_none_or(|f| length(&rt.ex.graph) < length(&f.graph)) {
        state.failure = Some(Failed {
            kind,
            graph: std::mem::take(&mut rt.ex.graph),
            names,
            facts: settings.facts.clone(),
        });
    }
}
