//! A client that sends at most ten requests at once, and a thousand in a second, from four threads.
//!
//! The same with `governor` 0.10, which has no wait for threads:
//!
//! ```ignore
//! let quota = Quota::per_second(nonzero!(1000u32)).allow_burst(nonzero!(10u32));
//! let limit = Arc::new(RateLimiter::direct(quota));
//! let clock = DefaultClock::default();
//! let threads: Vec<_> = (0..4)
//!     .map(|_| {
//!         let (limit, clock) = (Arc::clone(&limit), clock.clone());
//!         thread::spawn(move || {
//!             for _ in 0..5 {
//!                 while let Err(not_yet) = limit.check() {
//!                     thread::sleep(not_yet.wait_time_from(clock.now()));
//!                 }
//!                 send_request();
//!             }
//!         })
//!     })
//!     .collect();
//! threads.into_iter().for_each(|thread| thread.join().unwrap());
//! ```

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sync_core::{RateLimiter, thread};

static SENT: AtomicU32 = AtomicU32::new(0);

fn send_request() {
    SENT.fetch_add(1, Relaxed);
}

fn main() {
    let limit = RateLimiter::new(1000, Duration::from_secs(1)).burst(10);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| (0..5).for_each(|_| limit.acquire().map(|()| send_request()).unwrap()))
                .expect("a thread");
        }
    });
    // Ten at once, the other ten a millisecond apart.
    assert!(started.elapsed() >= Duration::from_millis(10));
    println!("{} requests, not faster than the limit", SENT.load(Relaxed));
}
