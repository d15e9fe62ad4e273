//! A guard is dropped by its own thread.
use std::sync::Arc;
use sync_core::{FairMutex, Mutex, MutexGuard, ReentrantMutex, RwLock};

fn sent<T: Send>(_: T) {}

fn main() {
    let (mutex, fair, nested, shared) =
        (Arc::new(Mutex::new(1)), FairMutex::new(1), ReentrantMutex::new(1), RwLock::new(1));
    sent(mutex.lock());
    sent(mutex.lock_arc());
    sent(MutexGuard::map(mutex.lock(), |data| data));
    sent(fair.lock());
    sent(nested.lock());
    sent(shared.read());
    sent(shared.write());
    sent(shared.upgradable_read());
}
