//! Python: `with ThreadPoolExecutor(max_workers=3, thread_name_prefix="worker", initializer=...) as
//! pool`, `pool.map`, `as_completed`.
//!
//! A pool of named workers logs its start and end; results in order and as completed; one job
//! fails.

use std::thread;
use std::time::Duration;

use sync_queue::{ThreadPool, as_completed};

fn square(n: u64) -> u64 {
    // The larger the number, the sooner it is done.
    thread::sleep(Duration::from_millis(50 - 10 * n));
    assert_ne!(n, 3, "three is not to be squared");
    n * n
}

fn main() {
    println!("the pool starts");
    let pool = ThreadPool::builder()
        .max_workers(3)
        .name_prefix("worker")
        .initializer(|| println!("{} starts", thread::current().name().unwrap_or("?")))
        .build()
        .expect("there are workers");

    // pool.map(square, [0, 1, 2]): in order.
    let squares: Vec<_> = pool
        .map([0, 1, 2], square)
        .expect("the pool is open")
        .map(|square| square.expect("none fails"))
        .collect();
    println!("in order: {squares:?}");

    // as_completed([pool.submit(square, n) for n in range(5)])
    let jobs = (0..5).map(|n| pool.submit(move || (n, square(n))).expect("the pool is open"));
    let mut failed = 0;
    for job in as_completed(jobs) {
        match job.result() {
            Ok((n, square)) => println!("as completed: {n} squared is {square}"),
            Err(why) => {
                failed += 1;
                println!("as completed: {why}");
            }
        }
    }
    assert_eq!(failed, 1);

    pool.shutdown(true, false).expect("this is no worker");
    println!("the pool has ended");
}
