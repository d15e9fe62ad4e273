//! Timers: `timer`, `scheduled-thread-pool`, `hierarchical_hash_wheel_timer`, tokio; each with a
//! callback, on a thread of its own.
//!
//! * `insert`, `cancel`: far deadlines at random; `insert` by four threads with a million others
//!   waiting;
//! * `fire`: a hundred thousand deadlines within 5 ms: from the first to the last callback, or from
//!   the last insert where that took longer;
//! * `lateness`: one deadline a millisecond; how late the callbacks are, and how early (a timer
//!   should never be);
//! * `memory`: bytes of the process a timer while they wait, after all were cancelled, and how many
//!   closures are then still held;
//! * `wheel-*`: the data structures alone, beside `BinaryHeap` (that is `std`; it cannot cancel).
//!
//! tokio's timers are tasks that sleep and then call: that is how one has a callback there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hierarchical_hash_wheel_timer::thread_timer::{TimerRef, TimerWithThread};
use hierarchical_hash_wheel_timer::wheels::TimerEntryWithDelay;
use hierarchical_hash_wheel_timer::wheels::cancellable::{
    CancellableTimerEntry, QuadWheelWithOverflow,
};
use hierarchical_hash_wheel_timer::{
    ClosureTimer, OneShotClosureState, PeriodicClosureState, Timer as _,
};
use sync_timer::Scheduler;
use sync_timer::wheel::{Key, TimerWheel};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, Metric, OURS, Outcome, Workload};

/// Something that calls a function later.
pub trait Peer: Sync + Sized + 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// The handle that cancels a timer.
    type Handle;

    /// Starts its thread.
    fn start() -> Self;
    /// Calls `f` after a while.
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Self::Handle;
    /// Cancels a timer.
    fn cancel(&self, handle: Self::Handle);
    /// Lets a timer go on without its handle.
    fn forget(handle: Self::Handle);
}

impl Peer for Scheduler {
    const PEER: &'static str = OURS;
    type Handle = sync_timer::TimerHandle;

    fn start() -> Self {
        Self::new()
    }

    #[inline]
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Self::Handle {
        self.once(delay, f).expect("it is not shut down")
    }

    #[inline]
    fn cancel(&self, handle: Self::Handle) {
        let _ = handle.cancel();
    }

    #[inline]
    fn forget(_: Self::Handle) {}
}

impl Peer for timer::Timer {
    const PEER: &'static str = "timer";
    type Handle = timer::Guard;

    fn start() -> Self {
        Self::new()
    }

    #[inline]
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Self::Handle {
        let mut f = Some(f);
        let delay =
            chrono::Duration::from_std(delay).expect("benchmarks do not wait for centuries");
        self.schedule_with_delay(delay, move || {
            if let Some(f) = f.take() {
                f();
            }
        })
    }

    #[inline]
    fn cancel(&self, handle: Self::Handle) {
        drop(handle);
    }

    #[inline]
    fn forget(handle: Self::Handle) {
        handle.ignore();
    }
}

impl Peer for scheduled_thread_pool::ScheduledThreadPool {
    const PEER: &'static str = "scheduled-pool";
    type Handle = scheduled_thread_pool::JobHandle;

    fn start() -> Self {
        // Timers that are pending at the end are not waited for.
        let end = scheduled_thread_pool::OnPoolDropBehavior::DiscardPendingScheduled;
        Self::builder().num_threads(1).on_drop_behavior(end).build()
    }

    #[inline]
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Self::Handle {
        self.execute_after(delay, f)
    }

    #[inline]
    fn cancel(&self, handle: Self::Handle) {
        handle.cancel();
    }

    #[inline]
    fn forget(_: Self::Handle) {}
}

type HashWheelThread = TimerWithThread<u64, OneShotClosureState<u64>, PeriodicClosureState<u64>>;
type HashWheelRef = TimerRef<u64, OneShotClosureState<u64>, PeriodicClosureState<u64>>;

/// `hierarchical_hash_wheel_timer`, whose timers are named by the caller.
#[allow(missing_debug_implementations, reason = "its own types have none")]
pub struct HashWheel {
    thread: Option<HashWheelThread>,
    reference: HashWheelRef,
    next: AtomicU64,
}

