//! This checker.

pub(crate) use verify as checker;

#[path = "beyond.rs"]
mod beyond;
#[path = "models.rs"]
pub(crate) mod models;

use verify::model::Builder;

/// Returns what is wrong with the model, if anything.
pub(crate) fn explore(model: fn()) -> Option<String> {
    Builder::new().explore(model).failure.map(|failure| failure.to_string())
}

/// The same where nothing wakes up by itself.
pub(crate) fn explore_without_spurious_wakeups(model: fn()) -> Option<String> {
    let mut builder = Builder::new();
    builder.spurious_wakeups = 0;
    builder.explore(model).failure.map(|failure| failure.to_string())
}
