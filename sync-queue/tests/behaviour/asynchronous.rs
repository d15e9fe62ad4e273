//! Tasks that wait for queues and jobs, on a `block_on` and polled by hand.

use std::cmp::Ordering as Order;
use std::collections::VecDeque;
use std::future::IntoFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use sync_core::task::{block_on, block_on_timeout};
use sync_queue::{
    JobError, LifoQueue, PriorityQueue, Queue, ShutDown, SimpleQueue, SubmitError, ThreadPool,
    Until, as_completed, wait_async,
};

use crate::support::{A_MOMENT, Drops, blocked, fail};
use crate::wakes::{Wakes, poll};
use crate::watchdog::watch;

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn the_futures_may_move_to_another_thread() {
    let queue = Queue::bounded(1);
    drop(is_send(queue.put_async(1)));
    drop(is_send(queue.get_async()));
    drop(is_send(queue.join_async()));
    drop(is_send(LifoQueue::bounded(1).put_async(1)));
    drop(is_send(PriorityQueue::<u32>::unbounded().get_async()));
    drop(is_send(SimpleQueue::<u32>::new().get_async()));
    let pool = ThreadPool::new(1);
    drop(is_send(pool.submit(|| ()).unwrap().into_future()));
    drop(is_send(wait_async([pool.submit(|| ()).unwrap()], Until::All)));
    drop(is_send(as_completed([pool.submit(|| ()).unwrap()]).next_async()));
}

#[test]
fn a_get_is_woken_once_by_a_put_and_returns_the_item() {
    let (queue, wakes) = (Queue::unbounded(), Arc::new(Wakes::default()));
    let mut get = pin!(queue.get_async());
    assert!(poll(get.as_mut(), &wakes).is_pending());
    assert!(poll(get.as_mut(), &wakes).is_pending());
    assert_eq!(wakes.0.load(SeqCst), 0);
    queue.put(7).unwrap();
    assert_eq!(wakes.0.load(SeqCst), 1);
    assert_eq!(poll(get.as_mut(), &wakes), Poll::Ready(Ok(7)));
}

#[test]
fn a_get_that_is_dropped_after_its_wake_leaves_item_and_wake_to_the_next() {
    let (queue, wakes) = (Queue::unbounded(), [(); 2].map(|()| Arc::new(Wakes::default())));
    let mut second = pin!(queue.get_async());
    {
        let mut first = pin!(queue.get_async());
        assert!(poll(first.as_mut(), &wakes[0]).is_pending());
        assert!(poll(second.as_mut(), &wakes[1]).is_pending());
        queue.put(7).unwrap();
        assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(SeqCst)), [1, 0]);
    }
    assert_eq!(wakes[1].0.load(SeqCst), 1, "the wake was passed on");
    assert_eq!(poll(second.as_mut(), &wakes[1]), Poll::Ready(Ok(7)));
    assert!(queue.is_empty());
}

#[test]
fn a_put_that_is_dropped_gives_its_item_to_no_one_and_its_wake_to_the_next() {
    let drops = Drops::default();
    let (queue, wakes) = (Queue::bounded(1), [(); 2].map(|()| Arc::new(Wakes::default())));
    queue.put(drops.item()).unwrap();
    let mut second = pin!(queue.put_async(drops.item()));
    {
        let mut first = pin!(queue.put_async(drops.item()));
        assert!(poll(first.as_mut(), &wakes[0]).is_pending());
        assert!(poll(second.as_mut(), &wakes[1]).is_pending());
        drop(queue.get().unwrap());
        assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(SeqCst)), [1, 0]);
    }
    assert_eq!((wakes[1].0.load(SeqCst), drops.count(), queue.len()), (1, 2, 0));
    assert!(matches!(poll(second.as_mut(), &wakes[1]), Poll::Ready(Ok(()))));
    assert_eq!((drops.count(), queue.len()), (2, 1));
}

