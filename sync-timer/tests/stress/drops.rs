//! Sleeps, ticks and limits of tasks that are dropped at random, next to threads that wait.

use std::time::Duration;

use sync_core::task::block_on;
use sync_timer::{Missed, Periodic, Scheduler, Timer};

use crate::storm::{Job, Random, Storm, turns};
use crate::watchdog::watch;

#[test]
fn drops_of_waits_for_timers() {
    let _watchdog = watch();
    let scheduler = Scheduler::new();
    let micros = |random: &mut Random| Duration::from_micros(random.below(200));
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (kind, time, long) = (random.below(3), micros(random), random.below(3));
            let scheduler = &scheduler;
            match kind {
                0 => {
                    let sleep = scheduler.sleep(time);
                    Box::pin(async move { sleep.await.unwrap() })
                }
                1 => {
                    let rhythm = Periodic::new(time + Duration::from_micros(1));
                    let mut ticks = scheduler.ticks(rhythm.missed(Missed::Delay));
                    Box::pin(async move {
                        for _ in 0..2 {
                            ticks.tick().await.unwrap();
                        }
                    })
                }
                _ => {
                    let limited = scheduler.timeout(time, turns(long));
                    Box::pin(async move {
                        let _ = limited.await;
                    })
                }
            }
        },
        thread: |random: &mut Random| {
            let time = micros(random);
            match random.below(3) {
                0 => {
                    let timer = scheduler.once(time, || ());
                    let _ = timer.unwrap().cancel_and_wait();
                }
                1 => block_on(scheduler.sleep(time)).unwrap(),
                _ => {
                    let timer = Timer::new(time, || ());
                    timer.start().unwrap();
                    timer.join().unwrap();
                }
            }
        },
        serve: || (),
    }
    .run();
    assert_eq!(scheduler.len(), 0, "a future that is gone has no timer");
}
