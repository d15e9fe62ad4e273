//! `Scheduler` and `TimerHandle`, nearly all by a clock that is turned by hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use sync_core::{CancelToken, Cancelled};
use sync_timer::{
    Cancel, Clock, EveryError, Failure, ManualClock, Missed, Pending, Periodic, Scheduler,
    ShutDown, TimerHandle,
};

use crate::watchdog;

const SECOND: Duration = Duration::from_secs(1);

/// A scheduler that this test drives, its clock, and a log of what was called.
struct Bench {
    clock: ManualClock,
    scheduler: Scheduler,
    log: Arc<Mutex<Vec<String>>>,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&log);
    let scheduler = Scheduler::builder()
        .clock(clock.clone())
        .on_failure(move |failure| hook.lock().unwrap().push(format!("{failure:?}")))
        .build_without_thread();
    Bench { clock, scheduler, log }
}

impl Bench {
    fn say(&self, what: impl Into<String>) -> impl FnOnce() + Send + 'static {
        let (log, what) = (Arc::clone(&self.log), what.into());
        move || log.lock().unwrap().push(what)
    }

    fn advance(&self, by: Duration) -> Vec<String> {
        self.clock.advance(by);
        self.scheduler.run_due();
        self.said()
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

#[test]
fn timers_are_independent_and_fire_once() {
    let it = bench();
    it.scheduler.once(SECOND, it.say("one")).unwrap();
    it.scheduler.once(SECOND * 2, it.say("two")).unwrap();
    assert!(it.advance(SECOND - Duration::from_nanos(1)).is_empty(), "never early");
    assert_eq!(it.advance(Duration::from_nanos(1)), ["one"]);
    assert_eq!(it.advance(SECOND * 100), ["two"]);
    assert!(it.advance(SECOND * 100).is_empty());
    assert!(it.scheduler.is_empty());
}

#[test]
fn deadlines_in_order_and_equal_ones_as_they_were_scheduled() {
    let it = bench();
    let at = it.clock.now() + SECOND;
    for n in 0..20 {
        it.scheduler.at(at, it.say(format!("{n}"))).unwrap();
    }
    it.scheduler.at(at - Duration::from_nanos(1), it.say("before")).unwrap();
    let said = it.advance(SECOND);
    assert_eq!(said[0], "before");
    assert_eq!(said[1..], (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn zero_and_past_are_due_at_once_but_not_called_by_the_scheduling_call() {
    let it = bench();
    let past = it.clock.now().checked_sub(SECOND * 3600).unwrap_or(it.clock.now());
    it.scheduler.once(Duration::ZERO, it.say("zero")).unwrap();
    it.scheduler.at(past, it.say("past")).unwrap();
    assert!(it.said().is_empty());
    assert_eq!(it.scheduler.run_due(), 2);
    assert_eq!(it.said().len(), 2);
}

#[test]
fn huge_is_never_and_not_the_past() {
    let it = bench();
    let never = it.scheduler.once(Duration::MAX, it.say("never")).unwrap();
    let long =
        it.scheduler.once(Duration::from_secs(500 * 365 * 86_400), it.say("500 years")).unwrap();
    let every = it.scheduler.every(Duration::MAX, Missed::Burst, |_| ()).unwrap();
    assert_eq!(never.deadline(), None);
    assert!(long.deadline().is_some() && never.is_pending() && every.is_pending());
    assert!(it.advance(Duration::from_secs(400 * 365 * 86_400)).is_empty());
    assert_eq!(it.advance(Duration::from_secs(100 * 365 * 86_400)), ["500 years"]);
    assert_eq!(never.cancel(), Cancel::Prevented);
    assert_eq!(every.cancel(), Cancel::Prevented);
    assert_eq!(it.scheduler.next_wake(), None);
}

#[test]
fn of_equal_timers_a_cancel_ends_the_one_of_the_handle() {
    for cancelled in 0..3 {
        let clock = ManualClock::new();
        let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
        let (sender, receiver) = channel();
        let handles = [0, 1, 2].map(|number| {
            let sender = sender.clone();
            scheduler.once(SECOND, move || sender.send(number).unwrap()).unwrap()
        });
        assert_eq!(handles[cancelled].cancel(), Cancel::Prevented);
        clock.advance(SECOND);
        assert_eq!(scheduler.run_due(), 2);
        let rest: Vec<_> = receiver.try_iter().collect();
        assert_eq!(rest, [0, 1, 2].into_iter().filter(|&n| n != cancelled).collect::<Vec<_>>());
    }
}

#[test]
fn cancel_says_what_it_found_and_is_idempotent() {
    let it = bench();
    let prevented = it.scheduler.once(SECOND, it.say("prevented")).unwrap();
    let fired = it.scheduler.once(SECOND, it.say("fired")).unwrap();
    assert_eq!(prevented.cancel(), Cancel::Prevented);
    assert_eq!(prevented.cancel(), Cancel::Done);
    assert_eq!(it.advance(SECOND), ["fired"]);
    assert_eq!(fired.cancel(), Cancel::Done);
    assert_eq!(fired.cancel_and_wait(), Cancel::Done);
    assert!(!fired.is_pending() && !fired.is_running() && fired.deadline().is_none());
}

#[test]
fn a_cancelled_timer_frees_its_closure_at_once() {
    let it = bench();
    let captured = Arc::new(());
    let inside = Arc::clone(&captured);
    let handle = it.scheduler.once(SECOND * 3600, move || drop(inside)).unwrap();
    assert_eq!(Arc::strong_count(&captured), 2);
    assert_eq!(handle.cancel(), Cancel::Prevented);
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn a_million_cancelled_timers_give_their_memory_back() {
    let it = bench();
    let empty = it.scheduler.allocated_bytes();
    let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let handles: Vec<_> =
        (0..count).map(|n| it.scheduler.once(Duration::from_millis(n), || ()).unwrap()).collect();
    let least = 12 + 4 * size_of::<usize>();
    assert!(it.scheduler.allocated_bytes() > empty + least * count as usize);
    assert!(handles.iter().all(|handle| handle.cancel() == Cancel::Prevented));
    assert!(
        it.scheduler.allocated_bytes() < empty + 100_000,
        "{} bytes",
        it.scheduler.allocated_bytes()
    );
    assert!(it.scheduler.is_empty());
}

#[test]
fn cancel_from_within_the_callback_is_running_and_does_not_wait() {
    let _watchdog = watchdog::watch();
    let it = bench();
    let own: Arc<OnceLock<TimerHandle>> = Arc::new(OnceLock::new());
    let (inside, log) = (Arc::clone(&own), Arc::clone(&it.log));
    let handle = it
        .scheduler
        .every(SECOND, Missed::Skip, move |_| {
            let own = inside.get().unwrap();
            let found = (own.is_running(), own.cancel(), own.cancel_and_wait());
            log.lock().unwrap().push(format!("{found:?}"));
        })
        .unwrap();
    own.set(handle).unwrap();
    assert_eq!(it.advance(SECOND), ["(true, Running, Running)"]);
    assert!(it.advance(SECOND * 10).is_empty(), "it was the last tick");
    assert_eq!(own.get().unwrap().cancel(), Cancel::Done);
}

#[test]
fn a_callback_may_schedule_and_cancel_others() {
    let scheduler = Arc::new(bench());
    let it = Arc::clone(&scheduler);
    let other = it.scheduler.once(SECOND * 2, it.say("cancelled")).unwrap();
    let inner = Arc::clone(&scheduler);
    let callback = move || {
        assert_eq!(other.cancel(), Cancel::Prevented);
        inner.scheduler.once(SECOND, inner.say("later")).unwrap();
        inner.scheduler.once(Duration::ZERO, inner.say("at once")).unwrap();
    };
    it.scheduler.once(SECOND, callback).unwrap();
    assert!(it.advance(SECOND).is_empty(), "what a callback schedules is for the next round");
    assert_eq!(it.advance(Duration::ZERO), ["at once"]);
    assert_eq!(it.advance(SECOND), ["later"]);
    assert!(it.advance(SECOND * 5).is_empty());
}

#[test]
fn reschedule_moves_both_ways_until_it_is_too_late() {
    let it = bench();
    let handle = it.scheduler.once(SECOND * 10, it.say("moved")).unwrap();
    assert!(handle.reschedule_after(SECOND * 20));
    assert!(it.advance(SECOND * 15).is_empty());
    assert!(handle.reschedule(it.clock.now() + SECOND));
    assert_eq!(handle.deadline(), Some(it.clock.now() + SECOND));
    assert_eq!(it.advance(SECOND), ["moved"]);
    assert!(!handle.reschedule_after(SECOND));
    assert!(it.advance(SECOND * 100).is_empty());

    let past = it.scheduler.once(SECOND * 10, it.say("past")).unwrap();
    let origin = it.clock.now() - SECOND;
    assert!(past.reschedule(origin));
    assert_eq!(it.advance(Duration::ZERO), ["past"]);

    let cancelled = it.scheduler.once(SECOND, it.say("cancelled")).unwrap();
    assert_eq!(cancelled.cancel(), Cancel::Prevented);
    assert!(!cancelled.reschedule_after(SECOND));
}

#[test]
fn reschedule_moves_the_grid_of_a_periodic_timer_also_while_it_runs() {
    let it = bench();
    let own: Arc<OnceLock<TimerHandle>> = Arc::new(OnceLock::new());
    let (inside, log) = (Arc::clone(&own), Arc::clone(&it.log));
    let mut count = 0;
    let handle = it
        .scheduler
        .every(SECOND * 10, Missed::Skip, move |_| {
            count += 1;
            log.lock().unwrap().push(count.to_string());
            if count == 2 {
                assert!(inside.get().unwrap().reschedule_after(SECOND));
            }
        })
        .unwrap();
    own.set(handle).unwrap();
    let handle = own.get().unwrap();
    assert!(handle.reschedule_after(SECOND * 3));
    assert_eq!(it.advance(SECOND * 3), ["1"]);
    assert_eq!(it.advance(SECOND * 10), ["2"]);
    assert_eq!(it.advance(SECOND), ["3"]);
    assert!(it.advance(SECOND * 9).is_empty());
    assert_eq!(it.advance(SECOND), ["4"]);
}

#[test]
fn missed_ticks_skip_burst_delay() {
    for (missed, expected) in [
        (Missed::Skip, vec!["0ns +0", "4s +3", "5s +0"]),
        (Missed::Burst, vec!["0ns +0", "1s +0", "2s +0", "3s +0", "4s +0", "5s +0"]),
        (Missed::Delay, vec!["0ns +0", "4.5s +0", "5.5s +0"]),
    ] {
        let it = bench();
        let first = it.clock.now() + SECOND;
        let (clock, log) = (it.clock.clone(), Arc::clone(&it.log));
        let mut slow = true;
        let callback = move |tick: &sync_timer::Tick| {
            log.lock().unwrap().push(format!("{:?} +{}", tick.scheduled() - first, tick.missed()));
            if std::mem::take(&mut slow) {
                clock.advance(Duration::from_millis(3500));
            }
        };
        it.scheduler.every(SECOND, missed, callback).unwrap();
        it.advance_in_steps(expected.len(), &expected, missed);
    }
}

impl Bench {
    /// Turns the clock on in half seconds until the callbacks have said all that is expected.
    fn advance_in_steps(&self, count: usize, expected: &[&str], missed: Missed) {
        let mut said = Vec::new();
        for _ in 0..30 {
            said.extend(self.advance(SECOND / 2));
        }
        said.truncate(count);
        assert_eq!(said, expected, "{missed:?}");
    }
}

#[test]
fn a_period_of_zero_is_an_error_that_gives_the_callback_back() {
    let it = bench();
    let captured = Arc::new(());
    let inside = Arc::clone(&captured);
    let error = it
        .scheduler
        .every(Duration::ZERO, Missed::Burst, move |_| drop(Arc::clone(&inside)))
        .unwrap_err();
    assert!(matches!(error, EveryError::ZeroPeriod(_)));
    assert_eq!(error.to_string(), "a periodic timer needs a period greater than zero");
    assert_eq!(Arc::strong_count(&captured), 2, "nothing is lost");
    drop(error.into_inner());
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn a_panic_is_reported_and_harms_nothing_else() {
    let it = bench();
    it.scheduler.once(SECOND, || panic!("text")).unwrap();
    it.scheduler.once(SECOND, || panic!("number {}", 7)).unwrap();
    it.scheduler.once(SECOND, || std::panic::panic_any(3)).unwrap();
    it.scheduler.once(SECOND, it.say("unharmed")).unwrap();
    let mut first = true;
    it.scheduler
        .every(SECOND, Missed::Skip, move |_| assert!(!std::mem::take(&mut first), "once"))
        .unwrap();
    let said = it.advance(SECOND);
    assert_eq!(
        said,
        [
            r#"Panicked("text")"#,
            r#"Panicked("number 7")"#,
            r#"Panicked("<not a text>")"#,
            "unharmed",
            r#"Panicked("once")"#
        ]
    );
    assert!(it.advance(SECOND).is_empty(), "the periodic one goes on, and panics no more");
    assert_eq!(it.scheduler.len(), 1);
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panicking_hook_payload_or_closure_harms_nothing() {
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder()
        .clock(clock.clone())
        .on_failure(|_| panic!("hook"))
        .build_without_thread();
    let reached = Arc::new(AtomicUsize::new(0));
    scheduler.once(SECOND, || std::panic::panic_any(Grenade)).unwrap();
    let grenade = Grenade;
    scheduler
        .once(SECOND, move || {
            let _grenade = grenade;
        })
        .unwrap();
    let count = Arc::clone(&reached);
    scheduler.once(SECOND, move || _ = count.fetch_add(1, SeqCst)).unwrap();
    clock.advance(SECOND);
    assert_eq!(scheduler.run_due(), 3);
    assert_eq!(reached.load(SeqCst), 1);

    // A closure that panics while its canceller drops it: the canceller's panic, and the timer is
    // gone.
    let grenade = Grenade;
    let handle = scheduler.once(SECOND, move || drop(grenade)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| handle.cancel())).is_err());
    assert_eq!(handle.cancel(), Cancel::Done);
    let grenade = Grenade;
    scheduler.once(SECOND, move || drop(grenade)).unwrap();
    assert_eq!(scheduler.shutdown(Pending::Discard), 1);
}

#[test]
fn cancel_on_drop_ends_with_its_scope_unless_kept() {
    let it = bench();
    let guard = it.scheduler.once(SECOND, it.say("dropped")).unwrap().cancel_on_drop();
    assert!(guard.is_pending());
    drop(guard);
    let kept = it.scheduler.once(SECOND, it.say("kept")).unwrap().cancel_on_drop().keep();
    drop(kept);
    assert_eq!(it.advance(SECOND), ["kept"]);
}

#[test]
fn after_a_shutdown_callbacks_come_back() {
    let it = bench();
    let handle = it.scheduler.once(SECOND, it.say("discarded")).unwrap();
    let captured = Arc::new(());
    let inside = Arc::clone(&captured);
    it.scheduler.every(SECOND, Missed::Skip, move |_| drop(Arc::clone(&inside))).unwrap();
    assert!(!it.scheduler.is_shutdown());
    assert_eq!(it.scheduler.shutdown(Pending::Discard), 2);
    assert!(it.scheduler.is_shutdown());
    assert_eq!(Arc::strong_count(&captured), 1);
    assert_eq!(it.scheduler.shutdown(Pending::Discard), 0);
    assert_eq!(handle.cancel(), Cancel::Done);
    assert!(!handle.reschedule_after(SECOND));

    let ShutDown(callback) = it.scheduler.once(SECOND, it.say("given back")).unwrap_err();
    callback();
    assert_eq!(it.said(), ["given back"]);
    let error = it.scheduler.at(it.clock.now(), || ()).unwrap_err();
    assert_eq!(error.to_string(), "the scheduler has been shut down");
    assert!(matches!(
        it.scheduler.every(SECOND, Missed::Skip, |_| ()),
        Err(EveryError::ShutDown(_))
    ));
    assert!(it.advance(SECOND * 10).is_empty());
}

#[test]
fn a_shutdown_that_fires_without_a_thread_fires_what_is_due() {
    let it = bench();
    it.scheduler.once(SECOND, it.say("due")).unwrap();
    it.scheduler.once(SECOND * 2, it.say("not yet")).unwrap();
    it.scheduler.every(SECOND, Missed::Skip, |_| panic!("periodic ones end")).unwrap();
    it.clock.advance(SECOND);
    assert_eq!(it.scheduler.shutdown(Pending::Fire), 2);
    assert_eq!(it.said(), ["due"]);
}

#[test]
fn a_shutdown_waits_for_what_it_should() {
    let _watchdog = watchdog::watch();
    let clock = ManualClock::new();
    let scheduler = Arc::new(Scheduler::builder().clock(clock.clone()).build().unwrap());
    let (sender, receiver) = channel();
    let never = scheduler.once(Duration::MAX, || ()).unwrap();
    scheduler.once(SECOND, move || sender.send("fired").unwrap()).unwrap();
    let waiting = {
        let scheduler = Arc::clone(&scheduler);
        std::thread::spawn(move || scheduler.shutdown(Pending::Fire))
    };
    // Only once the shutdown has begun is the clock turned on: it waited.
    while !never_is_gone(&never) {
        std::thread::yield_now();
    }
    assert!(receiver.try_recv().is_err());
    clock.advance(SECOND);
    assert_eq!(receiver.recv(), Ok("fired"));
    assert_eq!(waiting.join().unwrap(), 1);
}

#[test]
fn a_token_ends_the_wait_of_a_shutdown_and_what_waits_fires_in_its_time() {
    let _watchdog = watchdog::watch();
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder().clock(clock.clone()).build().unwrap();
    let (sender, receiver) = channel();
    scheduler.once(SECOND, move || sender.send("fired").unwrap()).unwrap();
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| scheduler.shutdown_or_cancelled(Pending::Fire, &token));
        while !scheduler.is_shutdown() {
            std::thread::yield_now();
        }
        assert!(scheduler.once(SECOND, || ()).is_err(), "nothing new gets in");
        token.cancel();
        assert_eq!(waits.join().unwrap(), Err(Cancelled));
    });
    assert!(receiver.try_recv().is_err());
    clock.advance(SECOND);
    assert_eq!(receiver.recv(), Ok("fired"));
    assert_eq!(scheduler.shutdown_or_cancelled(Pending::Fire, &CancelToken::new()), Ok(0));
}

fn never_is_gone(never: &TimerHandle) -> bool {
    !never.is_pending()
}

#[test]
fn a_discarding_shutdown_releases_a_waiting_one() {
    let _watchdog = watchdog::watch();
    let scheduler = Arc::new(Scheduler::builder().clock(ManualClock::new()).build().unwrap());
    scheduler.once(SECOND, || panic!("the clock stands")).unwrap();
    let waiting = {
        let scheduler = Arc::clone(&scheduler);
        std::thread::spawn(move || scheduler.shutdown(Pending::Fire))
    };
    while !scheduler.is_shutdown() {
        std::thread::yield_now();
    }
    let discarded = scheduler.shutdown(Pending::Discard);
    assert_eq!(discarded + waiting.join().unwrap(), 1);
}

#[test]
fn shutdown_and_drop_from_within_a_callback_do_not_wait_for_themselves() {
    let _watchdog = watchdog::watch();
    for pending in [Pending::Discard, Pending::Fire] {
        let scheduler = Arc::new(Scheduler::new());
        let (sender, receiver) = channel();
        let inside = Arc::clone(&scheduler);
        let last = scheduler
            .once(Duration::ZERO, move || {
                inside.shutdown(pending);
                // Perhaps the last one: dropped on its own dispatcher.
                drop(inside);
                sender.send(()).unwrap();
            })
            .unwrap();
        drop(scheduler);
        receiver.recv().unwrap();
        assert_eq!(last.cancel_and_wait(), Cancel::Done);
    }
}

#[test]
fn cancel_and_wait_waits_for_the_callback_and_its_closure() {
    let _watchdog = watchdog::watch();
    let scheduler = Scheduler::new();
    let captured = Arc::new(());
    let inside = Arc::clone(&captured);
    let (entered, both) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let (barrier, count) = (Arc::clone(&entered), Arc::clone(&both));
    let handle = scheduler
        .every(Duration::from_millis(1), Missed::Skip, move |_| {
            let _inside = &inside;
            if count.load(SeqCst) == 0 {
                barrier.wait();
                std::thread::sleep(Duration::from_millis(20));
                count.store(1, SeqCst);
            }
        })
        .unwrap();
    entered.wait();
    assert_eq!(handle.cancel_and_wait(), Cancel::Done);
    assert_eq!(both.load(SeqCst), 1);
    assert_eq!(Arc::strong_count(&captured), 1, "the closure has been dropped");
}

#[test]
fn an_earlier_deadline_wakes_the_sleeping_dispatcher() {
    let _watchdog = watchdog::watch();
    let scheduler = Scheduler::new();
    scheduler.once(SECOND * 3600, || ()).unwrap();
    // It has had time to fall asleep for an hour; if not, the test shows less and passes all the
    // same.
    std::thread::sleep(Duration::from_millis(20));
    let (sender, receiver) = channel();
    let began = Instant::now();
    let deadline = began + Duration::from_millis(2);
    scheduler.at(deadline, move || sender.send(Instant::now()).unwrap()).unwrap();
    assert!(receiver.recv().unwrap() >= deadline, "never early");
}

#[test]
fn names_and_debug() {
    let (sender, receiver) = channel();
    let scheduler = Scheduler::builder().name("heartbeat").build().unwrap();
    scheduler
        .once(Duration::ZERO, move || {
            sender.send(std::thread::current().name().map(str::to_owned)).unwrap()
        })
        .unwrap();
    assert_eq!(receiver.recv().unwrap().as_deref(), Some("heartbeat"));
    let error = Scheduler::builder().name("zero\0byte").build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(format!("{:?}", Failure::Refused), "Refused");
    for text in [
        format!("{scheduler:?}"),
        format!("{:?}", Scheduler::builder()),
        format!("{:?}", ShutDown(())),
    ] {
        assert!(!text.is_empty());
    }
}

#[test]
fn timers_of_many_threads_go_off_in_the_order_of_their_deadlines() {
    let it = bench();
    let began = it.clock.now();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let it = &it;
            scope.spawn(move || {
                for n in 0..500 {
                    // Near and far, so that some are sorted late.
                    let after =
                        Duration::from_nanos(((thread * 7919 + n * 104_729) % 5_000) << (n % 24));
                    let log = Arc::clone(&it.log);
                    let at = began + after;
                    it.scheduler
                        .at(at, move || {
                            log.lock().unwrap().push(format!("{:020}", after.as_nanos()))
                        })
                        .unwrap();
                }
            });
        }
    });
    let said = it.advance(SECOND * 1000);
    assert_eq!(said.len(), 4000);
    assert!(said.is_sorted(), "by deadline, whichever thread scheduled them");
}

