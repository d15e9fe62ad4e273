//! `asyncio.sleep`, `wait_for` and `timeout`, on any executor: here on `block_on`.

use std::time::{Duration, Instant};

use sync_core::task::{block_on, join_all};
use sync_core::{Event, Semaphore};
use sync_timer::{Missed, Periodic, Scheduler, TimeoutError};

fn main() {
    let scheduler = Scheduler::new();
    let moment = Duration::from_millis(20);
    block_on(async {
        // `await asyncio.gather(sleep(..), sleep(..), sleep(..))`: at the same time.
        let began = Instant::now();
        let slept = join_all((1..=3).map(|n| scheduler.sleep(moment * n))).await;
        assert!(slept.iter().all(Result::is_ok) && began.elapsed() >= moment * 3);
        println!("slept three times at once");

        // `await asyncio.wait_for(event.wait(), timeout)`.
        let never = Event::new();
        let waited = scheduler.timeout(moment, never.wait_async()).await;
        println!("timed out: {}", waited == Err(TimeoutError::Elapsed));

        // A wait that the time ended has taken nothing.
        let seats = Semaphore::new(0);
        assert!(scheduler.timeout(moment, seats.acquire_async()).await.is_err());
        seats.add_permits(1);
        let seat = scheduler.timeout(moment, seats.acquire_async()).await;
        println!("in time: {}", seat.is_ok());

        let rhythm = Periodic::new(Duration::from_millis(1)).missed(Missed::Skip);
        let mut ticks = scheduler.ticks(rhythm);
        for _ in 0..3 {
            ticks.tick().await.expect("the scheduler is there");
        }
        println!("three ticks");
    });
}
