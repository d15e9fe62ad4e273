//! A lock is made free by unsafe code only.
use sync_core::{Mutex, RwLock};

fn main() {
    Mutex::new(1).reinit_after_fork();
    RwLock::new(1).reinit_after_fork();
}
