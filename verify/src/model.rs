//! Running a model.

use crate::engine::driver::{self, Settings};
use crate::engine::explore::explorer::Budget;
use crate::engine::explore::{mutation, replay};
use crate::engine::memory_model::event::FREE;
use crate::engine::memory_model::fact::Fact;
use crate::engine::report::failure::Failed;
use crate::engine::report::{html, text};
use crate::engine::runtime::object;
use crate::engine::runtime::{self, Limits, Runtime};
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The configuration of a model's run: loom's settings, and this checker's.
///
/// Events of an execution beyond the plain steps of its threads are bounded by
/// [`weak_failures`](Self::weak_failures), [`spurious_wakeups`](Self::spurious_wakeups),
/// [`early_timeouts`](Self::early_timeouts) and [`unroll`](Self::unroll). The bounds are part of a
/// [`Report`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Builder {
    /// The most threads that an execution may have, the main thread among them.
    pub max_threads: usize,
    /// The most events that an execution may have.
    pub max_branches: usize,
    /// The most executions to explore; `None` for all. `LOOM_MAX_PERMUTATIONS` sets it.
    pub max_permutations: Option<usize>,
    /// The longest time to explore for; `None` for as long as it takes. `LOOM_MAX_DURATION` (in
    /// seconds) sets it.
    pub max_duration: Option<Duration>,
    /// The most switches away from a thread that could go on; `None` for any number, which is the
    /// default and the one that misses nothing. Within a bound a weak failure, a spurious wake-up
    /// and an early timeout count as a switch each, so that it limits their sum.
    /// `LOOM_MAX_PREEMPTIONS` sets it.
    pub preemption_bound: Option<usize>,
    /// Accepted for loom's sake: a failing execution is replayed by its replay string.
    pub checkpoint_file: Option<PathBuf>,
    /// Accepted for loom's sake.
    pub checkpoint_interval: usize,
    /// Explore only between [`explore`] and [`stop_exploring`].
    pub expect_explicit_explore: bool,
    /// Accepted for loom's sake: places are always known.
    pub location: bool,
    /// Print a line about every run.
    pub log: bool,
    /// The number of times `compare_exchange_weak` fails in an execution although the value
    /// matched: 1, or what `VERIFY_WEAK_FAILURES` says.
    pub weak_failures: u32,
    /// The number of waits in an execution that end although no thread ended them: 1, or what
    /// `VERIFY_SPURIOUS_WAKEUPS` says.
    pub spurious_wakeups: u32,
    /// The number of times a timeout fires in an execution while others could still run. When
    /// nothing else can run timeouts fire anyway. 1, or what `VERIFY_EARLY_TIMEOUTS` says.
    pub early_timeouts: u32,
    /// The number of processes that may vanish in an execution: see [`process`](crate::process).
    pub crashes: u32,
    /// The number of rounds without an effect that a spin loop makes before it has to see something
    /// new.
    pub unroll: u32,
    /// Bytes of stack for each thread of the model.
    pub stack_size: usize,
    /// Threads of the system that explore; 0 for as many as there are processors. `VERIFY_WORKERS`
    /// sets it. The result does not depend on it. A model that keeps data other than atomics in
    /// statics needs 1, the default.
    pub workers: usize,
    /// Print every five seconds how far it is. `VERIFY_PROGRESS` sets it.
    pub progress: bool,
    /// Run exactly one execution: that of this string, which a report has given. `VERIFY_REPLAY`
    /// sets it.
    pub replay: Option<String>,
    /// Explore one of the executions that differ only in which of some threads is which, where the
    /// checker sees that it makes no difference: threads spawned one after the other with equal
    /// closures (the same captured objects) that return nothing, and are joined together.
    /// `VERIFY_SYMMETRY=0` turns it off.
    pub symmetry: bool,
    /// After a failure look on for a shorter one, and for orderings that would cure it.
    pub explain: bool,
    /// Tell complete executions apart, to see that none is explored twice: [`Report::distinct`].
    pub count_distinct: bool,
}

/// The result of a run of a model.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Complete executions.
    pub executions: u64,
    /// Executions that were given up: a spin loop that saw nothing new, a bound that was reached.
    /// Each is run to its end all the same, in one way and without a verdict, so that what it owns
    /// is dropped: what the model does to the world outside is done there too.
    pub blocked: u64,
    /// Events of the largest execution.
    pub events: u64,
    /// The number of different executions among the complete ones, if
    /// [`Builder::count_distinct`] is set.
    pub distinct: Option<u64>,
    /// Whether every execution was explored, within the bounds.
    pub complete: bool,
    /// The duration of the run.
    pub elapsed: Duration,
    /// The bounds of every execution.
    pub bounds: String,
    /// The failure.
    pub failure: Option<Failure>,
}

