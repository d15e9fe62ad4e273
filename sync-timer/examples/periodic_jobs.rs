//! Periodic jobs with a jitter, run by a pool, until the program is told to stop.
//!
//! The same with `tokio`, whose interval has no jitter:
//!
//! ```ignore
//! use std::time::Duration;
//!
//! use tokio::sync::Semaphore;
//! use tokio::time::{MissedTickBehavior, interval, sleep};
//! use tokio_util::sync::CancellationToken;
//! use tokio_util::task::TaskTracker;
//!
//! const JOBS: [(&str, Duration); 3] = [
//!     ("refresh", Duration::from_millis(2)),
//!     ("collect", Duration::from_millis(3)),
//!     ("report", Duration::from_millis(5)),
//! ];
//!
//! static RUNS: Semaphore = Semaphore::const_new(0);
//!
//! fn work(name: &str) {
//!     println!("{name}");
//!     RUNS.add_permits(1);
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
//!     for (name, period) in JOBS {
//!         let stop = stop.clone();
//!         tracker.spawn(async move {
//!             let mut ticks = interval(period);
//!             ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
//!             while stop.run_until_cancelled(ticks.tick()).await.is_some() {
//!                 sleep(rand::random_range(Duration::ZERO..period / 10)).await;
//!                 let _ = tokio::task::spawn_blocking(move || work(name)).await;
//!             }
//!         });
//!     }
//!     RUNS.acquire_many(10).await?.forget();
//!     stop.cancel();
//!     tracker.close();
//!     tracker.wait().await;
//!     println!("stopped, and no job is running");
//!     Ok(())
//! }
//! ```

use std::time::Duration;

use sync_core::Semaphore;
use sync_queue::ThreadPool;
use sync_timer::{Pending, Periodic, Scheduler};

const JOBS: [(&str, Duration); 3] = [
    ("refresh", Duration::from_millis(2)),
    ("collect", Duration::from_millis(3)),
    ("report", Duration::from_millis(5)),
];

/// This example waits for ten runs in all; a service would wait for a signal.
static RUNS: Semaphore = Semaphore::new(0);

fn work(name: &str) {
    println!("{name}");
    RUNS.add_permits(1);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scheduler = Scheduler::builder().executor(ThreadPool::new(2)).build()?;
    for (name, period) in JOBS {
        let rhythm = Periodic::new(period).first_now().jitter(period / 10);
        scheduler.periodic(rhythm, move |_| work(name))?;
    }
    RUNS.acquire_many(10)?.forget();
    scheduler.shutdown(Pending::Discard);
    println!("stopped, and no job is running");
    Ok(())
}
