//! One of two programs that know nothing of each other but a name and a layout: this one owns a
//! scoreboard and a queue of points, and adds up what `board_client` sends.
//!
//! ```text
//! cargo run -p sync-ipc --example board_server &
//! cargo run -p sync-ipc --example board_client -- 3
//! ```
//!
//! Python: `multiprocessing.shared_memory.SharedMemory(name=..., create=True)`, with a lock, a
//! queue and a recovery that it does not have.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Duration;
    use sync_ipc::{LockError, Mutex, Queue, RecvError, Segment};

    let name = std::env::var("BOARD").unwrap_or_else(|_| "board".into());
    let patience =
        std::env::var("BOARD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let segment = Segment::create(&name, 1 << 16)?;
    let total = Mutex::create(&segment, "total", 0_u64)?;
    let points = Queue::<u64>::create(&segment, "points", 16)?;
    println!("board {name:?} is open");
    loop {
        // A lease: if this program dies before `ack`, the program that replaces it gets the item.
        let lease = match points.get_lease_timeout(Duration::from_secs(patience)) {
            Ok(lease) => lease,
            Err(RecvError::TimedOut | RecvError::Closed) => break,
            Err(other) => return Err(other.into()),
        };
        match total.lock() {
            Ok(mut guard) => guard.update(|sum| *sum += *lease.item()),
            // A client was killed while it held the lock. Its value is one word: nothing to repair.
            Err(LockError::OwnerDied(mut guard)) => {
                guard.update(|sum| *sum += *lease.item());
                guard.mark_consistent();
            }
            Err(other) => panic!("{other}"),
        }
        lease.ack();
    }
    println!("total: {}", total.lock().map_err(|error| error.to_string())?.get());
    Ok(())
}
