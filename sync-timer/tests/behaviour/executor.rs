//! Callbacks on an `Executor`: pools, threads, and one that keeps its jobs.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sync_queue::ThreadPool;
use sync_timer::{Cancel, Clock, Executor, Failure, ManualClock, Missed, Pending, Scheduler};

use crate::watchdog;

const SECOND: Duration = Duration::from_secs(1);

/// Runs jobs on a thread each.
struct Threads;

impl Executor for Threads {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) {
        std::thread::spawn(job);
    }
}

#[test]
fn on_a_thread_pool_each_is_called_once_and_a_pool_that_is_shut_down_refuses() {
    let _watchdog = watchdog::watch();
    let pool =
        Arc::new(ThreadPool::builder().max_workers(2).name_prefix("callbacks").build().unwrap());
    let (failed, failures) = channel();
    let failed = Mutex::new(failed);
    let hook =
        move |failure: Failure<'_>| failed.lock().unwrap().send(failure.to_string()).unwrap();
    let scheduler =
        Scheduler::builder().executor(Arc::clone(&pool)).on_failure(hook).build().unwrap();
    let (sender, receiver) = channel();
    for n in 0..100u64 {
        let sender = sender.clone();
        let callback =
            move || sender.send((n, std::thread::current().name().map(str::to_owned))).unwrap();
        scheduler.once(Duration::from_micros(n * 20), callback).unwrap();
    }
    let mut seen: Vec<_> = receiver.iter().take(100).collect();
    assert!(
        seen.iter()
            .all(|(_, thread)| thread.as_ref().is_some_and(|name| name.starts_with("callbacks")))
    );
    seen.sort();
    assert!(seen.iter().map(|(n, _)| *n).eq(0..100));
    pool.shutdown(true, false).unwrap();
    let refused = scheduler.once(Duration::ZERO, || panic!("refused")).unwrap();
    assert_eq!(
        failures.recv().unwrap(),
        "the executor dropped a timer's callback without running it"
    );
    assert_eq!(refused.cancel_and_wait(), Cancel::Done);
    // A pool that belongs to the scheduler alone ends with it.
    let scheduler = Scheduler::builder().executor(ThreadPool::new(1)).build().unwrap();
    scheduler.once(Duration::ZERO, move || sender.send((0, None)).unwrap()).unwrap();
    assert_eq!(receiver.recv(), Ok((0, None)));
    drop(scheduler);
}

/// The report of a refusal runs on the dispatcher, outside callbacks.
#[test]
fn a_shutdown_in_the_report_of_a_refusal_does_not_wait_for_its_own_thread() {
    let _watchdog = watchdog::watch();
    for pending in [Pending::Discard, Pending::Fire] {
        let pool = Arc::new(ThreadPool::builder().max_workers(1).build().unwrap());
        pool.shutdown(true, false).unwrap();
        let (returned, returns) = channel();
        let returned = Mutex::new(returned);
        let scheduler: Arc<OnceLock<Scheduler>> = Arc::default();
        let weak = Arc::downgrade(&scheduler);
        let hook = move |_: Failure<'_>| {
            let scheduler = weak.upgrade().unwrap();
            scheduler.get().unwrap().shutdown(pending);
            returned.lock().unwrap().send(()).unwrap();
        };
        let built = Scheduler::builder().executor(pool).on_failure(hook).build().unwrap();
        assert!(scheduler.set(built).is_ok());
        scheduler.get().unwrap().once(Duration::ZERO, || panic!("refused")).unwrap();
        returns.recv().unwrap();
        assert!(scheduler.get().unwrap().is_shutdown());
        assert_eq!(scheduler.get().unwrap().shutdown(Pending::Discard), 0);
    }
}

/// Keeps jobs until they are asked for.
struct Kept(Mutex<Sender<Box<dyn FnOnce() + Send>>>);

type Jobs = Receiver<Box<dyn FnOnce() + Send>>;

fn kept() -> (ManualClock, Scheduler, Jobs, Arc<Mutex<Vec<String>>>) {
    let (sender, jobs) = channel();
    let clock = ManualClock::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&log);
    let scheduler = Scheduler::builder()
        .clock(clock.clone())
        .executor(Kept(Mutex::new(sender)))
        .on_failure(move |failure| hook.lock().unwrap().push(failure.to_string()))
        .build_without_thread();
    (clock, scheduler, jobs, log)
}

impl Executor for Kept {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) {
        self.0.lock().unwrap().send(job).unwrap();
    }
}