impl Peer for HashWheel {
    const PEER: &'static str = "hash-wheel";
    type Handle = u64;

    fn start() -> Self {
        let thread = HashWheelThread::new().expect("there is a thread to be had");
        Self { reference: thread.timer_ref(), thread: Some(thread), next: AtomicU64::new(0) }
    }

    #[inline]
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Self::Handle {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        // A clone for each call, because scheduling wants it mutable.
        self.reference.clone().schedule_action_once(id, delay, move |_| f());
        id
    }

    #[inline]
    fn cancel(&self, handle: Self::Handle) {
        self.reference.clone().cancel(&handle);
    }

    #[inline]
    fn forget(_: Self::Handle) {}
}

impl Drop for HashWheel {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.shutdown();
        }
    }
}

/// tokio, with one worker.
#[derive(Debug)]
pub struct Tokio(Option<tokio::runtime::Runtime>);

impl Peer for Tokio {
    const PEER: &'static str = "tokio";
    type Handle = tokio::task::JoinHandle<()>;

    fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
        Self(Some(runtime.expect("there is a thread to be had")))
    }

    #[inline]
    fn after<F: FnOnce() + Send + 'static>(&self, delay: Duration, f: F) -> Self::Handle {
        let deadline = tokio::time::Instant::now() + delay;
        self.0.as_ref().expect("it is taken at the end only").spawn(async move {
            tokio::time::sleep_until(deadline).await;
            f();
        })
    }

    #[inline]
    fn cancel(&self, handle: Self::Handle) {
        handle.abort();
    }

    #[inline]
    fn forget(_: Self::Handle) {}
}

impl Drop for Tokio {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between one hour and two.
    #[inline]
    fn far(&mut self) -> Duration {
        Duration::from_nanos(3_600_000_000_000 + self.next() % 3_600_000_000_000)
    }
}

fn ops(length: Length) -> Result<u64, String> {
    match length {
        Length::Ops(n) => Ok(n),
        Length::Time(_) => Err("this is measured in operations".into()),
    }
}

/// The counter of callbacks; its references are the number of closures.
type Counter = Arc<AtomicU64>;

fn counting(counter: &Counter) -> impl FnOnce() + Send + 'static {
    let counter = Arc::clone(counter);
    move || _ = counter.fetch_add(1, Ordering::Relaxed)
}

