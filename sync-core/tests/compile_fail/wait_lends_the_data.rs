//! A reference to the data does not live across a wait.
use sync_core::{Condvar, Mutex};

fn main() {
    let (lock, changed) = (Mutex::new(vec![1]), Condvar::new());
    let mut guard = lock.lock();
    let first = &guard[0];
    changed.wait(&mut guard);
    println!("{first}");
}
