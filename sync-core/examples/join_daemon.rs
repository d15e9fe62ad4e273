//! Python's `Thread(daemon=True)` and `join(timeout)`: a background thread starts workers one after
//! another and waits a while for each; the program waits a while for it, and ends.
//!
//! ```python
//! background = threading.Thread(target=start_workers, daemon=True)
//! background.start()
//! background.join(2.0)           # and then the program ends, whatever still runs
//! ```

use std::time::Duration;

use sync_core::thread::{self, Builder, Group, JoinError};

/// Seconds, so short that the example ends at once.
const fn seconds(n: u64) -> Duration {
    Duration::from_millis(20 * n)
}

fn start_workers() {
    for number in 1..=5 {
        // A daemon like its parent, which is the default.
        let worker = thread::spawn(move || std::thread::sleep(seconds(number))).unwrap();
        match worker.join_timeout(seconds(1) + seconds(1) / 2) {
            Ok(()) => println!("worker {number} is done"),
            Err(JoinError::TimedOut) => println!("worker {number} needs longer: {worker:?}"),
            Err(error) => println!("worker {number}: {error}"),
        }
    }
}

fn main() {
    // A group joins the threads that are not daemons: at the end of `main`, as Python does.
    let group = Group::new();
    let background = Builder::new()
        .name("background")
        .daemon(true)
        .spawn_in(&group.handle(), start_workers)
        .unwrap();
    group.spawn(|| println!("an ordinary thread, which the program waits for")).unwrap();

    if background.join_timeout(seconds(2)) == Err(JoinError::TimedOut) {
        println!("the program waits no longer for {}", background.name());
    }
    // Here the group waits for the ordinary thread, and the end of the program takes the daemons
    // with it.
}
