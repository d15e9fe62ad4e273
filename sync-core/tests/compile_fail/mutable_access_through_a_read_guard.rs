//! Readers read, and so do holders of a reentrant lock.
use sync_core::{ReentrantMutex, RwLock};

fn main() {
    let (shared, nested) = (RwLock::new(1), ReentrantMutex::new(1));
    *shared.read() = 2;
    *shared.upgradable_read() = 2;
    *nested.lock() = 2;
}