#[test]
fn a_future_that_is_not_polled_does_nothing() {
    let drops = Drops::default();
    let queue = Queue::unbounded();
    drop(queue.put_async(drops.item()));
    assert_eq!((queue.len(), drops.count()), (0, 1));
    queue.put(drops.item()).unwrap();
    drop(queue.get_async());
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_shutdown_ends_every_wait_and_gives_items_back() {
    let wakes = Arc::new(Wakes::default());
    let (full, empty) = (PriorityQueue::bounded(1), LifoQueue::<u32>::unbounded());
    full.put(1).unwrap();
    let mut put = pin!(full.put_async(2));
    let mut gets = [(); 3].map(|()| Box::pin(empty.get_async()));
    assert!(poll(put.as_mut(), &wakes).is_pending());
    assert!(gets.iter_mut().all(|get| poll(get.as_mut(), &wakes).is_pending()));
    full.shutdown();
    empty.shutdown();
    assert_eq!(wakes.0.load(SeqCst), 4);
    assert_eq!(poll(put.as_mut(), &wakes), Poll::Ready(Err(ShutDown(2))));
    let shut = Poll::Ready(Err(ShutDown(())));
    assert!(gets.iter_mut().all(|get| poll(get.as_mut(), &wakes) == shut));
    assert_eq!(block_on(full.get_async()), Ok(1));
}

#[test]
fn a_join_ends_when_the_last_task_is_done() {
    let (queue, wakes) = (Queue::unbounded(), Arc::new(Wakes::default()));
    block_on(queue.join_async());
    queue.put_many(vec![1, 2]).unwrap();
    let mut join = pin!(queue.join_async());
    assert!(poll(join.as_mut(), &wakes).is_pending());
    queue.task_done().unwrap();
    assert!(poll(join.as_mut(), &wakes).is_pending());
    queue.task_done().unwrap();
    assert_eq!(wakes.0.load(SeqCst), 1);
    assert!(poll(join.as_mut(), &wakes).is_ready());
}

#[test]
fn threads_and_tasks_share_a_queue_and_lose_nothing() {
    let _watchdog = watch();
    const EACH: usize = 2_000;
    for capacity in [1, 3, 64] {
        let queue = Queue::bounded(capacity);
        let sum = AtomicUsize::new(0);
        let add = |n| {
            sum.fetch_add(n, SeqCst);
        };
        thread::scope(|scope| {
            let producers = [
                scope.spawn(|| (0..EACH).for_each(|n| queue.put(n).unwrap())),
                scope.spawn(|| {
                    block_on(async {
                        for n in 0..EACH {
                            queue.put_async(n).await.unwrap();
                        }
                    });
                }),
            ];
            scope.spawn(|| queue.iter().for_each(add));
            scope.spawn(|| {
                block_on(async {
                    while let Ok(n) = queue.get_async().await {
                        add(n);
                    }
                });
            });
            // Gives up again and again.
            scope.spawn(|| {
                while !queue.is_shutdown() {
                    let timeout = Duration::from_micros(10);
                    if let Some(Ok(n)) = block_on_timeout(queue.get_async(), timeout) {
                        add(n);
                    }
                }
            });
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            queue.shutdown();
        });
        assert_eq!(sum.load(SeqCst), EACH * (EACH - 1));
    }
}

/// Random puts and gets of tasks that are dropped at random, against a plain model: who waits is
/// served in the end, and no item is lost or doubled.
#[test]
fn random_cancellation_loses_no_item() {
    let mut seed = 0x5EED_u64;
    println!("seed {seed:#x}");
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..300 {
        let queue = Queue::bounded(1 + random(3));
        let wakes = Arc::new(Wakes::default());
        let (mut inside, mut next) = (VecDeque::new(), 0);
        let mut puts = Vec::new();
        let mut gets = Vec::new();
        for _ in 0..60 {
            match random(4) {
                0 => {
                    puts.push((next, Box::pin(queue.put_async(next))));
                    next += 1;
                }
                1 => gets.push(Box::pin(queue.get_async())),
                2 if !puts.is_empty() => drop(puts.swap_remove(random(puts.len()))),
                3 if !gets.is_empty() => drop(gets.swap_remove(random(gets.len()))),
                _ => {}
            }
            // In turns, until nothing moves: every wait that can end has ended then.
            loop {
                let before = (puts.len(), gets.len());
                puts.retain_mut(|(item, put)| {
                    let done = poll(put.as_mut(), &wakes).is_ready();
                    if done {
                        inside.push_back(*item);
                    }
                    !done
                });
                gets.retain_mut(|get| match poll(get.as_mut(), &wakes) {
                    Poll::Ready(item) => {
                        assert_eq!(item.ok(), inside.pop_front());
                        false
                    }
                    Poll::Pending => true,
                });
                if before == (puts.len(), gets.len()) {
                    break;
                }
            }
            assert_eq!(queue.len(), inside.len());
            assert!(gets.is_empty() || inside.is_empty());
            assert!(puts.is_empty() || queue.is_full());
        }
    }
}

#[test]
fn a_handle_is_awaited_however_the_job_ends() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    assert_eq!(block_on(pool.submit(|| 7).unwrap().into_future()).unwrap(), 7);
    let panics = pool.submit(fail).unwrap();
    assert!(matches!(block_on(panics.into_future()), Err(JobError::Panicked(_))));
    let (first, go) = blocked(&pool);
    let mut first = pin!(first.into_future());
    let [old, new] = [Arc::new(Wakes::default()), Arc::new(Wakes::default())];
    assert!(poll(first.as_mut(), &old).is_pending());
    let pending = pool.submit(|| 8).unwrap();
    pending.cancel();
    assert!(matches!(block_on(pending.into_future()), Err(JobError::Cancelled)));
    let shut = pool.submit(|| 9).unwrap();
    let (mut shut, of_shut) = (pin!(shut.into_future()), Arc::new(Wakes::default()));
    assert!(poll(shut.as_mut(), &of_shut).is_pending());
    pool.shutdown(false, true).unwrap();
    assert_eq!(of_shut.0.load(SeqCst), 1);
    assert!(matches!(poll(shut.as_mut(), &of_shut), Poll::Ready(Err(JobError::Cancelled))));
    // The poll comes before the job may end, so the job finds the new waker only.
    assert!(poll(first.as_mut(), &new).is_pending());
    drop(go);
    assert_eq!(block_on(first).unwrap(), 42);
    assert_eq!(old.0.load(SeqCst), 0, "the job woke a waker that was replaced");
}