#[test]
fn on_an_executor_a_slow_callback_delays_no_other() {
    let _watchdog = watchdog::watch();
    let scheduler = Scheduler::builder().executor(Arc::new(Threads)).build().unwrap();
    let (go, wait) = channel();
    let (sender, receiver) = channel();
    let slow = sender.clone();
    scheduler
        .once(Duration::ZERO, move || {
            wait.recv().unwrap();
            slow.send("slow").unwrap();
        })
        .unwrap();
    scheduler.once(Duration::from_millis(1), move || sender.send("quick").unwrap()).unwrap();
    assert_eq!(receiver.recv(), Ok("quick"));
    go.send(()).unwrap();
    assert_eq!(receiver.recv(), Ok("slow"));
}

#[test]
fn a_timer_queued_at_the_executor_can_still_be_cancelled_and_moved() {
    let (clock, scheduler, jobs, log) = kept();
    let say = |what: &'static str| {
        let log = Arc::clone(&log);
        move || log.lock().unwrap().push(what.to_owned())
    };
    let said = || std::mem::take(&mut *log.lock().unwrap());
    let cancelled = scheduler.once(SECOND, say("cancelled")).unwrap();
    let moved = scheduler.once(SECOND, say("moved")).unwrap();
    scheduler.once(SECOND, say("run")).unwrap();
    clock.advance(SECOND);
    assert_eq!(scheduler.run_due(), 3);
    assert!(cancelled.is_pending() && !cancelled.is_running());
    assert_eq!(cancelled.cancel(), Cancel::Prevented);
    assert!(moved.reschedule_after(SECOND));
    jobs.try_iter().for_each(|job| job());
    assert_eq!(said(), ["run"]);
    clock.advance(SECOND);
    assert_eq!(scheduler.run_due(), 1);
    jobs.try_iter().for_each(|job| job());
    assert_eq!(said(), ["moved"]);
}

#[test]
fn a_refusal_ends_a_one_shot_timer_and_is_reported() {
    let (clock, scheduler, jobs, log) = kept();
    let handle = scheduler.once(SECOND, || panic!("not run")).unwrap();
    clock.advance(SECOND);
    scheduler.run_due();
    drop(jobs.recv().unwrap());
    assert_eq!(
        *log.lock().unwrap(),
        ["the executor dropped a timer's callback without running it"]
    );
    assert_eq!(handle.cancel(), Cancel::Done);
    assert!(scheduler.is_empty());
    // One whose `execute` panics.
    drop(jobs);
    scheduler.once(SECOND, || ()).unwrap();
    clock.advance(SECOND);
    scheduler.run_due();
    assert!(scheduler.is_empty());
    assert_eq!(log.lock().unwrap().len(), 3, "{log:?}");
}

/// Two of six ticks are refused; which ticks the callback sees, and when.
#[test]
fn a_refused_tick_is_a_missed_tick_and_the_timer_lives_on() {
    for (missed, expected) in [
        (Missed::Skip, vec!["at 1s: 1s +0", "at 4s: 4s +2", "at 5s: 5s +0", "at 6s: 6s +0"]),
        (
            Missed::Burst,
            vec![
                "at 1s: 1s +0",
                "at 4s: 2s +0",
                "at 4s: 3s +0",
                "at 4s: 4s +0",
                "at 5s: 5s +0",
                "at 6s: 6s +0",
            ],
        ),
        (Missed::Delay, vec!["at 1s: 1s +0", "at 4s: 4s +0", "at 5s: 5s +0", "at 6s: 6s +0"]),
    ] {
        let (clock, scheduler, jobs, log) = kept();
        let origin = clock.now();
        let (said, time) = (Arc::clone(&log), clock.clone());
        let handle = scheduler
            .every(SECOND, missed, move |tick| {
                let (at, due) = (time.elapsed(), tick.scheduled() - origin);
                said.lock().unwrap().push(format!("at {at:?}: {due:?} +{}", tick.missed()));
            })
            .unwrap();
        let mut refusals = 0;
        for second in 1..=6 {
            clock.advance(SECOND);
            // Ticks that are made up for come one after the other.
            while scheduler.run_due() > 0 {
                for job in jobs.try_iter() {
                    if second == 2 || second == 3 {
                        refusals += 1;
                        drop(job);
                    } else {
                        job();
                    }
                }
            }
            assert!(handle.is_pending(), "{missed:?}");
        }
        let mut said = std::mem::take(&mut *log.lock().unwrap());
        said.retain(|said| !said.contains("without running it"));
        assert_eq!(refusals, 2);
        assert_eq!(said, expected, "{missed:?}");
        assert_eq!(handle.cancel(), Cancel::Prevented);
        assert!(scheduler.is_empty());
    }
}

