//! A guard gives out its lock, so it is shared only where the lock may be.
use sync_core::{FairMutex, Mutex, ReentrantMutex, RwLock};

fn shared<T: Sync>(_: &T) {}

/// `Sync` and not `Send`.
type Data = std::sync::MutexGuard<'static, ()>;

fn main() {
    static STD: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let data = || STD.lock().unwrap();
    shared(&Mutex::<Data>::new(data()).lock());
    shared(&FairMutex::<Data>::new(data()).lock());
    shared(&ReentrantMutex::<Data>::new(data()).lock());
    let lock = RwLock::<Data>::new(data());
    shared(&lock.read());
    shared(&lock.write());
    shared(&lock.upgradable_read());
}
