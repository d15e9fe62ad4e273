//! A reference to the data does not live across `bump` and `yield_now`.
use sync_core::{FairMutex, MutexGuard};

fn main() {
    let lock = FairMutex::new(vec![1]);
    let mut guard = lock.lock();
    let first = &guard[0];
    MutexGuard::bump(&mut guard);
    println!("{first}");
    let first = &guard[0];
    MutexGuard::yield_now(&mut guard);
    println!("{first}");
}