#[test]
fn a_tick_that_is_refused_after_a_cancel_or_a_shutdown_changes_nothing() {
    let (clock, scheduler, jobs, log) = kept();
    let cancelled = scheduler.every(SECOND, Missed::Burst, |_| panic!("not run")).unwrap();
    clock.advance(SECOND);
    scheduler.run_due();
    let job = jobs.recv().unwrap();
    assert_eq!(cancelled.cancel(), Cancel::Prevented);
    drop(job);
    assert!(scheduler.is_empty());
    let moved = scheduler.every(SECOND, Missed::Burst, |_| panic!("not run")).unwrap();
    clock.advance(SECOND);
    scheduler.run_due();
    let job = jobs.recv().unwrap();
    assert!(moved.reschedule_after(SECOND * 5));
    drop(job);
    assert_eq!(moved.deadline(), Some(clock.now() + SECOND * 5));
    clock.advance(SECOND * 5);
    scheduler.run_due();
    let job = jobs.recv().unwrap();
    assert_eq!(scheduler.shutdown(Pending::Discard), 1);
    drop(job);
    assert!(scheduler.is_empty());
    assert!(log.lock().unwrap().is_empty(), "no tick was refused: {log:?}");
}

#[test]
fn a_beat_on_a_pool_whose_backlog_is_full_for_a_while_goes_on() {
    let _watchdog = watchdog::watch();
    let pool = Arc::new(ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap());
    let (failed, failures) = channel();
    let failed = Mutex::new(failed);
    let scheduler = Scheduler::builder()
        .executor(Arc::clone(&pool))
        .on_failure(move |failure| _ = failed.lock().unwrap().send(format!("{failure:?}")))
        .build()
        .unwrap();
    let (begun, begins) = channel();
    let (go, wait) = channel::<()>();
    let _busy = pool
        .submit(move || {
            begun.send(()).unwrap();
            _ = wait.recv();
        })
        .unwrap();
    begins.recv().unwrap();
    let _waiting = pool.submit(|| ()).unwrap();
    let (sender, beats) = channel();
    let beat = Duration::from_millis(1);
    let handle = scheduler.every(beat, Missed::Skip, move |_| _ = sender.send(())).unwrap();
    for _ in 0..3 {
        assert_eq!(failures.recv().unwrap(), "Refused");
    }
    assert!(beats.try_recv().is_err());
    drop(go);
    for _ in 0..3 {
        beats.recv().unwrap();
    }
    drop(handle.cancel_on_drop());
}

#[test]
fn on_an_executor_a_periodic_timer_does_not_overlap_with_itself() {
    let (clock, scheduler, jobs, log) = kept();
    let said = Arc::clone(&log);
    scheduler
        .every(SECOND, Missed::Skip, move |tick| {
            said.lock().unwrap().push(tick.missed().to_string())
        })
        .unwrap();
    clock.advance(SECOND);
    assert_eq!(scheduler.run_due(), 1);
    clock.advance(SECOND * 3);
    assert_eq!(scheduler.run_due(), 0, "its first tick has not been run yet");
    jobs.try_iter().for_each(|job| job());
    clock.advance(SECOND);
    assert_eq!(scheduler.run_due(), 1);
    jobs.try_iter().for_each(|job| job());
    assert_eq!(*log.lock().unwrap(), ["0", "3"]);
}

/// A timer that was moved while it was queued is queued again at its new time. The executor may
/// still drop, or run, the job of the first queueing.
#[test]
fn a_job_of_an_earlier_queueing_neither_ends_nor_runs_a_timer() {
    let (clock, scheduler, jobs, log) = kept();
    let said = Arc::clone(&log);
    let timer = scheduler.once(SECOND, move || said.lock().unwrap().push("ran".into())).unwrap();
    let due = || {
        clock.advance(SECOND);
        assert_eq!(scheduler.run_due(), 1);
        jobs.try_recv().unwrap()
    };
    let first = due();
    assert!(timer.reschedule_after(SECOND));
    let second = due();
    assert!(timer.reschedule_after(SECOND));
    let third = due();
    drop(first);
    assert!(timer.is_pending(), "a stale refusal does not end it");
    second();
    assert!(timer.is_pending() && log.lock().unwrap().is_empty(), "a stale job runs nothing");
    third();
    assert_eq!(*log.lock().unwrap(), ["ran"]);
    assert!(!timer.is_pending() && scheduler.is_empty());
}