/// Schedules itself again, with a delay of zero, each time it is called.
fn again(it: &Arc<Bench>) {
    let inner = Arc::clone(it);
    let callback = move || {
        inner.log.lock().unwrap().push("again".to_owned());
        again(&inner);
    };
    it.scheduler.once(Duration::ZERO, callback).unwrap();
}

#[test]
fn run_due_returns_when_callbacks_keep_scheduling_what_is_due() {
    let _watchdog = watchdog::watch();
    let it = Arc::new(bench());
    it.scheduler.once(Duration::ZERO, it.say("before")).unwrap();
    again(&it);
    it.scheduler.once(Duration::ZERO, it.say("after")).unwrap();
    it.scheduler.once(SECOND, it.say("not yet")).unwrap();
    assert_eq!(it.scheduler.run_due(), 3);
    assert_eq!(it.said(), ["before", "again", "after"]);
    assert!(it.scheduler.next_wake().is_some_and(|wake| wake <= it.clock.now()));
    assert_eq!(it.scheduler.run_due(), 1);
    assert_eq!(it.said(), ["again"]);
    assert_eq!(it.scheduler.shutdown(Pending::Discard), 2);
}

#[test]
fn run_due_returns_when_callbacks_schedule_the_past() {
    let _watchdog = watchdog::watch();
    fn past(it: &Arc<Bench>) {
        let inner = Arc::clone(it);
        let at = it.clock.now().checked_sub(SECOND).unwrap();
        it.scheduler.at(at, move || past(&inner)).unwrap();
    }
    let it = Arc::new(bench());
    past(&it);
    it.scheduler.once(SECOND, it.say("waits its turn")).unwrap();
    it.clock.advance(SECOND);
    assert_eq!(it.scheduler.run_due(), 2);
    assert_eq!(it.said(), ["waits its turn"]);
    assert_eq!(it.scheduler.run_due(), 1);
    assert_eq!(it.scheduler.shutdown(Pending::Discard), 1);
}