/// An execution that goes wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The failure of the model.
    pub message: String,
    /// Its events, a column for each thread.
    pub trace: String,
    /// Runs exactly this execution: see [`Builder::replay`].
    pub replay: String,
    /// Orderings that, each alone, would make the model pass.
    pub cures: Vec<String>,
    /// The execution as a page for a browser, with an arrow from each write to its reads.
    pub html: String,
}

/// A change of one place of a model, and whether the model noticed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mutant {
    /// The place, and what was changed there.
    pub change: String,
    /// How the model failed; `None` when it passed all the same.
    pub caught: Option<String>,
    /// The executions until then, those included that were given up.
    pub executions: u64,
}

/// Orderings, each a change of one place, with which the model passes.
fn cures(settings: &Settings, model: &Arc<dyn Fn() + Send + Sync>, failed: &Failed) -> Vec<String> {
    let mut sites = Vec::new();
    mutation::sites(&failed.graph, &mut sites);
    let start = std::time::Instant::now();
    let mut found = Vec::new();
    let mut cured = Vec::new();
    for change in sites.iter().flat_map(mutation::strengthenings) {
        // The weakest cure of a place is enough, and an explanation must not take long.
        if cured.contains(&(change.site, change.from)) || start.elapsed() > Duration::from_secs(2) {
            continue;
        }
        let settings = Settings {
            changes: vec![change],
            shorten: false,
            facts: failed.facts.clone(),
            progress: false,
            max_executions: Some(50_000),
            max_duration: Some(Duration::from_millis(500)),
            ..settings.clone()
        };
        if driver::explore(&settings, model, &|_| {}).complete {
            cured.push((change.site, change.from));
            found.push(change.describe());
        }
    }
    found
}

fn append(path: &std::path::Path, line: &str) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Err(e) = file.and_then(|mut f| f.write_all(line.as_bytes())) {
        eprintln!("verify: {}: {e}", path.display());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\n{}", self.message, self.trace)?;
        if !self.cures.is_empty() {
            writeln!(f, "each of these alone would cure it:")?;
            for cure in &self.cures {
                writeln!(f, "  {cure}")?;
            }
            writeln!(f)?;
        }
        write!(f, "to run exactly this execution: VERIFY_REPLAY={}", self.replay)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("invalid value for `{name}`: {text}")))
}

/// One, unless the environment says otherwise.
fn budget(name: &str) -> u32 {
    setting(name).map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX))
}

impl Builder {
    /// The defaults, and what the environment says.
    ///
    /// # Panics
    /// When a variable of the environment is no number.
    pub fn new() -> Builder {
        Builder {
            max_threads: 64,
            max_branches: setting("LOOM_MAX_BRANCHES").map_or(10_000, |n| n as usize),
            max_permutations: setting("LOOM_MAX_PERMUTATIONS").map(|n| n as usize),
            max_duration: setting("LOOM_MAX_DURATION").map(Duration::from_secs),
            preemption_bound: setting("LOOM_MAX_PREEMPTIONS").map(|n| n as usize),
            checkpoint_file: None,
            checkpoint_interval: 20_000,
            expect_explicit_explore: false,
            location: false,
            log: std::env::var_os("LOOM_LOG").is_some(),
            weak_failures: budget("VERIFY_WEAK_FAILURES"),
            spurious_wakeups: budget("VERIFY_SPURIOUS_WAKEUPS"),
            early_timeouts: budget("VERIFY_EARLY_TIMEOUTS"),
            crashes: 1,
            unroll: 1,
            stack_size: 2 << 20,
            workers: setting("VERIFY_WORKERS").map_or(1, |n| n as usize),
            progress: std::env::var_os("VERIFY_PROGRESS").is_some(),
            replay: std::env::var("VERIFY_REPLAY").ok(),
            symmetry: setting("VERIFY_SYMMETRY") != Some(0),
            explain: true,
            count_distinct: false,
        }
    }

