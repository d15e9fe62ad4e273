//! A mapped guard cannot be unlocked for a while, nor bumped.
use sync_core::{MappedMutexGuard, Mutex, MutexGuard};

fn main() {
    let lock = Mutex::new((1, 2));
    let mut part = MutexGuard::map(lock.lock(), |data| &mut data.0);
    MappedMutexGuard::unlocked(&mut part, || ());
    MappedMutexGuard::bump(&mut part);
}