/// Waits until `n` callbacks have run.
fn wait_for(counter: &Counter, calls: u64) -> Result<(), String> {
    let begun = Instant::now();
    while counter.load(Ordering::Relaxed) < calls {
        if begun.elapsed() > Duration::from_secs(30) {
            return expect(calls, counter.load(Ordering::Relaxed));
        }
        thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}

fn insert<P: Peer>() -> Contestant {
    shapes::custom(P::PEER, || {
        |length: Length| {
            let n = ops(length)?;
            let (peer, counter, mut random) = (P::start(), Counter::default(), Random(1));
            let mut handles = Vec::with_capacity(n as usize);
            let start = Instant::now();
            for _ in 0..n {
                handles.push(peer.after(random.far(), counting(&counter)));
            }
            let elapsed = start.elapsed();
            expect(0, counter.load(Ordering::Relaxed))?;
            handles.into_iter().for_each(|handle| peer.cancel(handle));
            Ok(Outcome::timed(n, elapsed))
        }
    })
}

fn cancel<P: Peer>() -> Contestant {
    shapes::custom(P::PEER, || {
        |length: Length| {
            let n = ops(length)?;
            let (peer, counter, mut random) = (P::start(), Counter::default(), Random(2));
            let handles: Vec<_> =
                (0..n).map(|_| peer.after(random.far(), counting(&counter))).collect();
            let start = Instant::now();
            handles.into_iter().for_each(|handle| peer.cancel(handle));
            let elapsed = start.elapsed();
            expect(0, counter.load(Ordering::Relaxed))?;
            Ok(Outcome::timed(n, elapsed))
        }
    })
}

/// Inserts by four threads, with timers pending already.
fn insert_team<P: Peer>(threads: usize, pending: u64) -> Contestant {
    shapes::custom(P::PEER, move || {
        let (peer, mut random) = (P::start(), Random(3));
        for _ in 0..pending {
            P::forget(peer.after(random.far(), || ()));
        }
        move |length: Length| {
            let run = run_team(threads, length, |member| {
                let mut random = Random(member.index as u64);
                let mut done = 0;
                while member.goes_on(done) {
                    P::forget(peer.after(random.far(), || ()));
                    done += 1;
                }
                done
            });
            Ok(Outcome::timed(run.ops(), run.elapsed))
        }
    })
}

fn fire<P: Peer>() -> Contestant {
    shapes::custom(P::PEER, || {
        |length: Length| {
            // Never fewer: a handful would measure how soon the system runs a thread.
            let n = ops(length)?.max(100_000);
            let (peer, counter, mut random) = (P::start(), Counter::default(), Random(4));
            let last = Arc::new(AtomicU64::new(0));
            let begun = Instant::now();
            // Time enough to insert them all, for most.
            let first = begun + Duration::from_millis(5) + Duration::from_nanos(2_000 * n);
            for _ in 0..n {
                let (counter, last) = (Arc::clone(&counter), Arc::clone(&last));
                let delay = first.saturating_duration_since(Instant::now())
                    + Duration::from_nanos(random.next() % 5_000_000);
                P::forget(peer.after(delay, move || {
                    if counter.fetch_add(1, Ordering::Relaxed) == n - 1 {
                        last.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    }
                }));
            }
            let start = first.max(Instant::now());
            wait_for(&counter, n)?;
            while last.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            let end = begun + Duration::from_nanos(last.load(Ordering::Relaxed));
            Ok(Outcome::timed(n, end.saturating_duration_since(start)))
        }
    })
}

fn lateness<P: Peer>() -> Contestant {
    shapes::custom(P::PEER, || {
        |length: Length| {
            let n = ops(length)?;
            let (peer, counter, mut random) = (P::start(), Counter::default(), Random(5));
            let late = Arc::new(Mutex::new(Vec::with_capacity(n as usize)));
            let start = Instant::now();
            for k in 0..n {
                let (late, counter) = (Arc::clone(&late), Arc::clone(&counter));
                let deadline = start
                    + Duration::from_millis(5 + k)
                    + Duration::from_nanos(random.next() % 1_000_000);
                P::forget(peer.after(
                    deadline.saturating_duration_since(Instant::now()),
                    move || {
                        let now = Instant::now();
                        let us = |d: Duration| d.as_secs_f64() * 1e6;
                        let lateness = us(now.saturating_duration_since(deadline))
                            - us(deadline.saturating_duration_since(now));
                        late.lock().expect("no thread panics").push(lateness);
                        counter.fetch_add(1, Ordering::Release);
                    },
                ));
            }
            wait_for(&counter, n)?;
            let mut late = std::mem::take(&mut *late.lock().expect("no thread panics"));
            expect(n, late.len() as u64)?;
            late.sort_by(f64::total_cmp);
            let at = |quantile: f64| {
                late[((late.len() - 1) as f64 * quantile).round() as usize].max(0.0)
            };
            let metric = |suffix, value| Metric { suffix, unit: "us", value };
            let metrics = vec![
                metric("p50", at(0.5)),
                metric("p99", at(0.99)),
                metric("max", at(1.0)),
                metric("early", (-late[0]).max(0.0)),
            ];
            Ok(Outcome { ops: n, elapsed: start.elapsed(), metrics })
        }
    })
}

/// Bytes of the process that are in memory, after the allocator has given back what it can.
fn resident() -> f64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number and touches no memory of ours.
    unsafe {
        libc::malloc_trim(0);
    }
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages =
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(f64::NAN);
    pages * 4096.0
}