    /// Accepted for loom's sake.
    pub fn checkpoint_file(&mut self, file: &str) -> &mut Self {
        self.checkpoint_file = Some(file.into());
        self
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        let told =
            self.replay.as_ref().map(|text| replay::decode(text).unwrap_or_else(|e| panic!("{e}")));
        let (guide, facts) = told.map_or((None, Vec::new()), |(steps, facts)| (Some(steps), facts));
        Settings {
            limits: Limits {
                threads: self.max_threads,
                events: self.max_branches,
                stack: self.stack_size,
                unroll: self.unroll,
                spins: 1_000,
                rounds: 16,
                fires: 3,
                paused: self.expect_explicit_explore,
            },
            budget: Budget {
                weak: self.weak_failures,
                spurious: self.spurious_wakeups,
                timeouts: self.early_timeouts,
                crashes: self.crashes,
                preemptions: if self.replay.is_some() { None } else { self.preemption_bound },
            },
            max_executions: if self.replay.is_some() {
                Some(1)
            } else {
                self.max_permutations.map(|n| n as u64)
            },
            max_duration: self.max_duration,
            progress: self.progress,
            workers: match self.workers {
                _ if self.replay.is_some() => 1,
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                n => n,
            },
            shorten: self.explain,
            guide,
            facts,
            changes: Vec::new(),
            symmetry: self.symmetry,
            distinct: self.count_distinct,
            site: Location::caller(),
            at_end: || {
                crate::thread::end();
                crate::lazy_static::end();
            },
        }
    }

    /// Runs a model that has no loops; `each` sees the end of every complete execution.
    pub(crate) fn run_without_loops(
        &self,
        model: &Arc<dyn Fn() + Send + Sync>,
        each: driver::Each<'_>,
    ) -> Report {
        let mut settings = self.settings();
        settings.limits.rounds = u32::MAX;
        settings.guide = None;
        self.run(&settings, model, each)
    }

    /// Runs every execution of `f` and says what was found.
    ///
    /// # Panics
    /// When the replay string makes no sense.
    #[track_caller]
    pub fn explore<F: Fn() + Sync + Send + 'static>(&self, f: F) -> Report {
        let model: Arc<dyn Fn() + Send + Sync> = Arc::new(f);
        self.run(&self.settings(), &model, &|_| {})
    }

    fn run(
        &self,
        settings: &Settings,
        model: &Arc<dyn Fn() + Send + Sync>,
        each: driver::Each<'_>,
    ) -> Report {
        let summary = driver::explore(settings, model, each);
        let report = Report {
            executions: summary.executions,
            blocked: summary.blocked,
            events: summary.events,
            complete: summary.complete && settings.guide.is_none(),
            elapsed: summary.elapsed,
            distinct: summary.distinct,
            bounds: self.bounds(&summary.facts),
            failure: summary.failure.map(|f| {
                let cures = if self.explain && settings.guide.is_none() {
                    cures(settings, model, &f)
                } else {
                    Vec::new()
                };
                Failure {
                    message: f.kind.to_string(),
                    trace: text::text(&f),
                    replay: replay::encode(&f.graph, &f.facts),
                    html: html::page(&f, &cures),
                    cures,
                }
            }),
        };
        if self.log {
            eprintln!("verify: {report}");
        }
        if let Some(path) = std::env::var_os("VERIFY_SUMMARY") {
            append(path.as_ref(), &format!("{}\n", report.json()));
        }
        if let (Some(path), Some(failure)) = (std::env::var_os("VERIFY_HTML"), &report.failure) {
            let path = PathBuf::from(path);
            if let Err(e) = std::fs::write(&path, &failure.html) {
                eprintln!("verify: {}: {e}", path.display());
            }
        }
        report
    }

    fn bounds(&self, facts: &[Fact]) -> String {
        let Builder {
            weak_failures,
            spurious_wakeups,
            early_timeouts,
            crashes,
            unroll,
            max_branches,
            ..
        } = self;
        let mut text = format!(
            "in an execution {weak_failures} failures of compare_exchange_weak, \
             {spurious_wakeups} spurious wake-ups, {early_timeouts} early timeouts, \
             {crashes} crashes, {unroll} idle rounds of a spin loop, {max_branches} steps"
        );
        if let Some(bound) = self.preemption_bound {
            text += &format!(", {bound} preemptions");
        }
        for fact in facts {
            if let Fact::Spins(site) = fact {
                text += &format!(", the loop at {site} taken for one that waits");
            }
        }
        text
    }

    /// Weakens, one at a time, every ordering that the model uses by a step, leaves out every fence
    /// and every wake, and runs the model again: what it then still does not notice is too strong,
    /// or not tested. The model has to pass.
    ///
    /// # Panics
    /// When the model fails as it is.
    #[track_caller]
    pub fn mutate<F: Fn() + Sync + Send + 'static>(&self, f: F) -> Vec<Mutant> {
        self.mutate_some(f, |_| true)
    }

    /// Does the same with the changes that `keep` accepts. It gets a change as
    /// [`Mutant::change`] describes it.
    ///
    /// # Panics
    /// When the model fails as it is.
    pub fn mutate_some<F: Fn() + Sync + Send + 'static>(
        &self,
        f: F,
        mut keep: impl FnMut(&str) -> bool,
    ) -> Vec<Mutant> {
        let model: Arc<dyn Fn() + Send + Sync> = Arc::new(f);
        let mut settings = self.settings();
        settings.guide = None;
        settings.shorten = false;
        let sites = Mutex::new(Vec::new());
        let note = |rt: &Runtime| {
            mutation::sites(&rt.ex.graph, &mut sites.lock().unwrap_or_else(|e| e.into_inner()))
        };
        let summary = driver::explore(&settings, &model, &note);
        let sites = sites.into_inner().unwrap_or_else(|e| e.into_inner());
        settings.facts = summary.facts;
        if let Some(f) = summary.failure {
            panic!("the model fails as it is: {}", f.kind);
        }
        let changes = sites.iter().flat_map(mutation::weakenings);
        changes
            .filter(|change| keep(&change.describe()))
            .map(|change| {
                settings.changes = vec![change];
                let summary = driver::explore(&settings, &model, &|_| {});
                Mutant {
                    change: change.describe(),
                    caught: summary.failure.map(|f| f.kind.to_string()),
                    executions: summary.executions + summary.blocked,
                }
            })
            .collect()
    }

    /// Runs every execution of `f`.
    ///
    /// # Panics
    /// When one of them goes wrong.
    #[track_caller]
    pub fn check<F: Fn() + Sync + Send + 'static>(&self, f: F) {
        if let Some(failure) = self.explore(f).failure {
            panic!("{failure}");
        }
    }
}

