//! A client that sends at most ten requests at once, and a thousand in a second, from four threads.
//!
//! The same with `governor` 0.10, which has no wait for threads:
//!
//! ```ignore
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use std::thread;
//!
//! use governor::clock::{Clock, DefaultClock};
//! use governor::{Quota, RateLimiter};
//! use nonzero_ext::nonzero;
//!
//! static SENT: AtomicU32 = AtomicU32::new(0);
//!
//! fn send_request() {
//!     SENT.fetch_add(1, Relaxed);
//! }
//!
//! fn main() {
//!     let quota = Quota::per_second(nonzero!(1000u32)).allow_burst(nonzero!(10u32));
//!     let limit = RateLimiter::direct(quota);
//!     let clock = DefaultClock::default();
//!     thread::scope(|scope| {
//!         for _ in 0..4 {
//!             scope.spawn(|| {
//!                 for _ in 0..5 {
//!                     while let Err(not_yet) = limit.check() {
//!                         thread::sleep(not_yet.wait_time_from(clock.now()));
//!                     }
//!                     send_request();
//!                 }
//!             });
//!         }
//!     });
//!     println!("{} requests, not faster than the limit", SENT.load(Relaxed));
//! }
//! ```
//!
//! There the threads that were refused race for the next token. Here a request has its token before
//! it sleeps, and requests go on in the order in which they came.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use sync_core::RateLimiter;

static SENT: AtomicU32 = AtomicU32::new(0);

fn send_request() {
    SENT.fetch_add(1, Relaxed);
}

fn main() {
    let limit = RateLimiter::new(1000, Duration::from_secs(1)).burst(10);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    limit.acquire().expect("it is not closed");
                    send_request();
                }
            });
        }
    });
    println!("{} requests, not faster than the limit", SENT.load(Relaxed));
}
