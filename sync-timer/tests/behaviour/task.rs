//! Timers for tasks: by a manual clock and a waker that counts, and on tokio.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use sync_core::task::{block_on, wait_any};
use sync_core::{Event, Semaphore};
use sync_queue::{Queue, ThreadPool};
use sync_timer::{
    Clock, ManualClock, Missed, Pending, Periodic, Scheduler, ShutDown, TimeoutError,
};

use crate::watchdog;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

struct Bench {
    clock: ManualClock,
    scheduler: Scheduler,
    wakes: Arc<Wakes>,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    Bench { clock, scheduler, wakes: Arc::default() }
}

impl Bench {
    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.wakes))))
    }

    /// Turns the clock and returns the number of wakes.
    fn wakes_in(&self, time: Duration) -> u32 {
        let before = self.wakes.0.load(SeqCst);
        self.clock.advance(time);
        self.scheduler.run_due();
        self.wakes.0.load(SeqCst) - before
    }
}

#[test]
fn a_sleep_wakes_its_task_once_and_is_never_early() {
    let it = bench();
    let mut sleep = it.scheduler.sleep(SECOND);
    assert_eq!(sleep.deadline(), Some(it.clock.now() + SECOND));
    assert!(it.poll(&mut sleep).is_pending() && it.poll(&mut sleep).is_pending());
    assert_eq!(it.wakes_in(SECOND - Duration::from_nanos(1)), 0);
    assert!(it.poll(&mut sleep).is_pending() && !sleep.is_elapsed());
    assert_eq!(it.wakes_in(Duration::from_nanos(1)), 1, "the waker of the last poll");
    assert_eq!(it.poll(&mut sleep), Poll::Ready(Ok(())));
    assert!(sleep.is_elapsed() && it.scheduler.is_empty());
}

#[test]
fn a_sleep_counts_from_the_call_and_may_be_past() {
    let it = bench();
    let (mut sleep, mut past) =
        (it.scheduler.sleep(SECOND), it.scheduler.sleep_until(it.clock.now()));
    it.wakes_in(SECOND);
    assert_eq!(it.poll(&mut sleep), Poll::Ready(Ok(())));
    assert_eq!(it.poll(&mut past), Poll::Ready(Ok(())));
    let mut never = it.scheduler.sleep(Duration::MAX);
    it.wakes_in(SECOND * 1_000_000);
    assert!(it.poll(&mut never).is_pending() && never.deadline().is_none());
}

#[test]
fn a_sleep_that_is_dropped_leaves_nothing_and_wakes_no_task() {
    let it = bench();
    let mut sleep = it.scheduler.sleep(SECOND);
    assert!(it.poll(&mut sleep).is_pending());
    drop(sleep);
    assert!(it.scheduler.is_empty());
    assert_eq!((it.wakes_in(SECOND * 2), Arc::strong_count(&it.wakes)), (0, 1));
}

#[test]
fn a_shutdown_ends_the_wait() {
    let it = bench();
    let mut sleep = it.scheduler.sleep(SECOND);
    let mut ticks = it.scheduler.ticks(Periodic::new(SECOND));
    assert!(it.poll(&mut sleep).is_pending());
    it.scheduler.shutdown(Pending::Discard);
    assert_eq!(it.wakes.0.load(SeqCst), 1);
    assert_eq!(it.poll(&mut sleep), Poll::Ready(Err(ShutDown(()))));
    assert_eq!(it.poll(&mut it.scheduler.sleep(SECOND)), Poll::Ready(Err(ShutDown(()))));
    assert_eq!(it.poll(&mut pin!(ticks.tick())), Poll::Ready(Err(ShutDown(()))));
    let mut limited = pin!(it.scheduler.timeout(SECOND, std::future::pending::<()>()));
    assert_eq!(it.poll(&mut limited), Poll::Ready(Err(TimeoutError::ShutDown)));
}

/// The times of the ticks that are ready at this moment, in seconds.
fn ready(it: &Bench, ticks: &mut sync_timer::Ticks, start: Instant) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    loop {
        // A future that is dropped loses no tick.
        it.scheduler.run_due();
        let tick = it.poll(&mut pin!(ticks.tick()));
        match tick {
            Poll::Ready(Ok(at)) => all.push(((at - start).as_secs(), ticks.missed())),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => return all,
        }
    }
}

#[test]
fn ticks_follow_their_policy() {
    for (policy, late) in [
        (Missed::Skip, vec![(2, 0)]),
        (Missed::Burst, vec![(2, 0), (3, 0), (4, 0), (5, 0)]),
        (Missed::Delay, vec![(2, 0)]),
    ] {
        let it = bench();
        let start = it.clock.now();
        let mut ticks = it.scheduler.ticks(Periodic::new(SECOND).missed(policy));
        assert!(ready(&it, &mut ticks, start).is_empty());
        it.wakes_in(SECOND);
        assert_eq!(ready(&it, &mut ticks, start), [(1, 0)]);
        it.wakes_in(SECOND * 4);
        assert_eq!(ready(&it, &mut ticks, start), late, "{policy:?}");
        it.wakes_in(SECOND);
        let next = if policy == Missed::Skip { (6, 3) } else { (6, 0) };
        assert_eq!(ready(&it, &mut ticks, start), [next], "{policy:?}");
    }
}

#[test]
fn a_first_tick_now_is_ready_at_once() {
    let it = bench();
    let start = it.clock.now();
    let mut ticks = it.scheduler.ticks(Periodic::new(SECOND).first_now());
    assert_eq!(ready(&it, &mut ticks, start), [(0, 0)]);
}

