//! The memory that queues keep, counted by the allocator: an emptied queue gives its memory back,
//! and a fast path takes none.

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::channel::{after, bounded, never, unbounded};
use sync_queue::{
    LifoQueue, PriorityQueue, Queue, SimpleQueue, ThreadPool, Until, as_completed, wait, wait_async,
};

#[path = "../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

#[path = "../../sync-core/tests/support/counting.rs"]
mod counting;

use counting::counts;

const ITEMS: usize = 20_000;
/// Three blocks of 63 slots of two words each, and an allowance for the test itself.
const FEW: isize = 3 * 64 * 16 + 4096;

/// The memory that the threads of the test harness may take meanwhile. A wait used to leave 2,300
/// bytes, which is more than this after 15 calls.
const NOISE: isize = 32 * 1024;

/// Tests side by side would count each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> impl Drop {
    struct Alone {
        _lock: MutexGuard<'static, ()>,
        _watchdog: watchdog::Watchdog,
    }
    impl Drop for Alone {
        fn drop(&mut self) {}
    }
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Alone { _lock, _watchdog: watchdog::watch() }
}

/// How many bytes more there are after `rounds` of `f` than after the first few.
fn growth(rounds: usize, mut f: impl FnMut()) -> isize {
    (0..100).for_each(|_| f());
    let before = counts().0;
    (0..rounds).for_each(|_| f());
    counts().0 - before
}

#[test]
fn a_wait_that_gives_up_leaves_nothing_behind() {
    let _alone = alone();
    /// With no time, and with so little that the wait begins: that one sleeps, so fewer of them. A
    /// round has six calls: a million in optimized builds. The smallest block that the allocator
    /// has is 16 bytes: one that each of 4,000 calls leaves is twice the noise.
    const ROUNDS: usize = if cfg!(debug_assertions) { 4_000 } else { 170_000 };
    const TIMES: [(usize, Duration); 2] =
        [(ROUNDS, Duration::ZERO), (1_000, Duration::from_nanos(1))];
    let pool = ThreadPool::new(1);
    let (release, gate) = mpsc::channel::<()>();
    let job = pool.submit(move || gate.recv().is_ok()).unwrap();
    let mut handles = Some(vec![job, pool.submit(|| true).unwrap()]);
    for (rounds, timeout) in TIMES {
        for until in [Until::First, Until::FirstError, Until::All] {
            let left = growth(rounds, || {
                let waited = wait(handles.take().unwrap(), until, Some(timeout));
                assert!(waited.done.is_empty());
                handles = Some(waited.not_done);
            });
            assert!(left <= NOISE, "wait({until:?}, {timeout:?}): {left} bytes left");
        }
        let left = growth(rounds, || {
            let end = Instant::now() + timeout;
            let unfinished = as_completed(handles.take().unwrap()).next_deadline(end).unwrap_err();
            handles = Some(unfinished.handles);
        });
        assert!(left <= NOISE, "next_deadline, {timeout:?}: {left} bytes left");
        let left = growth(rounds, || {
            let mut kept = handles.take().unwrap();
            let last = kept.pop().unwrap().result_timeout(timeout).unwrap_err();
            assert!(!last.wait_timeout(timeout));
            kept.push(last);
            handles = Some(kept);
        });
        assert!(left <= NOISE, "result_timeout, wait_timeout, {timeout:?}: {left} bytes left");
    }
    drop(release);
    assert_eq!(wait(handles.unwrap(), Until::All, None).done.len(), 2);
}

#[test]
fn an_as_completed_that_is_dropped_early_leaves_nothing_with_its_jobs() {
    let _alone = alone();
    const JOBS: isize = 4_000;
    /// The room that a list of listeners may keep.
    const EMPTY_LIST: isize = 4 * 24;
    // The memory of each job in the backlog once its handle is gone: alone, and after an
    // `as_completed`.
    let [plain, listened_to] = [false, true].map(|listens| {
        let pool = ThreadPool::new(1);
        let (release, gate) = mpsc::channel::<()>();
        pool.execute(move || assert!(gate.recv().is_err())).unwrap();
        let left = growth(JOBS as usize, || {
            let job = pool.submit(|| ()).unwrap();
            if listens {
                drop(as_completed([job]));
            }
        });
        drop(release);
        left
    });
    let more = listened_to - plain;
    assert!(more <= JOBS * EMPTY_LIST + NOISE, "{} bytes a job", more / JOBS);
}

#[test]
fn a_pool_keeps_nothing_of_its_jobs() {
    let _alone = alone();
    let pool = ThreadPool::new(1);
    let left = growth(4_000, || {
        let handle = pool.submit(|| vec![0_u8; 100]).unwrap();
        handle.on_done(|_| ());
        pool.execute(|| ()).unwrap();
        assert_eq!(handle.result().unwrap().len(), 100);
    });
    assert!(left <= NOISE, "{left} bytes left");
}

