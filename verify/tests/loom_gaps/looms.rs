//! Loom.

pub(crate) use loom as checker;

#[path = "models.rs"]
pub(crate) mod models;

use std::panic::catch_unwind;

/// Returns what is wrong with the model, if anything.
pub(crate) fn explore(model: fn()) -> Option<String> {
    let panic = catch_unwind(|| loom::model::Builder::new().check(model)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(text.unwrap_or_default())
}