fn memory<P: Peer>(n: u64) -> Contestant {
    shapes::custom(P::PEER, move || {
        move |_: Length| {
            let (peer, counter, mut random) = (P::start(), Counter::default(), Random(6));
            let mut handles = Vec::with_capacity(n as usize);
            let start = Instant::now();
            let before = resident();
            for _ in 0..n {
                handles.push(peer.after(random.far(), counting(&counter)));
            }
            // Some hand their work over to a thread.
            let mut pending = resident();
            loop {
                thread::sleep(Duration::from_millis(20));
                let now = resident();
                if now <= pending {
                    break;
                }
                pending = now;
            }
            let handles_themselves = (handles.len() * size_of::<P::Handle>()) as f64;
            handles.into_iter().for_each(|handle| peer.cancel(handle));
            thread::sleep(Duration::from_millis(50));
            let held = Arc::strong_count(&counter) as f64 - 1.0;
            let after = resident();
            expect(0, counter.load(Ordering::Relaxed))?;
            let each = |bytes: f64| bytes / n as f64;
            let metrics = vec![
                Metric {
                    suffix: "pending",
                    unit: "bytes/timer",
                    value: each(pending - before - handles_themselves),
                },
                Metric {
                    suffix: "cancelled",
                    unit: "bytes/timer",
                    value: each(after - before).max(0.0),
                },
                Metric { suffix: "held", unit: "closures/timer", value: each(held) },
            ];
            Ok(Outcome { ops: n, elapsed: start.elapsed(), metrics })
        }
    })
}

/// A data structure that orders deadlines, with two words for each.
trait Queue: Default + 'static {
    const PEER: &'static str;
    type Handle: Copy;

    fn push(&mut self, deadline: u64, value: (u64, u64)) -> Self::Handle;
    fn cancel(&mut self, _: Self::Handle) {}
    fn pop(&mut self, now: u64) -> Option<(u64, u64)>;
}

impl Queue for TimerWheel<(u64, u64)> {
    const PEER: &'static str = OURS;
    type Handle = Key;

    #[inline]
    fn push(&mut self, deadline: u64, value: (u64, u64)) -> Key {
        self.insert(deadline, value)
    }

    #[inline]
    fn cancel(&mut self, handle: Key) {
        black_box(self.remove(handle));
    }

    #[inline]
    fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        TimerWheel::pop(self, now).map(|(_, value)| value)
    }
}

impl Queue for BinaryHeap<Reverse<(u64, (u64, u64))>> {
    const PEER: &'static str = "std";
    type Handle = ();

    #[inline]
    fn push(&mut self, deadline: u64, value: (u64, u64)) {
        BinaryHeap::push(self, Reverse((deadline, value)));
    }

    #[inline]
    fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        self.peek().filter(|Reverse((deadline, _))| *deadline <= now)?;
        BinaryHeap::pop(self).map(|Reverse((_, value))| value)
    }
}

/// An entry of the hash wheel.
#[derive(Debug)]
struct Entry {
    id: u64,
    delay: Duration,
    value: u64,
}

impl CancellableTimerEntry for Entry {
    type Id = u64;

    fn id(&self) -> &u64 {
        &self.id
    }
}

impl TimerEntryWithDelay for Entry {
    fn delay(&self) -> Duration {
        self.delay
    }
}

/// The hash wheel without its thread: it counts milliseconds and must be ticked through each.
#[derive(Default)]
struct HashWheelAlone {
    wheel: QuadWheelWithOverflow<Entry>,
    ticked: u64,
    due: Vec<(u64, u64)>,
}

impl Queue for HashWheelAlone {
    const PEER: &'static str = "hash-wheel";
    type Handle = u64;

    #[inline]
    fn push(&mut self, deadline: u64, value: (u64, u64)) -> u64 {
        let delay = Duration::from_nanos(deadline).max(Duration::from_millis(1));
        self.wheel
            .insert(Entry { id: value.0, delay, value: value.1 })
            .expect("it is in the future");
        value.0
    }

    #[inline]
    fn cancel(&mut self, handle: u64) {
        self.wheel.cancel(&handle).expect("it is there");
    }

    #[inline]
    fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        while self.due.is_empty() && self.ticked <= now / 1_000_000 {
            self.due.extend(self.wheel.tick().into_iter().map(|entry| (entry.id, entry.value)));
            self.ticked += 1;
        }
        self.due.pop()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Insert,
    Cancel,
    Fire,
}