#[test]
fn run_due_returns_when_periodic_timers_move_themselves_and_each_other_to_this_moment() {
    let _watchdog = watchdog::watch();
    let it = Arc::new(bench());
    let handles: Arc<Mutex<Vec<TimerHandle>>> = Arc::default();
    for n in 0..3usize {
        let (log, others) = (Arc::clone(&it.log), Arc::clone(&handles));
        let handle = it.scheduler.every(SECOND, Missed::Skip, move |_| {
            log.lock().unwrap().push(n.to_string());
            let others = others.lock().unwrap();
            // The first moves itself, the others each other.
            assert!(others[[0, 2, 1][n]].reschedule_after(Duration::ZERO));
        });
        handles.lock().unwrap().push(handle.unwrap());
    }
    it.scheduler.once(SECOND, it.say("waits its turn")).unwrap();
    it.clock.advance(SECOND);
    it.scheduler.run_due();
    assert_eq!(it.said(), ["0", "1", "2", "waits its turn"]);
    it.scheduler.run_due();
    assert_eq!(it.said(), ["0", "1", "2"]);
    assert!(handles.lock().unwrap().iter().all(TimerHandle::is_pending));
    for handle in handles.lock().unwrap().drain(..) {
        assert_eq!(handle.cancel(), Cancel::Prevented);
    }
    assert!(it.scheduler.is_empty());
}

