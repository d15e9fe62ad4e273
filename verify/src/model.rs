//! Running a model.

use crate::engine::driver::{self, Settings, Summary};
use crate::engine::extend::{Budget, FREE};
use crate::engine::runtime::{self, Limits, Runtime};
use crate::engine::{object, report};
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a model is run: loom's settings, and this checker's.
///
/// What an execution may do beyond the plain steps of its threads is bounded: by
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
    /// Accepted for loom's sake: the number of executions does not depend on preemptions here.
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
    /// How often in an execution `compare_exchange_weak` fails although the value matched.
    pub weak_failures: u32,
    /// How often in an execution a wait ends although nobody ended it.
    pub spurious_wakeups: u32,
    /// How often in an execution a timeout fires while others could still run. When nothing else
    /// can run timeouts fire anyway.
    pub early_timeouts: u32,
    /// How many rounds without an effect a spin loop makes before it has to see something new.
    pub unroll: u32,
    /// Bytes of stack for each thread of the model.
    pub stack_size: usize,
}

/// What a run of a model found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Complete executions.
    pub executions: u64,
    /// Executions that were given up: a spin loop that saw nothing new, a bound that was reached.
    pub blocked: u64,
    /// Events of the largest execution.
    pub events: u64,
    /// Whether every execution was explored, within the bounds.
    pub complete: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// An execution that goes wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What is wrong with it.
    pub message: String,
    /// Its events, a column for each thread.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{}", self.message, self.trace)
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
            preemption_bound: None,
            checkpoint_file: None,
            checkpoint_interval: 20_000,
            expect_explicit_explore: false,
            location: false,
            log: std::env::var_os("LOOM_LOG").is_some(),
            weak_failures: 1,
            spurious_wakeups: 1,
            early_timeouts: 1,
            unroll: 1,
            stack_size: 2 << 20,
        }
    }

    /// Accepted for loom's sake.
    pub fn checkpoint_file(&mut self, file: &str) -> &mut Self {
        self.checkpoint_file = Some(file.into());
        self
    }

    fn settings(&self) -> Settings {
        Settings {
            limits: Limits {
                threads: self.max_threads,
                events: self.max_branches,
                stack: self.stack_size,
                unroll: self.unroll,
                spins: 20,
                fires: 3,
                muted: self.expect_explicit_explore,
            },
            budget: Budget { weak: self.weak_failures, spurious: self.spurious_wakeups, timeouts: self.early_timeouts },
            max_executions: self.max_permutations.map(|n| n as u64),
            max_duration: self.max_duration,
        }
    }

    pub(crate) fn run(&self, model: Arc<dyn Fn() + Send + Sync>, each: impl FnMut(&Runtime)) -> Summary {
        driver::explore(self.settings(), model, each)
    }

    /// Runs every execution of `f` and says what was found.
    pub fn explore<F: Fn() + Sync + Send + 'static>(&self, f: F) -> Report {
        let summary = self.run(Arc::new(f), |_| {});
        let report = Report {
            executions: summary.executions,
            blocked: summary.blocked,
            events: summary.events,
            complete: summary.complete,
            elapsed: summary.elapsed,
            failure: summary.failure.map(|f| Failure { message: f.kind.to_string(), trace: report::text(&f) }),
        };
        if self.log {
            eprintln!("{report}");
        }
        report
    }

    /// Runs every execution of `f`.
    ///
    /// # Panics
    /// When one of them goes wrong.
    pub fn check<F: Fn() + Sync + Send + 'static>(&self, f: F) {
        if let Some(failure) = self.explore(f).failure {
            panic!("{failure}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} executions, {} blocked, at most {} events, {:.3} s{}",
            self.executions,
            self.blocked,
            self.events,
            self.elapsed.as_secs_f64(),
            if self.complete { "" } else { ", not all explored" }
        )
    }
}

/// Runs every execution of `f` with the default settings.
///
/// # Panics
/// When one of them goes wrong.
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
    runtime::with(|rt| rt.muted = false);
}

/// From here on only one alternative of each step is explored.
pub fn stop_exploring() {
    runtime::with(|rt| rt.muted = true);
}

/// Only one alternative of the next step is explored.
pub fn skip_branch() {
    runtime::with(|rt| rt.skip = true);
}