/// A minute of deadlines at random, in one structure.
fn structure<Q: Queue>(part: Part) -> Contestant {
    const MINUTE: u64 = 60_000_000_000;
    shapes::custom(Q::PEER, move || {
        move |length: Length| {
            let n = ops(length)?;
            let (mut queue, mut random) = (Q::default(), Random(7));
            let deadlines: Vec<u64> = (0..n).map(|_| random.next() % MINUTE).collect();
            let mut handles = Vec::with_capacity(n as usize);
            let start = Instant::now();
            handles.extend(
                deadlines.iter().zip(0..).map(|(&deadline, id)| queue.push(deadline, (id, id))),
            );
            let inserted = start.elapsed();
            let start = Instant::now();
            let elapsed = match part {
                Part::Insert => inserted,
                Part::Cancel => {
                    handles.iter().for_each(|&handle| queue.cancel(handle));
                    start.elapsed()
                }
                Part::Fire => {
                    let (mut fired, mut sum) = (0, 0);
                    // In steps of a millisecond, as time passes.
                    for now in (0..=MINUTE + 1_000_000).step_by(1_000_000) {
                        while let Some((id, _)) = queue.pop(now) {
                            fired += 1;
                            sum += id;
                        }
                    }
                    expect(n, fired)?;
                    expect(n * n.saturating_sub(1) / 2, sum)?;
                    start.elapsed()
                }
            };
            if part == Part::Cancel {
                expect(0, u64::from(queue.pop(2 * MINUTE).is_some()))?;
            }
            Ok(Outcome::timed(n, elapsed))
        }
    })
}

macro_rules! contestants {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Scheduler>($($argument),*),
            $function::<timer::Timer>($($argument),*),
            $function::<scheduled_thread_pool::ScheduledThreadPool>($($argument),*),
            $function::<HashWheel>($($argument),*),
            $function::<Tokio>($($argument),*),
        ]
    };
}

/// The workloads of timers.
pub fn workloads() -> Vec<Workload> {
    const STEM: &str = "timer";
    let round = Duration::from_millis(120);
    type Heap = BinaryHeap<Reverse<(u64, (u64, u64))>>;
    type Wheel = TimerWheel<(u64, u64)>;
    let wheels = |part| {
        vec![structure::<Wheel>(part), structure::<Heap>(part), structure::<HashWheelAlone>(part)]
    };
    let wheels_that_cancel =
        vec![structure::<Wheel>(Part::Cancel), structure::<HashWheelAlone>(Part::Cancel)];
    vec![
        Workload::single(STEM, "insert", contestants!(insert())).rounds_of(round).with_rounds(8),
        Workload::single(STEM, "cancel", contestants!(cancel()))
            .rounds_of(round / 4)
            .with_rounds(8),
        Workload::single(STEM, "fire", contestants!(fire())).rounds_of(round).with_rounds(8),
        Workload::single(STEM, "lateness", contestants!(lateness()))
            .rounds_of(Duration::from_millis(300))
            .with_rounds(8)
            .reporting(&["p50", "p99", "max", "early"]),
        Workload::single(STEM, "memory", contestants!(memory(200_000)))
            .with_rounds(6)
            .reporting(&["pending", "cancelled", "held"]),
        Workload::team(STEM, "insert-pending", 4, contestants!(insert_team(4, 1_000_000)))
            .with_rounds(8)
            .in_grid(true),
        Workload::team(STEM, "insert-pending", 2, contestants!(insert_team(2, 1_000_000)))
            .with_rounds(8)
            .in_grid(true),
        Workload::team(STEM, "insert-pending", 1, contestants!(insert_team(1, 1_000_000)))
            .with_rounds(8)
            .in_grid(true),
        Workload::single(STEM, "wheel-insert", wheels(Part::Insert))
            .rounds_of(round / 2)
            .with_rounds(8),
        Workload::single(STEM, "wheel-cancel", wheels_that_cancel)
            .rounds_of(round / 4)
            .with_rounds(8),
        Workload::single(STEM, "wheel-fire", wheels(Part::Fire)).rounds_of(round).with_rounds(8),
    ]
}
