//! A mapped guard points into data that others may replace during the wait.
use sync_core::{Condvar, RwLock, RwLockReadGuard};

fn main() {
    let (lock, changed) = (RwLock::new(Some(Box::new(1))), Condvar::new());
    let mut part = RwLockReadGuard::map(lock.read(), |data| data.as_ref().unwrap());
    changed.wait(&mut part);
}
