//! The lock under a guard is had by unsafe code only.
fn main() {
    let lock = sync_core::Mutex::new(1);
    let _guard = lock.lock();
    let _ = lock.raw().unlock();
}
