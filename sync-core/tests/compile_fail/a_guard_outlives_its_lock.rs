//! A guard borrows its lock, whatever part of the data it is over.
use sync_core::{Mutex, MutexGuard};

fn main() {
    let part = {
        let lock = Mutex::new((1, 2));
        MutexGuard::map(lock.lock(), |data| &mut data.0)
    };
    println!("{part}");
}
