//! Running a model.

use crate::engine::driver::{self, Settings, Summary};
use crate::engine::extend::Budget;
use crate::engine::runtime::{Limits, Runtime};
use std::sync::Arc;

/// How a model is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Builder {
    /// The most threads that an execution may have.
    pub max_threads: usize,
    /// The most events that an execution may have.
    pub max_branches: usize,
    /// How often in an execution `compare_exchange_weak` fails although the value matched.
    pub weak_failures: u32,
}

/// What a run of a model found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Complete executions.
    pub executions: u64,
    /// Executions that could not go on to the end.
    pub blocked: u64,
    /// What went wrong.
    pub failure: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The defaults.
    pub fn new() -> Builder {
        Builder { max_threads: 64, max_branches: 10_000, weak_failures: 0 }
    }

    fn settings(&self) -> Settings {
        Settings {
            limits: Limits { threads: self.max_threads, events: self.max_branches, stack: 64 << 10, spins: 8 },
            budget: Budget { weak: self.weak_failures },
            max_executions: None,
        }
    }

    pub(crate) fn run(&self, model: Arc<dyn Fn() + Send + Sync>, each: impl FnMut(&Runtime)) -> Summary {
        driver::explore(self.settings(), model, each)
    }

    /// Runs every execution of `f` and says what was found.
    pub fn explore<F: Fn() + Sync + Send + 'static>(&self, f: F) -> Report {
        let summary = self.run(Arc::new(f), |_| {});
        Report { executions: summary.executions, blocked: summary.blocked, failure: summary.failure.map(|(k, _)| k.to_string()) }
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

/// Runs every execution of `f` with the default settings.
///
/// # Panics
/// When one of them goes wrong.
pub fn model<F: Fn() + Sync + Send + 'static>(f: F) {
    Builder::new().check(f);
}
