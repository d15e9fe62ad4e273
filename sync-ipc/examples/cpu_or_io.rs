//! The same compute-bound and I/O-bound work over 1 to N threads and processes: which to choose.
//!
//! Python needs processes for compute-bound work, because its threads take turns. Here threads
//! compute at the same time, so processes are for isolation: a crash takes one worker and not the
//! program.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use sync_ipc::Pool;

/// Keeps a processor busy.
fn compute(rounds: u64) -> u64 {
    (0..rounds).fold(1, |x: u64, n| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n))
}

/// Waits for a disk or a network.
fn wait(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

sync_ipc::entry!(compute, wait);

const TASKS: usize = 8;

/// The tasks, shared out among threads.
fn in_threads(count: usize, task: impl Fn() + Sync) -> Duration {
    let started = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < TASKS {
                    task();
                }
            });
        }
    });
    started.elapsed()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sync_ipc::init();
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(20_000_000);
    println!("{TASKS} tasks; seconds");
    println!("{:>8} {:>16} {:>16} {:>16} {:>16}", "", "compute", "compute", "wait", "wait");
    println!(
        "{:>8} {:>16} {:>16} {:>16} {:>16}",
        "", "threads", "processes", "threads", "processes"
    );
    for count in [1, 2, 4] {
        let compute_threads = in_threads(count, || {
            std::hint::black_box(compute(std::hint::black_box(rounds)));
        });
        let wait_threads = in_threads(count, || {
            wait(20);
        });
        let pool = Pool::new(count)?;
        // Until the workers have started.
        pool.map_chunked(wait, vec![1; count * 2], 1)?;
        let started = Instant::now();
        pool.map_chunked(compute, vec![rounds; TASKS], 1)?;
        let compute_processes = started.elapsed();
        let started = Instant::now();
        pool.map_chunked(wait, vec![20; TASKS], 1)?;
        let wait_processes = started.elapsed();
        let [a, b, c, d] = [compute_threads, compute_processes, wait_threads, wait_processes]
            .map(|time| time.as_secs_f64());
        println!("{count:>8} {a:>16.3} {b:>16.3} {c:>16.3} {d:>16.3}");
    }
    println!("compute-bound: as many as processors; waiting: as many as there is to wait for.");
    Ok(())
}
