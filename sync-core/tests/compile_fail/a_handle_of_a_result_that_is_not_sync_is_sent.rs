//! Several joiners see the result.
use std::cell::Cell;

fn sent<T: Send>(_: T) {}

fn main() {
    sent(sync_core::thread::spawn(|| Cell::new(1)).unwrap());
}