#[test]
fn run_due_returns_for_a_period_shorter_than_its_callback_on_the_real_clock() {
    let _watchdog = watchdog::watch();
    let scheduler = Scheduler::builder().build_without_thread();
    for missed in [Missed::Skip, Missed::Delay] {
        let short = Duration::from_nanos(1);
        let handle = scheduler.every(short, missed, |_| ()).unwrap();
        while scheduler.run_due() == 0 {}
        assert_eq!(handle.cancel(), Cancel::Prevented);
    }
}

#[test]
fn duration_max_is_never_also_when_the_clock_is_moved_to_its_end() {
    let _watchdog = watchdog::watch();
    for shards in [1, 4] {
        let clock = ManualClock::new();
        let log: Arc<Mutex<Vec<&str>>> = Arc::default();
        let say = |what| {
            let log = Arc::clone(&log);
            move || log.lock().unwrap().push(what)
        };
        let scheduler =
            Scheduler::builder().clock(clock.clone()).shards(shards).build_without_thread();
        let never = scheduler.once(Duration::MAX, say("never")).unwrap();
        let moved = scheduler.once(SECOND, say("never")).unwrap();
        assert!(moved.reschedule_after(Duration::MAX));
        scheduler.once(SECOND * 3600, say("an hour")).unwrap();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        clock.set(clock.now() + SECOND);
        assert_eq!(scheduler.run_due(), 1);
        assert_eq!(*log.lock().unwrap(), ["an hour"]);
        // There is no time left in which a period could pass.
        for missed in [Missed::Skip, Missed::Burst, Missed::Delay] {
            let every = scheduler.every(SECOND, missed, |_| panic!("never")).unwrap();
            assert_eq!((scheduler.run_due(), every.deadline()), (0, None));
        }
        assert!(never.is_pending() && moved.is_pending());
        assert_eq!(scheduler.next_wake(), None);
        // A timer that is due at once still is.
        scheduler.once(Duration::ZERO, say("at once")).unwrap();
        assert_eq!(scheduler.run_due(), 1);
        assert_eq!(scheduler.shutdown(Pending::Fire), 5);
    }
}

