//! One execution after the other, until none is left.

use super::extend::{Budget, Explorer};
use super::failure;
use super::graph::Graph;
use super::runtime::{End, Limits, Runtime};
use std::sync::Arc;

/// What to explore and how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub limits: Limits,
    pub budget: Budget,
    pub max_executions: Option<u64>,
}

/// What an exploration found.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub executions: u64,
    pub blocked: u64,
    pub failure: Option<(failure::Kind, Graph)>,
}

/// Runs every execution of `model`. `each` sees the end of every complete one.
pub(crate) fn explore(settings: Settings, model: Arc<dyn Fn() + Send + Sync>, mut each: impl FnMut(&Runtime)) -> Summary {
    let mut rt = Runtime::new(Explorer::new(settings.budget), settings.limits);
    let mut summary = Summary::default();
    loop {
        let f = model.clone();
        match rt.run(move || f()) {
            End::Complete => {
                summary.executions += 1;
                each(&rt);
            }
            End::Blocked => summary.blocked += 1,
            End::Failed => {
                let kind = rt.failure.take().expect("a failed execution says why");
                summary.failure = Some((kind, std::mem::take(&mut rt.ex.graph)));
                return summary;
            }
        }
        if settings.max_executions.is_some_and(|max| summary.executions + summary.blocked >= max) || !rt.ex.next() {
            return summary;
        }
    }
}