#[test]
fn an_emptied_lifo_or_priority_queue_gives_its_memory_back() {
    let _alone = alone();
    let (lifo, priority) = (LifoQueue::unbounded(), PriorityQueue::unbounded());
    let empty = counts().0;
    for round in 0..3 {
        for n in 0..ITEMS {
            lifo.put(n).unwrap();
            priority.put(n).unwrap();
        }
        assert!(counts().0 - empty >= (ITEMS * 3 * size_of::<usize>()) as isize);
        assert!(lifo.try_iter().eq((0..ITEMS).rev()));
        assert!(priority.try_iter().eq(0..ITEMS));
        let left = counts().0 - empty;
        assert!(left <= FEW, "round {round}: {left} bytes left");
    }
    // In and out around any length: shrinking is no work at each step.
    for length in [0, 63, 64, 65, 200] {
        (0..length).for_each(|n| lifo.put(n).unwrap());
        let calls = counts().1;
        for n in 0..10_000 {
            lifo.put(n).unwrap();
            lifo.get().unwrap();
        }
        let calls = counts().1 - calls;
        assert!(calls <= 2, "{calls} allocations around {length} items");
        drop(lifo.drain());
    }
}

#[test]
fn an_emptied_queue_gives_its_memory_back() {
    let _alone = alone();

    let queue = Queue::unbounded();
    let empty = counts().0;
    for round in 0..3 {
        for n in 0..ITEMS {
            queue.put(n).unwrap();
        }
        let full = counts().0 - empty;
        assert!(
            full >= (ITEMS * size_of::<usize>()) as isize,
            "round {round}: {full} bytes are too few to hold the items"
        );
        assert!(queue.try_iter().eq(0..ITEMS));
        let left = counts().0 - empty;
        assert!(left <= FEW, "round {round}: {left} bytes left");
    }

    // Two threads at a time: either of them may be the last to read a block.
    let queue = SimpleQueue::new();
    let empty = counts().0;
    for _ in 0..3 {
        (0..ITEMS).for_each(|n| queue.put(n));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| queue.try_iter().count());
            }
        });
        let left = counts().0 - empty;
        assert!(left <= FEW, "{left} bytes left");
    }

    // One in, one out: the blocks go round, and a ring never allocates.
    for queue in [Queue::unbounded(), Queue::bounded(64)] {
        for n in 0..1_000 {
            queue.put(n).unwrap();
            assert_eq!(queue.get(), Ok(n));
        }
        let calls = counts().1;
        for n in 0..ITEMS {
            queue.put(n).unwrap();
            assert_eq!(queue.get(), Ok(n));
        }
        assert_eq!(counts().1 - calls, 0, "{queue:?} allocates again and again");
    }
}

/// Polls a wait until it is `Pending`, and returns the number of allocations of that and the drop.
fn cost(future: impl Future) -> usize {
    let mut future = pin!(Some(future));
    let before = counts().1;
    let mut context = Context::from_waker(Waker::noop());
    let polled = future.as_mut().as_pin_mut().map(|future| future.poll(&mut context).is_pending());
    assert_eq!(polled, Some(true), "it has nothing to wait for");
    future.set(None);
    counts().1 - before
}

/// The second wait of each kind: the first one makes the list that it stands in.
#[test]
fn a_wait_of_a_task_allocates_nothing() {
    let _alone = alone();
    let mut costs = Vec::new();
    macro_rules! second {
        ($($future:expr),* $(,)?) => {$(
            cost($future);
            costs.push((stringify!($future), cost($future)));
        )*};
    }
    macro_rules! queue {
        ($Queue:ident) => {
            let queue = $Queue::bounded(1);
            second!(queue.get_async());
            queue.put(1).unwrap();
            second!(queue.put_async(2), queue.join_async());
        };
    }
    queue!(Queue);
    queue!(LifoQueue);
    queue!(PriorityQueue);
    let simple = SimpleQueue::<u32>::new();
    second!(simple.get_async());
    let (zero_sends, zero_receives) = bounded::<u32>(0);
    second!(zero_sends.send_async(1), zero_receives.recv_async());
    let (sends, receives) = bounded(1);
    second!(receives.recv_async());
    sends.send(1).unwrap();
    second!(sends.send_async(2));
    let (_sends, receives) = unbounded::<u32>();
    second!(receives.recv_async());
    let never = never::<u32>();
    second!(never.recv_async());
    let pool = ThreadPool::new(1);
    let (release, blocks) = mpsc::channel::<()>();
    let block = || pool.submit(|| ());
    let blocked = pool.submit(move || blocks.recv().is_ok()).unwrap();
    let jobs = [block().unwrap(), block().unwrap()];
    let mut completed = as_completed(jobs);
    second!(completed.next_async());
    second!(block().unwrap().into_future());
    for (wait, cost) in costs {
        println!("{wait}: {cost} allocations");
        assert_eq!(cost, 0, "{wait}");
    }
    // The documentation names these two.
    let clock = after(Duration::from_secs(3600));
    assert!(cost(clock.recv_async()) > 0);
    assert!(cost(wait_async([block().unwrap()], Until::All)) > 0);
    drop(release);
    blocked.result().unwrap();
}
