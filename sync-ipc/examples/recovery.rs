//! Measures how long a waiter waits for a lock whose owner is killed. The number of kills is the
//! first argument; default: 200.
//!
//! Python: `multiprocessing.Lock`, whose waiter waits forever.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::thread;
    use std::time::{Duration, Instant};
    use sync_ipc::{LockError, Mutex, Segment};

    let kills: usize = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    let segment = Segment::anonymous(4096)?;
    let mutex = Mutex::create(&segment, "mutex", 0_u64)?;
    let mut times = Vec::with_capacity(kills);
    for kill in 0..kills.max(1) {
        // SAFETY: this process has one thread, so the child may use everything it has.
        let owner = match unsafe { libc::fork() } {
            -1 => return Err(std::io::Error::last_os_error().into()),
            0 => {
                core::mem::forget(mutex.lock());
                loop {
                    thread::sleep(Duration::from_secs(1));
                }
            }
            owner => owner,
        };
        while !mutex.is_locked() {
            thread::sleep(Duration::from_micros(100));
        }
        let recovered = thread::scope(|scope| {
            let waiter = scope.spawn(|| match mutex.lock() {
                Err(LockError::OwnerDied(mut guard)) => {
                    let now = Instant::now();
                    guard.update(|count| *count += 1);
                    guard.mark_consistent();
                    now
                }
                other => panic!("the owner died: {other:?}"),
            });
            // Some waiters have just come, others have waited for long, and look seldom by now.
            thread::sleep(Duration::from_micros(500 * (kill as u64 % 160)));
            let killed = Instant::now();
            // SAFETY: our own child, not yet reaped. It stays a zombie until the lock has been
            // recovered.
            unsafe { libc::kill(owner, libc::SIGKILL) };
            waiter.join().map(|at| at.saturating_duration_since(killed))
        });
        times.push(recovered.map_err(|_| "the waiter panicked")?);
        let mut status = 0;
        // SAFETY: our own child, and a place for its status.
        unsafe { libc::waitpid(owner, &mut status, 0) };
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!(
        "{} kills: median {:?}, 99th percentile {:?}, longest {:?}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert_eq!(mutex.lock().map_err(|error| error.to_string())?.get(), times.len() as u64);
    Ok(())
}
