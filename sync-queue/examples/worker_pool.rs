//! A pool of workers that stops gracefully: what was submitted is done, what comes later is given
//! back, and the program ends when the last worker has.
//!
//! The same with `crossbeam-channel` and `std`'s threads:
//!
//! ```ignore
//! let (sender, receiver) = bounded::<Job>(64);
//! let workers: Vec<_> = (0..4)
//!     .map(|n| {
//!         let receiver = receiver.clone();
//!         let name = format!("worker-{n}");
//!         thread::Builder::new().name(name).spawn(move || {
//!             for job in receiver {
//!                 let _ = catch_unwind(AssertUnwindSafe(job));
//!             }
//!         }).unwrap()
//!     })
//!     .collect();
//! let (result, results) = unbounded();
//! for n in 0..100 {
//!     let result = result.clone();
//!     sender.send(Box::new(move || { let _ = result.send(work(n)); })).unwrap();
//! }
//! drop((sender, result));
//! let sum: u64 = results.iter().sum();
//! workers.into_iter().for_each(|worker| worker.join().unwrap());
//! ```

use sync_queue::ThreadPool;

fn work(n: u64) -> u64 {
    assert!(n != 13, "a job may panic");
    n
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool =
        ThreadPool::builder().max_workers(4).name_prefix("worker").queue_limit(64).build()?;
    let jobs: Result<Vec<_>, _> = (0..100).map(|n| pool.submit(move || work(n))).collect();
    let jobs = jobs.map_err(|_| "the pool is shut down")?;
    pool.shutdown(true, false)?;
    let sum: u64 = jobs.into_iter().filter_map(|job| job.result().ok()).sum();
    println!("the sum of all jobs but one: {sum}");
    assert!(pool.submit(|| ()).is_err(), "it is given back");
    Ok(())
}
