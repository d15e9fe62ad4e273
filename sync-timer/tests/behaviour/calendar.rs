//! Timers by the calendar, with a clock of the system that the test sets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sync_timer::{Calendar, ManualClock, Pending, Scheduler, ShutDown};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A scheduler, the two clocks, and the times at which the callback was called, in minutes.
struct Bench {
    clock: ManualClock,
    scheduler: Scheduler,
    wall: Arc<Mutex<SystemTime>>,
    calls: Arc<Mutex<Vec<(u64, u64)>>>,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    let wall = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
    Bench { clock, scheduler, wall, calls: Arc::default() }
}

impl Bench {
    /// Calls at each full hour.
    fn hourly(&self) {
        let wall = Arc::clone(&self.wall);
        let calendar = Calendar::new(|after: SystemTime| {
            let seconds = after.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
            Some(SystemTime::UNIX_EPOCH + HOUR * u32::try_from(seconds / 3600 + 1).ok()?)
        });
        let calendar = calendar.clock(move || *wall.lock().unwrap());
        let (wall, calls) = (Arc::clone(&self.wall), Arc::clone(&self.calls));
        self.scheduler
            .calendar(calendar, move |tick| {
                let now = wall.lock().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                calls.lock().unwrap().push((now.as_secs() / 60, tick.missed()));
            })
            .unwrap();
    }

    /// Both clocks go on, minute by minute.
    fn pass(&self, minutes: u64) {
        for _ in 0..minutes {
            *self.wall.lock().unwrap() += MINUTE;
            self.tick();
        }
    }

    fn tick(&self) {
        self.clock.advance(MINUTE);
        self.scheduler.run_due();
    }

