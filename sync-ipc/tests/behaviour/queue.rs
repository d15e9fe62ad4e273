//! Rows MQ and U-MQ.

use std::time::{Duration, Instant};

use sync_ipc::{Error, JoinableQueue, Mutex, Orphans, Queue, QueueOptions, RecvError, Segment, SendError, queue};

use crate::processes::{Child, FOR_EVER, fork, until};

fn world(capacity: usize) -> (Segment, Queue<u64>) {
    let segment = Segment::anonymous(1 << 18).expect("a segment");
    let queue = Queue::create(&segment, "queue", capacity).expect("room");
    (segment, queue)
}

#[test]
fn mq_01_full_in_every_form() {
    let (_segment, queue) = world(6);
    queue.send(1).expect("room");
    queue.try_send(2).expect("room");
    queue.send_timeout(3, Duration::ZERO).expect("room");
    queue.send_timeout(4, Duration::MAX).expect("room");
    queue.send_deadline(5, Instant::now()).expect("room");
    queue.send(6).expect("room");
    assert_eq!(queue.len(), 6);
    assert_eq!(queue.try_send(7), Err(SendError::Full(7)));
    assert_eq!(queue.send_timeout(7, Duration::ZERO), Err(SendError::TimedOut(7)));
    assert_eq!(queue.send_deadline(7, Instant::now()), Err(SendError::TimedOut(7)));
    let started = Instant::now();
    assert_eq!(queue.send_timeout(7, Duration::from_millis(40)).map_err(SendError::into_inner), Err(7));
    assert!(started.elapsed() >= Duration::from_millis(40));
    let mut child = fork(|| (1..=6).all(|item| queue.recv() == Ok(item)).into());
    assert_eq!(child.join(), 1);
    assert!(queue.is_empty());
}

#[test]
fn mq_02_empty_in_every_form() {
    let (_segment, queue) = world(6);
    let mut child = fork(|| (1..=5).map(|item| queue.send(item)).all(|sent| sent.is_ok()).into());
    assert_eq!(child.join(), 1);
    assert_eq!(queue.recv(), Ok(1));
    assert_eq!(queue.try_recv(), Ok(2));
    assert_eq!(queue.recv_timeout(Duration::ZERO), Ok(3));
    assert_eq!(queue.recv_deadline(Instant::now()), Ok(4));
    assert_eq!(queue.recv_timeout(Duration::MAX), Ok(5));
    assert_eq!(queue.try_recv(), Err(RecvError::Empty));
    assert_eq!(queue.recv_deadline(Instant::now()), Err(RecvError::TimedOut));
    let started = Instant::now();
    assert_eq!(queue.recv_timeout(Duration::from_millis(40)), Err(RecvError::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(40));
}

#[test]
fn mq_03_items_from_before_and_after_the_fork_come_in_order() {
    let (_segment, queue) = world(32);
    (0..10).for_each(|item| queue.send(item).expect("room"));
    let mut child = fork(|| (10..20).map(|item| queue.send(item)).all(|sent| sent.is_ok()).into());
    assert_eq!(child.join(), 1);
    assert_eq!((0..20).map(|_| queue.recv().expect("an item")).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert_eq!(queue.try_recv(), Err(RecvError::Empty));
}

#[test]
fn mq_10_closed() {
    let (_segment, queue) = world(4);
    queue.send(1).expect("room");
    let mut waiting = fork(|| {
        let first = queue.recv();
        i32::from(first == Ok(1) && queue.recv() == Err(RecvError::Closed))
    });
    until("the item is gone", || queue.is_empty());
    queue.close();
    assert_eq!(waiting.join(), 1);
    assert_eq!(queue.send(2), Err(SendError::Closed(2)));
    assert_eq!(queue.try_recv(), Err(RecvError::Closed));
    assert!(queue.is_closed());
}

#[test]
fn sizes_that_cannot_be() {
    let segment = Segment::anonymous(4096).expect("a segment");
    assert!(matches!(Queue::<u64>::create(&segment, "q", 0), Err(Error::BadSize)));
    assert!(matches!(Queue::<u64>::create(&segment, "q", 1 << 20), Err(Error::BadSize)));
    assert!(matches!(Queue::<u64>::create(&segment, "q", 1 << 14), Err(Error::Full)));
    assert!(matches!(queue::<u64>(0), Err(Error::BadSize)));
}

#[test]
fn every_item_arrives_once_in_each_senders_order() {
    const EACH: u64 = 20_000;
    let (segment, queue) = world(16);
    let sums = Mutex::create(&segment, "sums", [0_u64; 2]).expect("room");
    let mut senders = [0, 1].map(|who| {
        let queue = &queue;
        fork(move || (0..EACH).map(|item| queue.send(who << 32 | item)).any(|sent| sent.is_err()).into())
    });
    let mut receivers = [(); 2].map(|()| {
        fork(|| {
            let mut last = [None; 2];
            let mut count = 0;
            let mut sum = 0;
            while let Ok(item) = queue.recv() {
                let who = (item >> 32) as usize;
                let number = item & 0xffff_ffff;
                assert!(last[who].is_none_or(|last| last < number), "out of order");
                last[who] = Some(number);
                count += 1;
                sum += number;
            }
            sums.lock().expect("clean").update(|total| {
                total[0] += count;
                total[1] += sum;
            });
            0
        })
    });
    assert_eq!(senders.each_mut().map(Child::join), [0, 0]);
    queue.close();
    assert_eq!(receivers.each_mut().map(Child::join), [0, 0]);
    assert_eq!(sums.lock().expect("clean").get(), [2 * EACH, EACH * (EACH - 1)]);
}

#[test]
fn a_stopped_sender_holds_up_nobody() {
    let (_segment, queue) = world(4);
    let child = fork(|| {
        loop {
            let _ = queue.try_send(7);
            let _ = queue.try_recv();
        }
    });
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(2));
        child.signal(libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(1));
        while queue.try_recv().is_ok() {}
        // It may hold one slot, whatever it was doing; the other three go round.
        for turn in 0..50 {
            for item in 0..3 {
                queue.send_timeout(turn * 3 + item, FOR_EVER).expect("room");
            }
            for item in 0..3 {
                assert_eq!(queue.recv_timeout(FOR_EVER), Ok(turn * 3 + item));
            }
        }
        child.signal(libc::SIGCONT);
    }
}

