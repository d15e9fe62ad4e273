//! Guards of outer levels may have lent the data out, and others have it during the wait.
use std::cell::Cell;
use sync_core::{Condvar, ReentrantMutex};

fn main() {
    let (lock, changed) = (ReentrantMutex::new(Cell::new(1)), Condvar::new());
    changed.wait(&mut lock.lock());
}
