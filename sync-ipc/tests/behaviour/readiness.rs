//! Descriptors of queues, events and semaphores.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use sync_ipc::{
    BoundedSemaphore, ByteQueue, Error, Event, JoinableQueue, Queue, Readiness, RecvError, Segment,
    Semaphore, queue, wait,
};

use crate::processes::{FOR_EVER, alone, fork, until};

fn is_ready(ready: &Readiness) -> bool {
    !wait(&[ready.as_fd()], Some(Duration::ZERO)).expect("a descriptor").is_empty()
}

/// Waits for the descriptor.
#[track_caller]
fn becomes_ready(ready: &Readiness) {
    assert!(!wait(&[ready.as_fd()], Some(FOR_EVER)).expect("a descriptor").is_empty());
}

fn segment() -> Segment {
    Segment::anonymous(1 << 16).expect("a segment")
}

#[test]
fn a_queue_is_ready_when_there_is_an_item() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let ready = jobs.readiness().expect("a thread");
    for round in 0..20 {
        assert!(!is_ready(&ready), "round {round}");
        let mut sender = fork(|| {
            jobs.put(round).expect("room");
            jobs.put(round).expect("room");
            0
        });
        becomes_ready(&ready);
        assert_eq!(jobs.get(), Ok(round));
        // Until it is rearmed.
        assert!(is_ready(&ready));
        assert_eq!(sender.join(), 0);
        ready.rearm();
        // There is another one.
        becomes_ready(&ready);
        assert_eq!(jobs.try_get(), Ok(round));
        assert_eq!(jobs.try_get(), Err(RecvError::Empty));
        ready.rearm();
    }
    jobs.shutdown();
    becomes_ready(&ready);
    assert_eq!(jobs.try_get(), Err(RecvError::Closed));
    ready.rearm();
    becomes_ready(&ready);
}

#[test]
fn the_other_queues_are_ready_when_there_is_an_item() {
    let segment = segment();
    let bytes = ByteQueue::create(&segment, "bytes", 4, 10).expect("room");
    let jobs = JoinableQueue::<u64>::create(&segment, "jobs", 4).expect("room");
    let (sender, receiver) = queue::<u64>(1).expect("a segment");
    let ready = [
        bytes.readiness().expect("a thread"),
        jobs.readiness().expect("a thread"),
        receiver.readiness().expect("a thread"),
    ];
    bytes.put(b"x").expect("room");
    becomes_ready(&ready[0]);
    jobs.put(1).expect("room");
    becomes_ready(&ready[1]);
    // The end of all senders.
    drop(sender);
    becomes_ready(&ready[2]);
    assert_eq!(receiver.try_recv(), Err(RecvError::Disconnected));
}

#[test]
fn what_a_dead_receiver_or_holder_left_is_reported() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let permits = Semaphore::create(&segment, "permits", 1, 1).expect("room");
    jobs.put(5).expect("room");
    let mut holder = fork(|| {
        core::mem::forget((jobs.recv_lease(), permits.acquire()));
        thread::sleep(FOR_EVER);
        0
    });
    until("it holds both", || jobs.is_empty() && permits.available_permits() == 0);
    let (item, permit) = (jobs.readiness().expect("one"), permits.readiness().expect("one"));
    assert!(!is_ready(&item) && !is_ready(&permit));
    holder.kill();
    becomes_ready(&item);
    becomes_ready(&permit);
    assert_eq!(jobs.try_get(), Ok(5));
    assert!(permits.try_acquire().is_ok());
}

#[test]
fn a_semaphore_is_ready_when_there_is_a_permit() {
    let segment = segment();
    let bounded = BoundedSemaphore::create(&segment, "permits", 1).expect("room");
    let ready = bounded.readiness().expect("a thread");
    becomes_ready(&ready);
    let permit = bounded.try_acquire().expect("the watcher has taken none");
    ready.rearm();
    assert!(!is_ready(&ready));
    drop(permit);
    becomes_ready(&ready);
}

#[test]
fn an_event_is_ready_when_it_was_set() {
    let segment = segment();
    let event = Event::create(&segment, "event").expect("room");
    let ready = event.readiness().expect("a thread");
    assert!(!is_ready(&ready));
    event.set();
    becomes_ready(&ready);
    ready.rearm();
    becomes_ready(&ready);
    event.clear();
    ready.rearm();
    until("it is clear", || {
        ready.rearm();
        !is_ready(&ready)
    });
}

