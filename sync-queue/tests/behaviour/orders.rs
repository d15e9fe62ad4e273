//! `LifoQueue`, `PriorityQueue` and `SimpleQueue`: what is their own.

use std::cell::Cell;
use std::cmp::{Ordering, Reverse};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{GetError, LifoQueue, PriorityQueue, PutError, ShutDown, SimpleQueue};

use crate::support::{A_MOMENT, Drops, LONG};
use crate::watchdog::watch;

#[test]
fn last_first_and_lowest_first() {
    let lifo = LifoQueue::bounded(3);
    let priority = PriorityQueue::bounded(3);
    for n in [111, 333, 222] {
        lifo.put(n).unwrap();
        priority.put(n).unwrap();
    }
    assert_eq!(lifo.try_put(1), Err(PutError::Full(1)));
    assert_eq!(priority.try_put(1), Err(PutError::Full(1)));
    assert_eq!(lifo.try_iter().collect::<Vec<_>>(), [222, 333, 111]);
    assert_eq!(priority.try_iter().collect::<Vec<_>>(), [111, 222, 333]);
}

#[test]
fn all_orders_share_blocking_tasks_and_shutdown() {
    let _watchdog = watch();
    let queue = PriorityQueue::bounded(1);
    thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get_timeout(LONG));
        thread::sleep(A_MOMENT);
        queue.put(1).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(1));
        queue.put(2).unwrap();
        let putter = scope.spawn(|| queue.put(3));
        let joiner = scope.spawn(|| queue.join());
        thread::sleep(A_MOMENT);
        queue.shutdown();
        assert_eq!(putter.join().unwrap(), Err(ShutDown(3)));
        assert_eq!(queue.shutdown_now(), [2]);
        assert_eq!(queue.unfinished(), 1);
        queue.task_done().unwrap();
        joiner.join().unwrap();
    });
    assert_eq!(queue.try_get(), Err(GetError::ShutDown));
    let queue = LifoQueue::unbounded();
    queue.put_many(vec![1, 2, 3]).unwrap();
    assert_eq!(*queue.get_task().unwrap(), 3);
    assert_eq!(queue.unfinished(), 2);
    assert_eq!(queue.shutdown_now(), [2, 1]);
    queue.join();
}

/// Equal to all of its kind.
#[derive(Debug, PartialEq, Eq)]
struct Same(u32);