    fn calls(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

#[test]
fn it_calls_at_the_times_of_the_calendar() {
    let it = bench();
    it.hourly();
    it.pass(59);
    assert!(it.calls().is_empty(), "never early");
    it.pass(70);
    assert_eq!(it.calls(), [(60, 0), (120, 0)]);
}

#[test]
fn a_clock_that_is_set_is_noticed() {
    let it = bench();
    it.hourly();
    *it.wall.lock().unwrap() += MINUTE * 59;
    it.tick();
    assert!(it.calls().is_empty());
    it.pass(1);
    assert_eq!(it.calls(), [(60, 0)]);
    // Set back by less than three hours: the hour is not called again.
    *it.wall.lock().unwrap() -= MINUTE * 30;
    it.pass(60);
    assert!(it.calls().is_empty());
    it.pass(30);
    assert_eq!(it.calls(), [(120, 0)]);
}

#[test]
fn times_that_are_passed_over_are_made_up_for_once_and_counted() {
    let it = bench();
    it.hourly();
    *it.wall.lock().unwrap() += HOUR * 3;
    it.tick();
    assert_eq!(it.calls(), [(180, 0)]);
    it.pass(60);
    assert_eq!(it.calls(), [(240, 2)], "those at 120 and 180 minutes were left out");
    it.pass(60);
    assert_eq!(it.calls(), [(300, 0)]);
}

#[test]
fn a_clock_that_is_set_back_far_counts_as_right() {
    let it = bench();
    it.pass(60 * 10);
    it.hourly();
    it.pass(60);
    assert_eq!(it.calls().len(), 1);
    *it.wall.lock().unwrap() = SystemTime::UNIX_EPOCH;
    // It waits for the time that it had computed at the latest call at most once.
    it.pass(60 * 13);
    assert!(!it.calls().is_empty());
}

#[test]
fn a_calendar_that_ends_ends_its_timer() {
    let it = bench();
    let mut left = vec![SystemTime::UNIX_EPOCH + MINUTE];
    let wall = Arc::clone(&it.wall);
    let calendar = Calendar::new(move |_| left.pop()).clock(move || *wall.lock().unwrap());
    let calls = Arc::clone(&it.calls);
    let timer = it.scheduler.calendar(calendar, move |_| calls.lock().unwrap().push((0, 0)));
    let timer = timer.unwrap();
    it.pass(3);
    assert_eq!((it.calls().len(), timer.is_pending(), it.scheduler.len()), (1, false, 0));
    it.scheduler.calendar(Calendar::new(|_| None), |_| panic!("never")).unwrap();
    it.tick();
    assert!(it.scheduler.is_empty());
}

#[test]
fn a_calendar_that_panics_ends_its_timer() {
    let it = bench();
    let mut asked = 0;
    let wall = Arc::clone(&it.wall);
    let calendar = Calendar::new(move |after: SystemTime| {
        asked += 1;
        assert!(asked < 3, "asked for the third time");
        Some(after + MINUTE)
    });
    let calls = Arc::clone(&it.calls);
    let calendar = calendar.clock(move || *wall.lock().unwrap());
    let timer = it.scheduler.calendar(calendar, move |_| calls.lock().unwrap().push((0, 0)));
    let timer = timer.unwrap();
    it.pass(10);
    assert_eq!((it.calls().len(), timer.is_pending(), it.scheduler.len()), (1, false, 0));
}

#[test]
fn a_clock_of_the_system_that_panics_is_looked_at_again() {
    let it = bench();
    let (looked, wall) = (Mutex::new(0), Arc::clone(&it.wall));
    let calendar = Calendar::new(|after: SystemTime| Some(after + MINUTE)).clock(move || {
        let look = {
            let mut looked = looked.lock().unwrap();
            *looked += 1;
            *looked
        };
        // The third look is the one after the first call, the fourth the one for the second.
        assert!(look != 3 && look != 4, "a clock that panics");
        *wall.lock().unwrap()
    });
    let calls = Arc::clone(&it.calls);
    it.scheduler.calendar(calendar, move |_| calls.lock().unwrap().push((0, 0))).unwrap();
    it.pass(1);
    assert_eq!(it.calls().len(), 1);
    it.pass(1);
    assert_eq!(it.calls().len(), 0);
    it.pass(2);
    assert_eq!(it.calls().len(), 2, "the dispatcher and the timer go on");
}

#[test]
fn a_callback_that_panics_is_called_at_the_next_time() {
    let it = bench();
    let wall = Arc::clone(&it.wall);
    let calendar = Calendar::new(|after: SystemTime| Some(after + MINUTE));
    let calendar = calendar.clock(move || *wall.lock().unwrap());
    let calls = Arc::clone(&it.calls);
    it.scheduler
        .calendar(calendar, move |_| {
            calls.lock().unwrap().push((0, 0));
            std::panic::resume_unwind(Box::new("in a callback"));
        })
        .unwrap();
    it.pass(3);
    assert_eq!(it.calls().len(), 3);
}

#[test]
fn a_time_of_the_system_is_called_once() {
    let scheduler = Scheduler::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (past, later) = (sender.clone(), SystemTime::now() + Duration::from_millis(20));
    scheduler.at_time(SystemTime::UNIX_EPOCH, move || past.send("past").unwrap()).unwrap();
    assert_eq!(receiver.recv(), Ok("past"));
    scheduler
        .at_time(later, move || {
            assert!(SystemTime::now() >= later);
            sender.send("later").unwrap();
        })
        .unwrap();
    assert_eq!(receiver.recv(), Ok("later"));
    let far = scheduler.at_time(SystemTime::now() + HOUR, || ()).unwrap();
    assert!(far.is_pending());
    scheduler.shutdown(Pending::Discard);
    assert!(matches!(scheduler.at_time(later, || ()), Err(ShutDown(_))));
}

#[cfg(feature = "cron")]
#[test]
fn cron_expressions() {
    let it = bench();
    let calendar = Calendar::cron("0 9 * * MON-FRI", chrono::Utc).unwrap();
    let wall = Arc::clone(&it.wall);
    let calendar = calendar.clock(move || *wall.lock().unwrap());
    let (wall, calls) = (Arc::clone(&it.wall), Arc::clone(&it.calls));
    it.scheduler
        .calendar(calendar, move |_| {
            let now = wall.lock().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            calls.lock().unwrap().push((now.as_secs() / 3600, 0));
        })
        .unwrap();
    // The first of January 1970 was a Thursday.
    it.pass(5 * 24 * 60);
    assert_eq!(it.calls(), [(9, 0), (24 + 9, 0), (4 * 24 + 9, 0)]);
    let wrong = Calendar::cron("0 25 * * *", chrono::Utc).unwrap_err();
    assert!(wrong.to_string().starts_with("not a cron expression"), "{wrong}");
    assert!(Calendar::cron("*/5 0 9 * * *", chrono::Utc).is_ok(), "with seconds");
}