#[test]
fn a_waiting_receiver_gets_the_item_next_to_a_watcher() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let ready = jobs.readiness().expect("a thread");
    let mut receiver = fork(|| {
        (0..200).for_each(|item| assert_eq!(jobs.get_timeout(FOR_EVER), Ok(item)));
        0
    });
    for item in 0..200 {
        jobs.put_timeout(item, FOR_EVER).expect("room");
        ready.rearm();
    }
    assert_eq!(receiver.join(), 0);
}

#[test]
fn a_forked_childs_copy_of_a_readiness_leaves_it_alone() {
    let segment = segment();
    let event = Event::create(&segment, "event").expect("room");
    let jobs = Queue::<u64>::create(&segment, "queue", 1).expect("room");
    let ready = event.readiness().expect("a thread");
    event.set();
    becomes_ready(&ready);
    let mut copy = Some(&ready);
    let mut child = fork(|| {
        copy.take().expect("a copy").rearm();
        block_on(ready.ready());
        // The child has a thread of its own for what it awaits itself.
        assert_eq!(block_on(jobs.get_async()), Ok(7));
        0
    });
    thread::sleep(Duration::from_millis(5));
    jobs.put(7).expect("room");
    assert_eq!(child.join(), 0);
    assert!(is_ready(&ready), "the child has not rearmed it");
}

struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unparks(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn asynchronous_code_waits_for_items_and_a_dropped_future_loses_none() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let ready = jobs.readiness().expect("a thread");
    let mut sender = fork(|| {
        (0..200).for_each(|item| jobs.put_timeout(item, FOR_EVER).expect("room"));
        0
    });
    let receives = async {
        for item in 0..200 {
            let received = loop {
                match jobs.try_get() {
                    Ok(item) => break item,
                    Err(RecvError::Empty) => {
                        // Polled once, and dropped.
                        let waker = Waker::noop();
                        let _ = pin!(ready.ready()).poll(&mut Context::from_waker(waker));
                        ready.ready().await;
                        ready.rearm();
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            assert_eq!(received, item);
        }
    };
    block_on(receives);
    assert_eq!(sender.join(), 0);
}

#[test]
fn items_permits_and_events_are_awaited() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let work = JoinableQueue::<u64>::create(&segment, "work", 4).expect("room");
    let bytes = ByteQueue::create(&segment, "bytes", 4, 10).expect("room");
    let permits = Semaphore::create(&segment, "permits", 0, 2).expect("room");
    let bounded = BoundedSemaphore::create(&segment, "bounded", 1).expect("room");
    let event = Event::create(&segment, "event").expect("room");
    let (sender, receiver) = queue::<u64>(1).expect("a segment");
    let held = bounded.acquire().expect("a permit");
    let mut other = fork(|| {
        until("all wait", || event.is_set());
        jobs.put(1).expect("room");
        work.put(2).expect("room");
        bytes.put(b"3").expect("room");
        permits.try_add_permits(1).expect("room");
        sender.send(4).expect("room");
        0
    });
    event.set();
    let received = is_send(async {
        event.wait_async().await.expect("a thread");
        let job = jobs.get_async().await.expect("an item");
        let task = work.get_async().await.expect("an item");
        let length = bytes.get_async().await.expect("a message").len() as u64;
        let _permit = permits.acquire_async().await.expect("a permit");
        let last = receiver.recv_async().await.expect("an item");
        let sum = job + task.item() + length + last;
        task.done();
        sum
    });
    assert_eq!(block_on(received), 8);
    assert_eq!(other.join(), 0);
    assert_eq!(permits.available_permits(), 1);
    drop(held);
    drop(block_on(bounded.acquire_async()).expect("a permit"));
    drop(sender);
    assert_eq!(block_on(receiver.recv_async()), Err(RecvError::Disconnected));
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn a_dropped_wait_leaves_the_permit_and_many_wait_at_once() {
    let segment = segment();
    let permits = Semaphore::create(&segment, "permits", 0, 8).expect("room");
    let waker = Waker::noop();
    let wait = || {
        let mut acquire = Box::pin(permits.acquire_async());
        assert!(acquire.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        acquire
    };
    // More than one thread can sleep on.
    let waits: Vec<_> = (0..150).map(|_| wait()).collect();
    permits.try_add_permits(1).expect("room");
    thread::sleep(Duration::from_millis(5));
    drop(waits);
    assert_eq!(permits.available_permits(), 1);
    let permit = block_on(permits.acquire_async()).expect("a permit");
    let mut other = fork(|| {
        thread::sleep(Duration::from_millis(5));
        permits.try_add_permits(1).expect("room");
        0
    });
    drop(block_on(permits.acquire_async()).expect("a permit"));
    drop(permit);
    assert_eq!(other.join(), 0);
    assert_eq!(permits.available_permits(), 2);
}

#[test]
fn the_permit_and_the_item_of_a_dead_process_reach_a_task() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let permits = Semaphore::create(&segment, "permits", 1, 1).expect("room");
    jobs.put(5).expect("room");
    let mut holder = fork(|| {
        core::mem::forget((jobs.get_lease(), permits.acquire()));
        thread::sleep(FOR_EVER);
        0
    });
    until("it holds both", || jobs.is_empty() && permits.available_permits() == 0);
    thread::scope(|scope| {
        let item = scope.spawn(|| block_on(jobs.get_async()));
        let permit = scope.spawn(|| block_on(permits.acquire_async()).is_ok());
        thread::sleep(Duration::from_millis(5));
        holder.kill();
        assert_eq!(item.join().expect("no panic"), Ok(5));
        assert!(permit.join().expect("no panic"));
    });
}

#[test]
fn a_readiness_leaves_no_thread_and_no_descriptor() {
    alone(|| {
        let count = |what: &str| std::fs::read_dir(what).expect("/proc").count();
        let segment = segment();
        let event = Event::create(&segment, "event").expect("room");
        drop(event.readiness().expect("a thread"));
        until("the first is gone", || count("/proc/self/task") == 1);
        let before = count("/proc/self/fd");
        for set in [false, true] {
            if set {
                event.set();
            }
            let all: Vec<_> = (0..10).map(|_| event.readiness().expect("a thread")).collect();
            assert_eq!(count("/proc/self/task"), 2, "one thread for all");
            drop(all);
            until("they are gone", || count("/proc/self/task") == 1);
            assert_eq!(count("/proc/self/fd"), before);
        }
    });
}

/// Polls once, and expects to wait.
fn waits<F: Future>(mut future: std::pin::Pin<&mut F>) {
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_dropped_wait_leaves_no_waker() {
    let segment = segment();
    let event = Event::create(&segment, "event").expect("room");
    let ready = event.readiness().expect("a thread");
    let mut kept = pin!(ready.ready());
    for _ in 0..100 {
        let ours = Arc::new(Unparks(thread::current()));
        let waker = Waker::from(Arc::clone(&ours));
        let mut context = Context::from_waker(&waker);
        assert!(pin!(ready.ready()).poll(&mut context).is_pending());
        assert_eq!(Arc::strong_count(&ours), 2, "a dropped future has left its waker");
        // A future that is polled again has the last waker only.
        assert!(kept.as_mut().poll(&mut context).is_pending());
        waits(kept.as_mut());
        assert_eq!(Arc::strong_count(&ours), 2, "a future has kept its former waker");
    }
    event.set();
    block_on(kept);
}

#[test]
fn a_wait_that_is_forked_ends_by_its_object() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 1).expect("room");
    let permits = Semaphore::create(&segment, "permits", 0, 1).expect("room");
    let event = Event::create(&segment, "event").expect("room");
    let mut item = pin!(jobs.get_async());
    let mut permit = pin!(permits.acquire_async());
    let mut set = pin!(event.wait_async());
    waits(item.as_mut());
    waits(permit.as_mut());
    waits(set.as_mut());
    let mut child = fork(|| {
        waits(set.as_mut());
        waits(permit.as_mut());
        waits(item.as_mut());
        event.set();
        permits.try_add_permits(1).expect("room");
        jobs.put(7).expect("room");
        block_on(set).expect("a thread");
        drop(block_on(permit).expect("a permit"));
        assert_eq!(block_on(item), Ok(7));
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn a_dropped_watch_holds_no_name() {
    let name = format!("watch-{}", std::process::id());
    for _ in 0..50 {
        let segment = Segment::create(&name, 4096).expect("a new name");
        let jobs = Queue::<u64>::create(&segment, "queue", 1).expect("room");
        let permits = Semaphore::create(&segment, "permits", 0, 1).expect("room");
        let ready = jobs.readiness().expect("a thread");
        waits(pin!(permits.acquire_async()));
        waits(pin!(jobs.get_async()));
        drop((segment, jobs, permits));
        // The watch holds it.
        drop(Segment::open(&name).expect("it has a holder"));
        waits(pin!(ready.ready()));
        drop(ready);
        assert!(matches!(Segment::open(&name), Err(Error::NotFound)));
    }
}

/// Forks in the thread that wakes tasks, and returns there in both processes.
struct Forks(AtomicI32);

impl Wake for Forks {
    fn wake(self: Arc<Self>) {
        // SAFETY: the child returns to the crate's thread, which ends it.
        let child = unsafe { libc::fork() };
        if child != 0 {
            self.0.store(child, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_child_that_a_waker_forks_ends() {
    let segment = segment();
    let event = Event::create(&segment, "event").expect("room");
    let forks = Arc::new(Forks(AtomicI32::new(0)));
    let waker = Waker::from(Arc::clone(&forks));
    let mut wait = pin!(event.wait_async());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    event.set();
    until("the waker has forked", || forks.0.load(Ordering::SeqCst) != 0);
    let child = forks.0.load(Ordering::SeqCst);
    let mut status = -1;
    // SAFETY: our own child, whose status is written.
    until("the child has ended", || unsafe {
        libc::waitpid(child, &raw mut status, libc::WNOHANG) == child
    });
    assert_eq!(status, 0);
    block_on(wait).expect("a thread");
}

#[test]
fn futures_that_are_dropped_at_random_lose_no_item_and_no_permit() {
    const ITEMS: u64 = 300;
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 3).expect("room");
    let permits = Semaphore::create(&segment, "permits", 1, 1).expect("room");
    let mut sender = fork(|| {
        for item in 0..ITEMS {
            let permit = permits.try_acquire_for(FOR_EVER).expect("a permit");
            jobs.put_timeout(item, FOR_EVER).expect("room");
            drop(permit);
        }
        0
    });
    let mut seed = 14_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let waker = Waker::noop();
    let mut next = 0;
    while next < ITEMS {
        let polls = random(3);
        let mut get = Box::pin(jobs.get_async());
        for _ in 0..polls {
            if let Poll::Ready(item) = get.as_mut().poll(&mut Context::from_waker(waker)) {
                assert_eq!(item, Ok(next));
                next += 1;
                break;
            }
            thread::sleep(Duration::from_micros(random(50)));
        }
        drop(get);
        let mut acquire = Box::pin(permits.acquire_async());
        for _ in 0..random(3) {
            if acquire.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                break;
            }
        }
    }
    assert_eq!(sender.join(), 0);
    assert_eq!((jobs.len(), permits.available_permits()), (0, 1));
}

#[test]
fn a_wait_from_before_a_fork_goes_on_in_the_child_and_in_the_parent() {
    let segment = segment();
    let jobs = Queue::<u64>::create(&segment, "queue", 4).expect("room");
    let permits = Semaphore::create(&segment, "permits", 0, 2).expect("room");
    let mut get = Box::pin(jobs.get_async());
    let mut acquire = Box::pin(permits.acquire_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(get.as_mut().poll(&mut context).is_pending());
    assert!(acquire.as_mut().poll(&mut context).is_pending());
    let mut child = fork(|| {
        assert_eq!(block_on(get.as_mut()), Ok(1));
        drop(block_on(acquire.as_mut()).expect("a permit"));
        jobs.put(2).expect("room");
        0
    });
    jobs.put(1).expect("room");
    permits.try_add_permits(1).expect("room");
    assert_eq!(child.join(), 0);
    assert_eq!(block_on(get), Ok(2));
    drop(block_on(acquire).expect("a permit"));
    assert_eq!((jobs.len(), permits.available_permits()), (0, 1));
}