/// A clock that is always at the end of the numbers.
struct Far(Instant, ManualClock);

impl Clock for Far {
    fn now(&self) -> Instant {
        // The first time asked for is the origin of the scheduler.
        if self.1.elapsed().is_zero() { self.0 } else { self.0 + Duration::from_secs(1 << 36) }
    }
}

#[test]
fn duration_max_is_never_on_a_clock_that_passes_the_end_of_the_numbers() {
    let manual = ManualClock::new();
    let clock = Far(Instant::now(), manual.clone());
    let scheduler = Scheduler::builder().clock(clock).build_without_thread();
    let never = scheduler.once(Duration::MAX, || panic!("never")).unwrap();
    manual.advance(SECOND);
    assert_eq!(scheduler.run_due(), 0);
    assert!(never.is_pending());
}

#[test]
fn a_rhythm_can_begin_now_after_a_delay_or_at_a_time() {
    let it = bench();
    let begin = it.clock.now();
    let minute = SECOND * 60;
    let rhythms = [
        ("period", Periodic::new(minute)),
        ("now", Periodic::new(minute).first_now()),
        ("after", Periodic::new(minute).first_after(SECOND)),
        ("at", Periodic::new(minute).first_at(begin + SECOND * 2)),
        ("past", Periodic::new(minute).first_at(begin.checked_sub(SECOND).unwrap_or(begin))),
    ];
    for (name, rhythm) in rhythms {
        let log = Arc::clone(&it.log);
        let callback = move |tick: &sync_timer::Tick| {
            let at = tick.scheduled() - begin;
            log.lock().unwrap().push(format!("{name} {at:?}"));
        };
        it.scheduler.periodic(rhythm, callback).unwrap();
    }
    assert_eq!(it.advance(Duration::ZERO), ["now 0ns", "past 0ns"]);
    assert_eq!(it.advance(SECOND), ["after 1s"]);
    assert_eq!(it.advance(SECOND), ["at 2s"]);
    assert_eq!(it.advance(SECOND * 58), ["period 60s", "now 60s", "past 60s"]);
    assert_eq!(it.advance(SECOND * 2), ["after 61s", "at 62s"]);
    let never = Periodic::new(minute).first_after(Duration::MAX);
    let never = it.scheduler.periodic(never, |_| panic!("never")).unwrap();
    assert_eq!(never.deadline(), None);
    let zero = it.scheduler.periodic(Periodic::new(Duration::ZERO), |_| ()).unwrap_err();
    assert!(matches!(zero, EveryError::ZeroPeriod(_)));
}

