//! A mapped guard points into data that others may replace during the wait.
use sync_core::{Condvar, Mutex, MutexGuard};

fn main() {
    let (lock, changed) = (Mutex::new(Some(Box::new(1))), Condvar::new());
    let mut part = MutexGuard::map(lock.lock(), |data| data.as_mut().unwrap());
    changed.wait(&mut part);
}
