//! Many read at a time, so the data must be `Sync`.
use std::cell::Cell;
use sync_core::{OnceLock, RwLock};

fn shared<T: Sync>(_: T) {}

fn main() {
    shared(RwLock::new(Cell::new(1)));
    shared(OnceLock::from(Cell::new(1)));
}
