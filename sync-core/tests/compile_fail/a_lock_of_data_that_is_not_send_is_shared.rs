//! To share a lock is to send its data.
use std::rc::Rc;
use sync_core::{FairMutex, LazyLock, Mutex, OnceLock, ReentrantMutex, RwLock};

fn shared<T: Sync>(_: T) {}

fn main() {
    shared(Mutex::new(Rc::new(1)));
    shared(FairMutex::new(Rc::new(1)));
    shared(ReentrantMutex::new(Rc::new(1)));
    shared(RwLock::new(Rc::new(1)));
    shared(OnceLock::from(Rc::new(1)));
    shared(LazyLock::new(|| Rc::new(1)));
}
