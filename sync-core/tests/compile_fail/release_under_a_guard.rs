//! A release of a lock under a guard that lives is unsafe.
use sync_core::{Mutex, WaitGuard};

fn main() {
    let lock = Mutex::new(1);
    let mut guard = lock.lock();
    let depth = guard.release_all();
    guard.reacquire(depth);
}
