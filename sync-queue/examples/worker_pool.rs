//! A pool of workers that stops gracefully: what was submitted is done, what comes later is given
//! back, and the program ends when the last worker has.
//!
//! The same with `crossbeam-channel` and `std`'s threads, for the pools of other crates (`rayon`,
//! `threadpool`, `rusty_pool`) have no limit of the backlog:
//!
//! ```ignore
//! use std::panic::{AssertUnwindSafe, catch_unwind};
//! use std::thread;
//!
//! use crossbeam_channel::{bounded, unbounded};
//!
//! fn work(n: u64) -> u64 {
//!     assert!(n != 13, "a job may panic");
//!     n
//! }
//!
//! fn main() {
//!     let (sender, jobs) = bounded(64);
//!     let (result, results) = unbounded();
//!     let mut workers = Vec::new();
//!     for n in 0..4 {
//!         let (jobs, result) = (jobs.clone(), result.clone());
//!         let body = move || {
//!             for n in jobs {
//!                 if let Ok(done) = catch_unwind(AssertUnwindSafe(|| work(n))) {
//!                     result.send(done).unwrap();
//!                 }
//!             }
//!         };
//!         workers.push(thread::Builder::new().name(format!("worker_{n}")).spawn(body).unwrap());
//!     }
//!     drop((jobs, result));
//!     for n in 0..100 {
//!         sender.send(n).unwrap();
//!     }
//!     drop(sender);
//!     for worker in workers {
//!         worker.join().unwrap();
//!     }
//!     let sum: u64 = results.iter().sum();
//!     println!("the sum of all jobs but one: {sum}");
//! }
//! ```

use sync_queue::ThreadPool;

fn work(n: u64) -> u64 {
    assert!(n != 13, "a job may panic");
    n
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool =
        ThreadPool::builder().max_workers(4).name_prefix("worker").queue_limit(64).build()?;
    let results = pool.map(0..100, work)?;
    pool.shutdown(true, false)?;
    assert!(pool.execute(|| ()).is_err(), "it is given back");
    let sum: u64 = results.flatten().sum();
    println!("the sum of all jobs but one: {sum}");
    Ok(())
}