#[test]
fn u_mq_08_a_killed_getter_leaves_its_item_to_others() {
    // CPython: "Empty", with an item in the queue.
    let (_segment, queue) = world(4);
    queue.send(1).expect("room");
    let child = fork(|| {
        core::mem::forget(queue.recv_lease().expect("an item"));
        loop {
            std::thread::sleep(FOR_EVER);
        }
    });
    until("it has it", || queue.is_empty());
    assert_eq!(queue.recv_timeout(Duration::from_millis(60)), Err(RecvError::TimedOut), "it lives");
    child.signal(libc::SIGKILL);
    assert_eq!(queue.recv_timeout(FOR_EVER), Ok(1));
}

#[test]
fn orphans_may_be_dropped_and_their_room_comes_back() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let queue = Queue::<u64>::with_options(&segment, "q", QueueOptions { capacity: 1, orphans: Orphans::Drop }).expect("room");
    queue.send(1).expect("room");
    let mut child = fork(|| {
        core::mem::forget(queue.recv_lease().expect("an item"));
        0
    });
    assert_eq!(child.join(), 0);
    queue.send_timeout(2, FOR_EVER).expect("the dead one's room");
    assert_eq!(queue.recv(), Ok(2));
    assert_eq!(queue.try_recv(), Err(RecvError::Empty));
}

#[test]
fn a_dropped_lease_goes_to_another_receiver_at_once() {
    let (_segment, queue) = world(4);
    queue.send(1).expect("room");
    queue.send(2).expect("room");
    let (one, two) = (queue.recv_lease().expect("an item"), queue.recv_lease().expect("an item"));
    assert_eq!(queue.try_recv(), Err(RecvError::Empty));
    drop(one);
    drop(two);
    let mut both = [queue.recv().expect("given back"), queue.recv().expect("given back")];
    both.sort_unstable();
    assert_eq!(both, [1, 2]);
}

#[test]
fn large_items() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let queue = Queue::<[u8; 4099]>::create(&segment, "q", 3).expect("room");
    for round in 0..10 {
        let item = core::array::from_fn(|at| (at as u8).wrapping_add(round));
        queue.send(item).expect("room");
        assert!(queue.recv().expect("an item") == item);
    }
}

#[test]
fn halves_travel_by_descriptor() {
    let (sender, receiver) = queue::<u32>(4).expect("a segment");
    let theirs = Segment::from_fd(sender.segment().try_clone_fd().expect("a descriptor")).expect("a segment");
    sync_ipc::Sender::<u32>::open(&theirs).expect("it is there").send(5).expect("room");
    assert_eq!(receiver.recv(), Ok(5));
    assert!(matches!(sync_ipc::Sender::<u64>::open(&theirs), Err(Error::WrongType)));
}

#[test]
fn u_mq_05_join_waits_for_all_of_it_and_for_redelivered_work_too() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let jobs = JoinableQueue::<u64>::create(&segment, "jobs", 8).expect("room");
    let done = Mutex::create(&segment, "done", 0_u64).expect("room");
    assert_eq!(jobs.join(), Ok(()), "nothing was put");
    (0..6).for_each(|item| jobs.put(item).expect("room"));
    assert_eq!(jobs.join_timeout(Duration::from_millis(20)), Ok(false));
    // One worker dies with a task, one drops a task, the third does them all.
    let mut dies = fork(|| {
        core::mem::forget(jobs.get().expect("a task"));
        0
    });
    assert_eq!(dies.join(), 0);
    drop(jobs.get().expect("a task"));
    let mut worker = fork(|| {
        while let Ok(task) = jobs.get() {
            done.lock().expect("clean").update(|done| *done += 1);
            task.done();
        }
        0
    });
    assert_eq!(jobs.join(), Ok(()));
    assert_eq!(done.lock().expect("clean").get(), 6);
    jobs.close();
    assert_eq!(worker.join(), 0);
}