#[test]
fn jitter_delays_ticks_and_does_not_move_the_grid() {
    let it = bench();
    let begin = it.clock.now();
    let (log, clock) = (Arc::clone(&it.log), it.clock.clone());
    let jitter = Duration::from_millis(100);
    let lateness: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (late, mut number) = (Arc::clone(&lateness), 0);
    let rhythm = Periodic::new(SECOND).jitter(jitter);
    let handle = it
        .scheduler
        .periodic(rhythm, move |tick| {
            number += 1;
            assert_eq!((tick.scheduled() - begin, tick.missed()), (SECOND * number, 0));
            late.lock().unwrap().push(clock.now() - tick.scheduled());
            log.lock().unwrap().push("tick".to_owned());
        })
        .unwrap();
    for _ in 0..50 {
        it.clock.set(handle.deadline().unwrap() - Duration::from_nanos(1));
        assert_eq!(it.scheduler.run_due(), 0, "never early");
        it.clock.advance(Duration::from_nanos(1));
        assert_eq!(it.scheduler.run_due(), 1);
    }
    assert_eq!(it.said(), vec!["tick"; 50], "no tick failed");
    let lateness = lateness.lock().unwrap();
    assert!(lateness.iter().all(|&late| late <= jitter), "{lateness:?}");
    assert!(lateness.iter().any(|&late| late != lateness[0]), "{lateness:?}");
}