#[test]
fn a_future_of_a_job_that_is_dropped_detaches_the_job() {
    let _watchdog = watch();
    let (pool, drops) = (ThreadPool::new(1), Drops::default());
    let (_first, go) = blocked(&pool);
    let item = drops.item();
    {
        let mut future = pin!(pool.submit(move || item).unwrap().into_future());
        assert!(poll(future.as_mut(), &Arc::new(Wakes::default())).is_pending());
    }
    assert_eq!(drops.count(), 0);
    drop(go);
    pool.join().unwrap();
    assert_eq!(drops.count(), 1);
}

#[test]
fn waits_for_several_jobs_can_be_awaited() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let (slow, go) = blocked(&pool);
    let quick = pool.submit(|| 7).unwrap();
    let waited = block_on(wait_async([slow, quick], Until::FIRST_COMPLETED));
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    let mut both = as_completed(waited.done.into_iter().chain(waited.not_done));
    block_on(async {
        assert_eq!(both.next_async().await.unwrap().await.unwrap(), 7);
        {
            let mut next = pin!(both.next_async());
            assert!(poll(next.as_mut(), &Arc::new(Wakes::default())).is_pending());
        }
        go.send(()).unwrap();
        assert_eq!(both.next_async().await.unwrap().await.unwrap(), 42);
        assert!(both.next_async().await.is_none());
    });
}

#[test]
fn a_future_is_a_job() {
    let _watchdog = watch();
    let (pool, queue) = (ThreadPool::new(2), Arc::new(SimpleQueue::new()));
    let same = queue.clone();
    let sum = pool.spawn_future(async move { same.get_async().await + same.get_async().await });
    thread::sleep(A_MOMENT);
    queue.put(3);
    queue.put(4);
    assert_eq!(sum.unwrap().result().unwrap(), 7);
    let panics = pool.spawn_future(async { fail() }).unwrap();
    assert!(matches!(block_on(panics.into_future()), Err(JobError::Panicked(_))));
    pool.shutdown(true, false).unwrap();
    let refused = pool.spawn_future(async { 8 });
    match refused {
        Err(SubmitError::ShutDown(future)) => assert_eq!(block_on(future), 8),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "futures-core")]
#[test]
fn jobs_as_they_complete_are_a_stream() {
    use futures_core::{FusedStream, Stream};
    use std::future::poll_fn;

    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let jobs = (0..10).map(|n| pool.submit(move || n).unwrap());
    let mut stream = pin!(is_send(as_completed(jobs).stream()));
    let mut sum = 0;
    while let Some(job) = block_on(poll_fn(|cx| stream.as_mut().poll_next(cx))) {
        assert!(!stream.is_terminated());
        sum += job.result().unwrap();
    }
    assert_eq!(sum, 45);
    assert!(stream.is_terminated());
    assert!(block_on(poll_fn(|cx| stream.as_mut().poll_next(cx))).is_none());
}

/// An item whose comparison panics once.
struct Once<'a>(u32, &'a AtomicBool);

impl Ord for Once<'_> {
    fn cmp(&self, other: &Self) -> Order {
        assert!(!self.1.swap(false, SeqCst), "armed");
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Once<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Once<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Once<'_> {}

#[test]
fn a_comparison_that_panics_in_a_woken_task_wakes_another_one() {
    let armed = AtomicBool::new(false);
    let queue = PriorityQueue::bounded(2);
    (0..2).for_each(|n| assert!(queue.put(Once(n, &armed)).is_ok()));
    let wakes = [Arc::new(Wakes::default()), Arc::new(Wakes::default())];
    let mut first = Box::pin(queue.put_async(Once(2, &armed)));
    let mut second = Box::pin(queue.put_async(Once(3, &armed)));
    assert!(poll(first.as_mut(), &wakes[0]).is_pending());
    assert!(poll(second.as_mut(), &wakes[1]).is_pending());
    assert!(queue.get().is_ok());
    assert_eq!([0, 1].map(|n| wakes[n].0.load(SeqCst)), [1, 0]);
    armed.store(true, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(first.as_mut(), &wakes[0]))).is_err());
    assert_eq!(wakes[1].0.load(SeqCst), 1, "there is room, and one task waits for it");
    assert!(matches!(poll(second.as_mut(), &wakes[1]), Poll::Ready(Ok(()))));
}