impl PartialOrd for Same {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Same {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

#[test]
fn equals_leave_in_the_order_they_came() {
    let queue: PriorityQueue<_> = (0..100).map(Same).collect();
    assert_eq!(queue.force_put(Same(100)), Ok(None));
    assert!(queue.try_iter().map(|same| same.0).eq(0..=100));
    let full = PriorityQueue::bounded(2);
    full.put_many(vec![Same(1), Same(2)]).unwrap();
    assert_eq!(full.force_put(Same(3)), Ok(Some(Same(3))), "the youngest of equals comes last");
    assert_eq!(full.unfinished(), 2);
}

#[test]
fn lowest_first_or_reversed() {
    let queue: PriorityQueue<_> = [3, 1, 2].into_iter().map(Reverse).collect();
    assert_eq!(queue.get(), Ok(Reverse(3)));
}

thread_local! {
    static COMPARISONS_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Panics when it has been compared often enough.
#[derive(Debug, PartialEq, Eq)]
struct Moody(u32);

impl PartialOrd for Moody {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moody {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = COMPARISONS_LEFT.get();
        if left == 0 {
            std::panic::resume_unwind(Box::new("not comparable today"));
        }
        COMPARISONS_LEFT.set(left - 1);
        self.0.cmp(&other.0)
    }
}

#[test]
fn a_panicking_ord_changes_nothing() {
    for allowed in 0..12 {
        let queue: PriorityQueue<_> = (0..40).map(|n| Moody(n * 7 % 40)).collect();
        let bad = |f: &mut dyn FnMut()| {
            COMPARISONS_LEFT.set(allowed);
            let panicked = catch_unwind(AssertUnwindSafe(f)).is_err();
            COMPARISONS_LEFT.set(usize::MAX);
            panicked
        };
        let mut expected = 40;
        for item in [Moody(0), Moody(20), Moody(50)] {
            let mut item = Some(item);
            if !bad(&mut || queue.put(item.take().unwrap()).unwrap()) {
                expected += 1;
            }
            assert_eq!((queue.len(), queue.unfinished()), (expected, expected as u64));
        }
        let mut got = Vec::new();
        if !bad(&mut || got.push(queue.get().unwrap())) {
            expected -= 1;
        }
        assert_eq!((queue.len(), queue.len() + got.len()), (expected, queue.unfinished() as usize));
        let mut many = Vec::new();
        bad(&mut || assert!(queue.get_many(&mut many, 10).is_ok()));
        assert_eq!(queue.len() + many.len(), expected);
        got.extend(many);
        got.extend(queue.try_iter());
        assert!(got.is_sorted(), "the order is whole: {got:?}");
        let mut batch = vec![Moody(3), Moody(1), Moody(2), Moody(0)];
        bad(&mut || drop(queue.put_many(std::mem::take(&mut batch))));
        assert_eq!(queue.len(), queue.unfinished() as usize - got.len());
    }
}

#[test]
fn a_panicking_ord_leaves_no_getter_asleep() {
    let _watchdog = watch();
    let queue = PriorityQueue::unbounded();
    thread::scope(|scope| {
        let getters = [scope.spawn(|| queue.get()), scope.spawn(|| queue.get())];
        thread::sleep(A_MOMENT);
        COMPARISONS_LEFT.set(1);
        // The third is compared with two: the second comparison panics, after two items were put.
        let panicked =
            catch_unwind(AssertUnwindSafe(|| queue.put_many(vec![Moody(3), Moody(2), Moody(1)])));
        COMPARISONS_LEFT.set(usize::MAX);
        drop(panicked);
        for getter in getters {
            getter.join().unwrap().unwrap();
        }
    });
}

#[test]
fn an_ord_that_uses_its_own_queue_panics_instead_of_hanging() {
    let _watchdog = watch();
    #[derive(Clone)]
    struct Nosy(Arc<PriorityQueue<Nosy>>);
    impl PartialEq for Nosy {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }
    impl Eq for Nosy {}
    impl PartialOrd for Nosy {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Nosy {
        fn cmp(&self, _: &Self) -> Ordering {
            if self.0.is_empty() { Ordering::Less } else { Ordering::Equal }
        }
    }
    let queue = Arc::new(PriorityQueue::unbounded());
    queue.put(Nosy(queue.clone())).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| queue.put(Nosy(queue.clone())))).unwrap_err();
    assert!(
        panicked.downcast_ref::<&str>().is_some_and(|text| text.contains("Ord"))
            || panicked.is::<String>()
    );
    assert_eq!(queue.len(), 1, "the lock is open");
    drop(queue.drain());
}

#[test]
fn force_put_keeps_the_most_urgent() {
    let queue = PriorityQueue::bounded(3);
    let mut out = Vec::new();
    for n in [5, 9, 1, 7, 3, 8, 2] {
        out.extend(queue.force_put(n).unwrap());
    }
    assert_eq!(out, [9, 7, 8, 5]);
    assert_eq!(queue.unfinished(), 3);
    assert_eq!(queue.drain(), [1, 2, 3]);
    let queue = LifoQueue::bounded(2);
    let out: Vec<_> = (0..4).filter_map(|n| queue.force_put(n).unwrap()).collect();
    assert_eq!((out, queue.drain()), (vec![0, 1], vec![3, 2]));
}

#[test]
fn put_and_get_at_each_step() {
    let queue = SimpleQueue::new();
    assert!(queue.is_empty());
    queue.put(1);
    queue.put(2);
    queue.put_many(vec![3, 4]);
    assert_eq!(queue.len(), 4);
    assert_eq!(queue.get(), 1);
    assert_eq!(queue.try_get(), Some(2));
    assert_eq!(queue.get_timeout(Duration::ZERO), Some(3));
    assert_eq!(queue.get_deadline(std::time::Instant::now()), Some(4));
    assert_eq!(queue.try_get(), None);
    assert_eq!(queue.get_timeout(Duration::ZERO), None);
    assert_eq!(queue.get_timeout(Duration::from_millis(5)), None);
    assert_eq!(queue.get_many(&mut Vec::new(), 0), 0);
    assert_eq!(format!("{queue:?}"), "SimpleQueue { len: 0, .. }");
}

#[test]
fn the_queue_keeps_nothing_that_was_returned() {
    let drops = Drops::default();
    let queue = SimpleQueue::new();
    queue.put(drops.item());
    let item = queue.get();
    assert_eq!(drops.count(), 0);
    drop(item);
    assert_eq!(drops.count(), 1);
    drop(queue);
    assert_eq!(drops.count(), 1);
}

#[test]
fn put_from_a_destructor() {
    struct Echo(Arc<SimpleQueue<Option<Echo>>>, Arc<AtomicUsize>);
    impl Drop for Echo {
        fn drop(&mut self) {
            self.1.fetch_add(1, SeqCst);
            self.0.put(None);
        }
    }
    let queue = Arc::new(SimpleQueue::new());
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        queue.put(Some(Echo(queue.clone(), dropped.clone())));
    }
    for _ in 0..100 {
        drop(queue.get());
    }
    assert_eq!(dropped.load(SeqCst), 100);
    assert_eq!(queue.len(), 100);
}

#[test]
fn locked_orders_drop_nothing_under_the_lock() {
    static QUEUE: std::sync::LazyLock<LifoQueue<Nested>> =
        std::sync::LazyLock::new(|| LifoQueue::bounded(1));
    static DROPPED: AtomicBool = AtomicBool::new(false);
    struct Nested;
    impl Drop for Nested {
        fn drop(&mut self) {
            assert_eq!(QUEUE.len(), 1);
            DROPPED.store(true, SeqCst);
        }
    }
    let _watchdog = watch();
    QUEUE.put(Nested).unwrap();
    drop(QUEUE.try_put(Nested));
    assert!(DROPPED.load(SeqCst));
    drop(QUEUE.force_put(Nested));
    std::mem::forget(QUEUE.get());
}

#[test]
fn a_negative_time_cannot_be_written() {
    let _watchdog = watch();
    let queue = SimpleQueue::new();
    assert!(Duration::try_from_secs_f64(-1.0).is_err());
    assert_eq!(queue.get_deadline(Instant::now()), None);
    assert_eq!(queue.get_timeout(Duration::ZERO), None);
    queue.put(1);
    assert_eq!(queue.get_deadline(Instant::now()), Some(1));
}

#[test]
fn a_put_has_nothing_to_wait_for() {
    let _watchdog = watch();
    // So it takes no time to wait, and returns nothing.
    let put: fn(&SimpleQueue<u32>, u32) = SimpleQueue::put;
    let queue = SimpleQueue::new();
    put(&queue, 1);
    assert_eq!((queue.try_get(), queue.try_get()), (Some(1), None));
    put(&queue, 2);
    assert_eq!(queue.get_timeout(Duration::ZERO), Some(2), "something was inside");
}

#[test]
fn put_from_a_destructor_in_the_middle_of_a_get() {
    let _watchdog = watch();
    struct Echo(Arc<SimpleQueue<Option<Echo>>>);
    impl Drop for Echo {
        fn drop(&mut self) {
            self.0.put(None);
        }
    }
    let queue = Arc::new(SimpleQueue::new());
    for _ in 0..200 {
        queue.put(Some(Echo(Arc::clone(&queue))));
    }
    let mut items = Vec::new();
    queue.get_many(&mut items, 100);
    let taken = items.len();
    drop(items);
    assert_eq!(queue.len(), 200, "each item that went put another");
    drop(queue.try_iter().take(200 - taken).collect::<Vec<_>>());
    assert_eq!(queue.try_iter().flatten().count(), 0, "what is left are the echoes");
}