impl Report {
    /// The report in one line of JSON.
    pub fn json(&self) -> String {
        let text = json_string;
        let failure = self.failure.as_ref().map_or_else(
            || "null".to_string(),
            |f| {
                let cures: Vec<String> = f.cures.iter().map(|c| text(c)).collect();
                format!(
                    "{{\"message\": {}, \"replay\": {}, \"cures\": [{}]}}",
                    text(&f.message),
                    text(&f.replay),
                    cures.join(", ")
                )
            },
        );
        format!(
            "{{\"executions\": {}, \"blocked\": {}, \"events\": {}, \"complete\": {}, \
             \"seconds\": {:.6}, \
             \"bounds\": {}, \"failure\": {failure}}}",
            self.executions,
            self.blocked,
            self.events,
            self.complete,
            self.elapsed.as_secs_f64(),
            text(&self.bounds)
        )
    }
}

/// A string as JSON has it.
fn json_string(s: &str) -> String {
    use std::fmt::Write;
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} executions, {} blocked, at most {} events, {:.3} s{} ({})",
            self.executions,
            self.blocked,
            self.events,
            self.elapsed.as_secs_f64(),
            if self.complete { "" } else { ", not all explored" },
            self.bounds
        )
    }
}

/// Runs every execution of `f` with the default settings.
///
/// # Panics
/// When one of them goes wrong.
#[track_caller]
pub fn model<F: Fn() + Sync + Send + 'static>(f: F) {
    Builder::new().check(f);
}

/// One of the numbers below `n`: every one of them is explored.
///
/// # Panics
/// When `n` is 0, and outside of a model.
#[track_caller]
pub fn choose(n: usize) -> usize {
    assert!(n > 0, "`choose(0)`: there is nothing to choose from");
    object::choose(n as u64, FREE, Location::caller()) as usize
}

/// From here on every alternative is explored again; see [`stop_exploring`].
pub fn explore() {
    runtime::with(|rt| rt.paused = false);
}

/// From here on only one alternative of each step is explored.
pub fn stop_exploring() {
    runtime::with(|rt| rt.paused = true);
}

/// Only one alternative of the next step is explored.
pub fn skip_branch() {
    runtime::with(|rt| rt.skip = true);
}
