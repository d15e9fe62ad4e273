//! A release of a lock without a check that it is held is unsafe.
use sync_core::{RawLock, RawMutex};

fn main() {
    let lock = RawMutex::new();
    RawLock::release(&lock);
    RawLock::release_fair(&lock);
    RawLock::bump(&lock);
}
