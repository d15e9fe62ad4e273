//! A mapped guard points into data that others may change during the wait.
use sync_core::{Condvar, ReentrantMutex, ReentrantMutexGuard};

fn main() {
    let (lock, changed) = (ReentrantMutex::new((1, 2)), Condvar::new());
    let mut part = ReentrantMutexGuard::map(lock.lock(), |data| &data.0);
    changed.wait(&mut part);
}
