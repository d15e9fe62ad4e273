//! One execution after the other, until none is left.

use super::extend::{Budget, Explorer};
use super::failure;
use super::graph::Graph;
use super::runtime::{self, End, Limits, Runtime};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

/// What to explore and how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub limits: Limits,
    pub budget: Budget,
    pub max_executions: Option<u64>,
    pub max_duration: Option<Duration>,
}

/// An execution that goes wrong.
#[derive(Debug)]
pub(crate) struct Failed {
    pub kind: failure::Kind,
    pub graph: Graph,
    /// A name for each thread.
    pub names: Vec<String>,
}

/// What an exploration found.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub executions: u64,
    pub blocked: u64,
    pub events: u64,
    pub complete: bool,
    pub elapsed: Duration,
    pub failure: Option<Failed>,
}

/// Inside of a model a panic is noted for the report; elsewhere it is printed as always.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if runtime::current().is_none() {
                before(info);
                return;
            }
            let payload = info.payload();
            let message = payload
                .downcast_ref::<&str>()
                .map(|s| (*s).to_string())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| String::from("a panic whose payload is no string"));
            let at = info.location().map_or_else(|| String::from("?"), ToString::to_string);
            runtime::with(|rt| rt.panicked(message, at));
        }));
    });
}

/// Runs every execution of `model`. `each` sees the end of every complete one.
pub(crate) fn explore(settings: Settings, model: Arc<dyn Fn() + Send + Sync>, each: impl FnMut(&Runtime)) -> Summary {
    assert!(runtime::current().is_none(), "a model cannot run inside of a model");
    install_hook();
    work(settings, &model, each)
}

fn work(settings: Settings, model: &Arc<dyn Fn() + Send + Sync>, mut each: impl FnMut(&Runtime)) -> Summary {
    let mut rt = Runtime::new(Explorer::new(settings.budget), settings.limits);
    let mut summary = Summary::default();
    let start = Instant::now();
    let mut runs = 0_u64;
    loop {
        let f = model.clone();
        let end = rt.run(move || {
            f();
            crate::thread::end();
            crate::lazy_static::end();
        });
        runs += 1;
        summary.events = summary.events.max(rt.ex.graph.events.len() as u64);
        match end {
            End::Complete => {
                summary.executions += 1;
                each(&rt);
            }
            End::Blocked => summary.blocked += 1,
            End::Failed => {
                let kind = rt.failure.take().expect("a failed execution says why");
                let names = rt.names();
                summary.failure = Some(Failed { kind, graph: std::mem::take(&mut rt.ex.graph), names });
                break;
            }
        }
        if !rt.ex.next() {
            summary.complete = true;
            break;
        }
        if settings.max_executions.is_some_and(|max| runs >= max) {
            break;
        }
        if runs % 256 == 0 && settings.max_duration.is_some_and(|max| start.elapsed() >= max) {
            break;
        }
    }
    summary.elapsed = start.elapsed();
    summary
}
