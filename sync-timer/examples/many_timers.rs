//! A timeout for each of a hundred thousand pretended requests, on one thread: nearly all of them
//! are answered in time.
//!
//! In Python this would be a hundred thousand `threading.Timer`s, a thread each; or
//! `sched.scheduler` with a thread to run it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sync_timer::{Cancel, Pending, Scheduler};

const REQUESTS: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::new();
    let timed_out = Arc::new(AtomicUsize::new(0));

    let began = Instant::now();
    let mut timeouts = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let timed_out = Arc::clone(&timed_out);
        timeouts.push(
            scheduler
                .once(Duration::from_millis(500), move || _ = timed_out.fetch_add(1, Relaxed))?,
        );
    }
    println!(
        "{REQUESTS} timeouts scheduled in {:?}, {} bytes each",
        began.elapsed(),
        scheduler.allocated_bytes() / REQUESTS
    );

    // Every thousandth request is never answered.
    let began = Instant::now();
    let answered = timeouts.iter().enumerate().filter(|(n, _)| n % 1000 != 0);
    let cancelled = answered.filter(|(_, timeout)| timeout.cancel() == Cancel::Prevented).count();
    println!(
        "{cancelled} cancelled in {:?}, {} bytes held",
        began.elapsed(),
        scheduler.allocated_bytes()
    );

    // Waits for the last one.
    scheduler.shutdown(Pending::Fire);
    println!("{} timed out", timed_out.load(Relaxed));
    assert_eq!(timed_out.load(Relaxed) + cancelled, REQUESTS);
    Ok(())
}