#[test]
fn a_timeout_gives_the_result_or_the_time() {
    let it = bench();
    let mut slow = pin!(it.scheduler.timeout(SECOND, std::future::pending::<()>()));
    assert!(it.poll(&mut slow).is_pending());
    assert_eq!(it.wakes_in(SECOND), 1);
    assert_eq!(it.poll(&mut slow), Poll::Ready(Err(TimeoutError::Elapsed)));
    let mut quick = pin!(it.scheduler.timeout(Duration::ZERO, std::future::ready(7)));
    it.wakes_in(SECOND);
    assert_eq!(it.poll(&mut quick), Poll::Ready(Ok(7)), "a result that is there wins");
    assert!(it.scheduler.is_empty());
}

#[test]
fn on_tokio() {
    let _watchdog = watchdog::watch();
    let scheduler = Arc::new(Scheduler::new());
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for runtime in [multi, current] {
        let scheduler = Arc::clone(&scheduler);
        runtime.block_on(async move {
            let mut tasks = Vec::new();
            for n in 0..20 {
                let scheduler = Arc::clone(&scheduler);
                tasks.push(tokio::spawn(async move {
                    let started = Instant::now();
                    let delay = Duration::from_millis(n % 7);
                    scheduler.sleep(delay).await.unwrap();
                    assert!(started.elapsed() >= delay);
                    let slow = std::future::pending::<()>();
                    assert!(scheduler.timeout(delay, slow).await.is_err());
                    let mut ticks = scheduler.ticks(Periodic::new(Duration::from_millis(1)));
                    for _ in 0..3 {
                        ticks.tick().await.unwrap();
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
    assert_eq!(scheduler.shutdown(Pending::Discard), 0, "every timer went off or was cancelled");
}

#[cfg(feature = "futures-core")]
#[test]
fn ticks_are_a_stream_until_the_shutdown() {
    use futures_core::{FusedStream, Stream};

    let it = bench();
    let mut ticks = it.scheduler.ticks(Periodic::new(SECOND));
    let next = |ticks: &mut sync_timer::Ticks| {
        let waker = Waker::from(Arc::clone(&it.wakes));
        Pin::new(ticks).poll_next(&mut Context::from_waker(&waker))
    };
    assert!(next(&mut ticks).is_pending());
    for _ in 0..3 {
        assert_eq!(it.wakes_in(SECOND), 1);
        assert_eq!(next(&mut ticks), Poll::Ready(Some(it.clock.now())));
        assert!(next(&mut ticks).is_pending() && !ticks.is_terminated());
    }
    it.scheduler.shutdown(Pending::Discard);
    assert!(ticks.is_terminated());
    assert_eq!(next(&mut ticks), Poll::Ready(None));
}

/// Panics where the executor's code runs.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("a waker"));
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("the drop of a waker"));
    }
}

#[test]
fn a_waker_that_panics_harms_no_timer() {
    let it = bench();
    let mut other = it.scheduler.sleep(2 * SECOND);
    assert!(it.poll(&mut other).is_pending());
    let panics = || Waker::from(Arc::new(Panics));
    let poll = |sleep: &mut sync_timer::Sleep, waker: &Waker| {
        assert!(Pin::new(sleep).poll(&mut Context::from_waker(waker)).is_pending());
    };
    // It is called; it is dropped by a later poll, by a drop of the sleep, and by a shutdown.
    let mut called = it.scheduler.sleep(SECOND);
    let waker = std::mem::ManuallyDrop::new(panics());
    poll(&mut called, &waker);
    assert_eq!(it.wakes_in(SECOND), 0);
    assert_eq!(it.poll(&mut called), Poll::Ready(Ok(())));
    // The sleep has the last one of these wakers.
    let mut dropped = it.scheduler.sleep(SECOND);
    let last = panics();
    poll(&mut dropped, &last);
    std::mem::forget(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(last))));
    drop(dropped);
    assert_eq!(it.scheduler.len(), 1, "its timer is gone");
    let mut lost = it.scheduler.sleep(SECOND);
    poll(&mut lost, &waker);
    it.scheduler.shutdown(Pending::Discard);
    assert_eq!(it.poll(&mut lost), Poll::Ready(Err(ShutDown(()))));
    assert_eq!(it.poll(&mut other), Poll::Ready(Err(ShutDown(()))));
}

/// One task waits for an event, a permit, an item, a job, a thread and a moment at once.
#[test]
fn the_first_of_waits_of_every_kind() {
    let _watchdog = watchdog::watch();
    let (it, pool) = (bench(), ThreadPool::new(1));
    for first in 0..6 {
        let (event, seats, queue) = (Event::new(), Semaphore::new(0), Queue::unbounded());
        let gates = [Arc::new(Event::new()), Arc::new(Event::new())];
        let [ends_job, ends_thread] = gates.clone();
        let job = pool.submit(move || ends_job.wait()).unwrap();
        let thread = sync_core::thread::spawn(move || ends_thread.wait()).unwrap();
        let sleep = it.scheduler.sleep(SECOND);
        let mut waits = Box::pin(async {
            let event = pin!(event.wait_async());
            let seat = pin!(async { drop(seats.acquire_async().await) });
            let item = pin!(async { assert_eq!(queue.get_async().await, Ok(7)) });
            let job = pin!(async { job.await.unwrap() });
            let thread = pin!(async { *thread.join_async().await.unwrap() });
            let moment = pin!(async { sleep.await.unwrap() });
            wait_any(&mut [event, seat, item, job, thread, moment]).await.0
        });
        assert!(it.poll(&mut waits).is_pending());
        match first {
            0 => event.set(),
            1 => seats.add_permits(1),
            2 => queue.put(7).unwrap(),
            3 | 4 => gates[first - 3].set(),
            _ => assert_eq!(it.wakes_in(SECOND), 1),
        }
        assert_eq!(block_on(waits), first);
        gates.iter().for_each(|gate| gate.set());
    }
}
