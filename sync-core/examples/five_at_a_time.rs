//! Python's `threading.BoundedSemaphore(5)`: twenty threads, never more than five inside, and one
//! release too many is an error.
//!
//! ```python
//! with seats:            # let _seat = SEATS.acquire()
//!     ...
//! seats.release()        # ValueError: Semaphore released too many times
//! ```

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sync_core::{BoundedSemaphore, OverRelease};

static SEATS: BoundedSemaphore = BoundedSemaphore::new(5);

fn main() {
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for guest in 1..=20 {
            let (inside, most) = (&inside, &most);
            scope.spawn(move || {
                let _seat = SEATS.acquire().expect("the semaphore is never closed");
                let now = inside.fetch_add(1, Relaxed) + 1;
                most.fetch_max(now, Relaxed);
                assert!(now <= 5);
                println!("guest {guest} sits, {now} inside");
                std::thread::sleep(Duration::from_millis(2));
                inside.fetch_sub(1, Relaxed);
            });
        }
    });
    println!("at most {} at a time", most.load(Relaxed));
    assert_eq!(SEATS.available_permits(), 5);

    // All threads have left: a release now is a mistake, and returns an error. There are still five
    // seats.
    assert_eq!(SEATS.release(1), Err(OverRelease));
    println!("one release too many: {}", OverRelease);
    assert_eq!(SEATS.available_permits(), 5);
}
