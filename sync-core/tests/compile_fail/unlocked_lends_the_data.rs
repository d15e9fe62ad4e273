//! A reference to the data does not live across `unlocked`.
use sync_core::{Mutex, MutexGuard};

fn main() {
    let lock = Mutex::new(vec![1]);
    let mut guard = lock.lock();
    let first = &guard[0];
    MutexGuard::unlocked(&mut guard, || ());
    println!("{first}");
}
