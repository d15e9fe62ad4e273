//! Timers cancelled at the moment they go off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sync_timer::{Interval, Outcome, Timer};

use crate::watchdog;

#[test]
fn one_of_cancel_and_the_deadline_wins() {
    let _watchdog = watchdog::watch();
    let mut outcomes = [0, 0];
    for round in 0..400u64 {
        let calls = Arc::new(AtomicUsize::new(0));
        let inside = Arc::clone(&calls);
        let timer =
            Timer::new(Duration::from_micros(round % 100), move || _ = inside.fetch_add(1, SeqCst));
        timer.start().unwrap();
        let prevented = std::thread::scope(|scope| {
            let cancels = [(); 2].map(|()| scope.spawn(|| timer.cancel()));
            cancels.map(|cancel| cancel.join().unwrap())
        });
        let outcome = timer.join().unwrap();
        assert_eq!(calls.load(SeqCst), usize::from(outcome == Outcome::Ran));
        assert_eq!(
            prevented,
            [outcome == Outcome::Cancelled; 2],
            "both cancels agree with how it ended"
        );
        outcomes[usize::from(outcome == Outcome::Ran)] += 1;
    }
    println!("cancelled {}, ran {}", outcomes[0], outcomes[1]);
}

#[test]
fn a_stop_is_never_slept_over() {
    let _watchdog = watchdog::watch();
    for round in 0..200 {
        let mut interval = Interval::new(Duration::from_micros(1 + round));
        let stopper = interval.stopper();
        std::thread::scope(|scope| {
            let ticking = scope.spawn(move || interval.by_ref().count());
            std::thread::yield_now();
            stopper.stop();
            ticking.join().unwrap();
        });
    }
}
