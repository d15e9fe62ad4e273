//! Python's `threading.Lock` around a counter: a hundred threads each take one from a shared
//! hundred.
//!
//! ```python
//! with lock:
//!     n = num; time.sleep(0.001); num = n - 1
//! ```
//!
//! The rest is zero. The same steps without the lock show why: threads that read the same number
//! write the same number back, and decrements get lost.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sync_core::Mutex;

const THREADS: u32 = 100;

fn main() {
    let stock = Mutex::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut stock = stock.lock();
                let seen = *stock;
                thread::yield_now(); // others run here, and wait for the lock
                *stock = seen - 1;
            });
        }
    });
    println!("with the lock: {} left", *stock.lock());
    assert_eq!(stock.into_inner(), 0);

    // Without a lock Rust does not compile a plain variable; an atomic that is read and written in
    // two steps makes the same mistake.
    let stock = AtomicU32::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let seen = stock.load(Ordering::Relaxed);
                thread::yield_now();
                stock.store(seen - 1, Ordering::Relaxed);
            });
        }
    });
    println!("without it: {} left", stock.into_inner());
}
