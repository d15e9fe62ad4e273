//! "This, or the stop": threads that wait for different things, and one token that ends all waits.

use sync_core::{CancelToken, Event, Mutex, Semaphore};

fn main() {
    let stop = CancelToken::new();
    let (seats, news, lock) = (Semaphore::new(0), Event::new(), Mutex::new(()));
    let held = lock.lock();
    std::thread::scope(|scope| {
        let seated = scope.spawn(|| seats.acquire_or_cancelled(&stop).is_ok());
        let informed = scope.spawn(|| news.wait_or_cancelled(&stop).is_ok());
        let locked = scope.spawn(|| lock.lock_or_cancelled(&stop).is_ok());
        stop.cancel();
        for waits in [seated, informed, locked] {
            assert!(!waits.join().expect("it does not panic"), "there was nothing to get");
        }
    });
    drop(held);
    println!("all three were told to stop");
}
