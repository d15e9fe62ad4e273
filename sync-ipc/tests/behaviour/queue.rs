use std::time::{Duration, Instant};

use sync_ipc::{
    Error, JoinableQueue, Mutex, Orphans, Queue, QueueOptions, RecvError, Segment, SendError, queue,
};

use sync_ipc::raw::{Platform, Slept};
use sync_ipc::{Receiver, Sender};

use crate::processes::{Child, FOR_EVER, alone, fork, until};

fn world(capacity: usize) -> (Segment, Queue<u64>) {
    let segment = Segment::anonymous(1 << 18).expect("a segment");
    let queue = Queue::create(&segment, "queue", capacity).expect("room");
    (segment, queue)
}

#[test]
fn full_in_every_form() {
    let (_segment, queue) = world(6);
    queue.put(1).expect("room");
    queue.try_put(2).expect("room");
    queue.put_timeout(3, Duration::ZERO).expect("room");
    queue.put_timeout(4, Duration::MAX).expect("room");
    queue.put_deadline(5, Instant::now()).expect("room");
    queue.put(6).expect("room");
    assert_eq!(queue.len(), 6);
    assert_eq!(queue.try_put(7), Err(SendError::Full(7)));
    assert_eq!(queue.put_timeout(7, Duration::ZERO), Err(SendError::TimedOut(7)));
    assert_eq!(queue.put_deadline(7, Instant::now()), Err(SendError::TimedOut(7)));
    let started = Instant::now();
    assert_eq!(
        queue.put_timeout(7, Duration::from_millis(40)).map_err(SendError::into_inner),
        Err(7)
    );
    assert!(started.elapsed() >= Duration::from_millis(40));
    let mut child = fork(|| (1..=6).all(|item| queue.get() == Ok(item)).into());
    assert_eq!(child.join(), 1);
    assert!(queue.is_empty());
}

#[test]
fn empty_in_every_form() {
    let (_segment, queue) = world(6);
    let mut child = fork(|| (1..=5).map(|item| queue.put(item)).all(|sent| sent.is_ok()).into());
    assert_eq!(child.join(), 1);
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.try_get(), Ok(2));
    assert_eq!(queue.get_timeout(Duration::ZERO), Ok(3));
    assert_eq!(queue.get_deadline(Instant::now()), Ok(4));
    assert_eq!(queue.get_timeout(Duration::MAX), Ok(5));
    assert_eq!(queue.try_get(), Err(RecvError::Empty));
    assert_eq!(queue.get_deadline(Instant::now()), Err(RecvError::TimedOut));
    let started = Instant::now();
    assert_eq!(queue.get_timeout(Duration::from_millis(40)), Err(RecvError::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(40));
}

#[test]
fn items_from_before_and_after_the_fork_come_in_order() {
    let (_segment, queue) = world(32);
    (0..10).for_each(|item| queue.put(item).expect("room"));
    let mut child = fork(|| (10..20).map(|item| queue.put(item)).all(|sent| sent.is_ok()).into());
    assert_eq!(child.join(), 1);
    assert_eq!(
        (0..20).map(|_| queue.get().expect("an item")).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    assert_eq!(queue.try_get(), Err(RecvError::Empty));
}

#[test]
fn closed() {
    let (_segment, queue) = world(4);
    queue.put(1).expect("room");
    let mut waiting = fork(|| {
        let first = queue.get();
        i32::from(first == Ok(1) && queue.get() == Err(RecvError::Closed))
    });
    until("the item is gone", || queue.is_empty());
    queue.shutdown();
    assert_eq!(waiting.join(), 1);
    assert_eq!(queue.put(2), Err(SendError::Closed(2)));
    assert_eq!(queue.try_get(), Err(RecvError::Closed));
    assert!(queue.is_shutdown());
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
        fork(move || {
            (0..EACH).map(|item| queue.put(who << 32 | item)).any(|sent| sent.is_err()).into()
        })
    });
    let mut receivers = [(); 2].map(|()| {
        fork(|| {
            let mut last = [None; 2];
            let mut count = 0;
            let mut sum = 0;
            while let Ok(item) = queue.get() {
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
    queue.shutdown();
    assert_eq!(receivers.each_mut().map(Child::join), [0, 0]);
    assert_eq!(sums.lock().expect("clean").get(), [2 * EACH, EACH * (EACH - 1)]);
}

#[test]
fn a_stopped_sender_holds_up_no_thread() {
    let (_segment, queue) = world(4);
    let child = fork(|| {
        loop {
            let _ = queue.try_put(7);
            let _ = queue.try_get();
        }
    });
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(2));
        child.signal(libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(1));
        while queue.try_get().is_ok() {}
        // It may hold one slot, whatever it was doing; the other three go round.
        for turn in 0..50 {
            for item in 0..3 {
                queue.put_timeout(turn * 3 + item, FOR_EVER).expect("room");
            }
            for item in 0..3 {
                assert_eq!(queue.get_timeout(FOR_EVER), Ok(turn * 3 + item));
            }
        }
        child.signal(libc::SIGCONT);
    }
}

#[test]
fn a_killed_getter_leaves_its_item_to_others() {
    // CPython: "Empty", with an item in the queue.
    let (_segment, queue) = world(4);
    queue.put(1).expect("room");
    let child = fork(|| {
        core::mem::forget(queue.get_lease().expect("an item"));
        loop {
            std::thread::sleep(FOR_EVER);
        }
    });
    until("it has it", || queue.is_empty());
    assert_eq!(queue.get_timeout(Duration::from_millis(60)), Err(RecvError::TimedOut), "it lives");
    child.signal(libc::SIGKILL);
    assert_eq!(queue.get_timeout(FOR_EVER), Ok(1));
}

#[test]
fn orphans_may_be_dropped_and_their_room_comes_back() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let queue = Queue::<u64>::with_options(
        &segment,
        "q",
        QueueOptions { capacity: 1, orphans: Orphans::Drop },
    )
    .expect("room");
    queue.put(1).expect("room");
    let mut child = fork(|| {
        core::mem::forget(queue.get_lease().expect("an item"));
        0
    });
    assert_eq!(child.join(), 0);
    queue.put_timeout(2, FOR_EVER).expect("the dead one's room");
    assert_eq!(queue.get(), Ok(2));
    assert_eq!(queue.try_get(), Err(RecvError::Empty));
}

#[test]
fn a_dropped_lease_goes_to_another_receiver_at_once() {
    let (_segment, queue) = world(4);
    queue.put(1).expect("room");
    queue.put(2).expect("room");
    let (one, two) = (queue.get_lease().expect("an item"), queue.get_lease().expect("an item"));
    assert_eq!(queue.try_get(), Err(RecvError::Empty));
    drop(one);
    drop(two);
    let mut both = [queue.get().expect("given back"), queue.get().expect("given back")];
    both.sort_unstable();
    assert_eq!(both, [1, 2]);
}

#[test]
fn large_items() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let queue = Queue::<[u8; 4099]>::create(&segment, "q", 3).expect("room");
    for round in 0..10 {
        let item = core::array::from_fn(|at| (at as u8).wrapping_add(round));
        queue.put(item).expect("room");
        assert!(queue.get().expect("an item") == item);
    }
}

#[test]
fn halves_travel_by_descriptor() {
    let (sender, receiver) = queue::<u32>(4).expect("a segment");
    let theirs = Segment::from_fd(sender.segment().try_clone_fd().expect("a descriptor"))
        .expect("a segment");
    sync_ipc::Sender::<u32>::open(&theirs).expect("it is there").send(5).expect("room");
    assert_eq!(receiver.recv(), Ok(5));
    assert!(matches!(sync_ipc::Sender::<u64>::open(&theirs), Err(Error::WrongType)));
}

#[test]
fn join_waits_for_all_of_it_and_for_redelivered_work_too() {
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
    jobs.shutdown();
    assert_eq!(worker.join(), 0);
}

#[test]
fn len_follows() {
    let (_segment, queue) = world(4);
    for len in 0..4 {
        assert_eq!(queue.len(), len);
        queue.put(1).expect("room");
    }
    let lease = queue.get_lease().expect("an item");
    assert_eq!(queue.len(), 3, "what is leased does not wait");
    drop(lease);
    let mut child = fork(|| (0..4).all(|_| queue.get() == Ok(1)).into());
    assert_eq!(child.join(), 1);
    assert!(queue.is_empty());
}

#[test]
fn a_timed_receive_takes_its_time() {
    let (_segment, queue) = world(1);
    let started = Instant::now();
    assert_eq!(queue.get_timeout(Duration::from_millis(200)), Err(RecvError::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn what_cannot_be_sent_fails_in_send_and_takes_no_room() {
    // Python's background sender fails on items that cannot be pickled. A `Queue` takes plain data,
    // by its type; a `Connection` serialises in `send`.
    struct Unserialisable;
    impl serde::Serialize for Unserialisable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("on purpose"))
        }
    }
    let (ours, theirs) = sync_ipc::pipe().expect("descriptors");
    assert!(matches!(ours.send(&Unserialisable), Err(sync_ipc::ConnectionError::Format(_))));
    ours.send(&5_u8).expect("nothing of the other was sent");
    assert_eq!(theirs.recv::<u8>().expect("sent"), 5);
}

#[test]
fn a_closed_queue_can_be_asked_and_closed_again() {
    let (segment, queue) = world(2);
    let theirs = Queue::<u64>::open(&segment, "queue").expect("it is there");
    assert!(queue.is_empty() && theirs.is_empty());
    queue.put(1).expect("room");
    assert!(!queue.is_empty() && fork(|| theirs.is_empty().into()).join() == 0);
    queue.shutdown();
    queue.shutdown();
    // Python raises OSError; the question has an answer all the same: what was sent is there.
    assert!(theirs.is_shutdown() && !theirs.is_empty());
    assert_eq!(theirs.get(), Ok(1));
    assert_eq!((theirs.get(), theirs.is_empty()), (Err(RecvError::Closed), true));
}

#[test]
fn simple_queue() {
    a_closed_queue_can_be_asked_and_closed_again();
}

#[test]
fn there_is_no_background_sender() {
    // An item whose `send` returned is in the queue, even if the sender dies: there is no feeder
    // thread to join, and its end could lose nothing. Durations are never negative; an elapsed
    // duration polls.
    let (_segment, queue) = world(8);
    let mut child = fork(|| {
        (0..8).for_each(|item| queue.put(item).expect("room"));
        // SAFETY: kills this child, at once.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }
    });
    assert_eq!(child.join(), -libc::SIGKILL);
    assert_eq!(
        (0..8).map(|_| queue.get_timeout(Duration::ZERO)).collect::<Vec<_>>(),
        (0..8).map(Ok).collect::<Vec<_>>()
    );
    queue.shutdown();
    assert_eq!(queue.put_timeout(1, Duration::ZERO), Err(SendError::Closed(1)));
}

#[test]
fn nothing_that_was_sent_is_lost() {
    there_is_no_background_sender();
}

#[test]
fn a_task_is_done_once() {
    // Python: ValueError from one `task_done` too many. Here `done` takes the task: a second one
    // does not compile, and a dropped one is not done.
    let segment = Segment::anonymous(4096).expect("a segment");
    let jobs = JoinableQueue::<u64>::create(&segment, "jobs", 2).expect("room");
    jobs.put(1).expect("room");
    drop(jobs.get().expect("a task"));
    assert_eq!(jobs.join_timeout(Duration::from_millis(5)), Ok(false), "given back, and not done");
    // With a deadline, as the other queues: a deadline in the past takes what is there.
    let soon = || Instant::now() + Duration::from_millis(5);
    drop(jobs.get_deadline(Instant::now()).expect("a task"));
    assert_eq!(jobs.put_deadline(2, Instant::now()), Ok(()));
    assert_eq!(jobs.put_deadline(3, soon()), Err(SendError::TimedOut(3)));
    assert_eq!(jobs.join_deadline(soon()), Ok(false));
    jobs.get_deadline(soon()).expect("a task").done();
    jobs.get().expect("the other task").done();
    assert!(matches!(jobs.get_deadline(soon()), Err(RecvError::TimedOut)));
    assert_eq!(jobs.join(), Ok(()));
}

#[test]
fn first_in_first_out_for_each_sender() {
    every_item_arrives_once_in_each_senders_order();
}

#[test]
fn a_wake_that_comes_with_the_end_of_the_time_is_not_lost() {
    let (_segment, queue) = world(1);
    for turn in 0..200 {
        let mut patient = fork(|| queue.get_timeout(FOR_EVER).is_err().into());
        let mut hasty =
            fork(|| queue.get_timeout(Duration::from_micros(200 + turn * 7)).is_ok().into());
        std::thread::sleep(Duration::from_micros(300 + turn * 5));
        queue.put(turn).expect("room");
        if hasty.join() == 1 {
            queue.put(turn).expect("room");
        }
        assert_eq!(patient.join(), 0);
    }
}

/// By reference as by value: the same items in the same order, waiting for room and for items, and
/// the same errors.
#[test]
fn large_items_by_reference() {
    let segment = Segment::anonymous(1 << 18).expect("a segment");
    let queue = Queue::<[u64; 512]>::create(&segment, "frames", 2).expect("room");
    let mut child = fork(|| {
        let mut frame = [0; 512];
        let right = (0..20).all(|item| queue.get_into(&mut frame).is_ok() && frame == [item; 512]);
        right.into()
    });
    (0..20).for_each(|item| queue.put_ref(&[item; 512]).expect("room comes"));
    assert_eq!(child.join(), 1);
    queue.put([20; 512]).expect("room");
    queue.shutdown();
    assert_eq!(queue.put_ref(&[21; 512]), Err(SendError::Closed(())));
    let mut frame = [0; 512];
    queue.get_into(&mut frame).expect("what was sent before the close");
    assert_eq!(queue.get_into(&mut frame), Err(RecvError::Closed));
    assert_eq!(frame, [20; 512], "as it was");
}

/// Drops, in a forked child, the child's copy of something.
fn dropped_by_a_child<T>(held: &T, act: impl FnOnce(T)) {
    let mut child = fork(|| {
        // SAFETY: the child's copy, which it does not use again.
        act(unsafe { core::ptr::read(held) });
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn a_forked_childs_copy_of_a_lease_gives_nothing_back_and_acknowledges_nothing() {
    let segment = Segment::anonymous(65536).expect("a segment");
    let queue = Queue::<u64>::create(&segment, "q", 4).expect("room");
    queue.put(7).expect("room");
    let lease = queue.get_lease().expect("an item");
    dropped_by_a_child(&lease, drop);
    assert_eq!(queue.try_get(), Err(RecvError::Empty), "its parent works on it");
    lease.ack();
    assert_eq!(queue.try_get(), Err(RecvError::Empty));

    // Acknowledged in the child, and then the parent dies: it is another's.
    queue.put(8).expect("room");
    let mut worker = fork(|| {
        let lease = queue.get_lease().expect("an item");
        dropped_by_a_child(&lease, sync_ipc::Lease::ack);
        core::mem::forget(lease);
        0
    });
    assert_eq!(worker.join(), 0);
    assert_eq!(queue.get_timeout(crate::processes::FOR_EVER), Ok(8));
}

#[test]
fn a_forked_childs_copy_of_a_task_is_not_done() {
    let segment = Segment::anonymous(65536).expect("a segment");
    let jobs = JoinableQueue::<u64>::create(&segment, "j", 4).expect("room");
    jobs.put(9).expect("room");
    let task = jobs.get().expect("a task");
    dropped_by_a_child(&task, sync_ipc::Task::done);
    dropped_by_a_child(&task, drop);
    assert_eq!(jobs.join_timeout(std::time::Duration::from_millis(20)), Ok(false));
    task.done();
    assert_eq!(jobs.join(), Ok(()));
}

#[test]
fn a_closed_queue_waits_for_what_may_come_back() {
    let (_segment, queue) = world(4);
    queue.put(1).expect("room");
    let lease = queue.get_lease().expect("an item");
    queue.shutdown();
    assert_eq!(queue.try_get(), Err(RecvError::Empty), "it is on lease");
    assert_eq!(queue.get_timeout(Duration::from_millis(5)), Err(RecvError::TimedOut));
    drop(lease);
    assert_eq!(queue.get(), Ok(1), "it came back");
    assert_eq!(queue.get(), Err(RecvError::Closed));
}

#[test]
fn a_receiver_of_a_closed_queue_is_woken_by_the_last_acknowledgement() {
    let (_segment, queue) = world(4);
    queue.put(1).expect("room");
    let lease = queue.get_lease().expect("an item");
    queue.shutdown();
    let mut waits = fork(|| (queue.get() == Err(RecvError::Closed)).into());
    std::thread::sleep(Duration::from_millis(5));
    lease.ack();
    assert_eq!(waits.join(), 1);
}

#[test]
fn a_closed_queue_that_drops_orphans_waits_for_no_lease() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let options = QueueOptions { capacity: 4, orphans: Orphans::Drop };
    let queue = Queue::<u64>::with_options(&segment, "queue", options).expect("room");
    queue.put(1).expect("room");
    let lease = queue.get_lease().expect("an item");
    queue.shutdown();
    assert_eq!(queue.get(), Err(RecvError::Closed), "a lease cannot bring it back");
    drop(lease);
    assert_eq!(queue.get(), Err(RecvError::Closed));
}

#[test]
fn a_receiver_of_a_closed_queue_does_not_wait_for_a_dead_leaser() {
    let (_segment, queue) = world(4);
    queue.put(1).expect("room");
    let mut dies = fork(|| {
        core::mem::forget(queue.get_lease().expect("an item"));
        0
    });
    assert_eq!(dies.join(), 0);
    queue.shutdown();
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.get(), Err(RecvError::Closed));
}

#[test]
fn a_forked_copy_of_a_lease_is_nothing() {
    let (_segment, queue) = world(4);
    for how in 0..2 {
        queue.put(7).expect("room");
        let lease = queue.get_lease().expect("an item");
        let mut lease = Some(lease);
        let mut child = fork(|| {
            let lease = lease.take().expect("its copy");
            if how == 0 {
                drop(lease)
            } else {
                lease.ack()
            }
            0
        });
        assert_eq!(child.join(), 0);
        assert_eq!(queue.try_get(), Err(RecvError::Empty), "the parent works on it");
        drop(lease);
        assert_eq!(queue.get(), Ok(7), "and gave it back");
    }
}

#[test]
fn the_end_of_all_senders_is_noticed() {
    alone(|| {
        let (sender, receiver) = queue::<u32>(4).expect("a segment");
        sender.send(5).expect("room");
        let other = Sender::<u32>::open(sender.segment()).expect("it is there");
        drop(sender);
        assert_eq!(receiver.recv(), Ok(5));
        assert_eq!(receiver.try_recv(), Err(RecvError::Empty), "another sender lives");
        drop(other);
        assert_eq!(receiver.try_recv(), Err(RecvError::Disconnected));
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        let again = Sender::<u32>::open(receiver.segment()).expect("it is there");
        again.send(6).expect("room");
        drop(again);
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(6), Err(RecvError::Disconnected)));
    });
}

#[test]
fn a_waiting_receiver_notices_the_death_of_the_last_sender() {
    alone(|| {
        let (sender, receiver) = queue::<u32>(4).expect("a segment");
        let mut dies = fork(|| {
            sender.send(1).expect("room");
            std::thread::sleep(FOR_EVER);
            0
        });
        drop(sender);
        assert_eq!(receiver.recv(), Ok(1));
        let mut waits = fork(|| (receiver.recv() == Err(RecvError::Disconnected)).into());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(receiver.try_recv(), Err(RecvError::Empty), "the forked sender lives");
        dies.kill();
        assert_eq!(waits.join(), 1);
    });
}

#[test]
fn a_forked_sender_counts_before_its_first_use() {
    alone(|| {
        let (sender, receiver) = queue::<u32>(4).expect("a segment");
        let mut sends = fork(|| {
            std::thread::sleep(Duration::from_millis(60));
            sender.send(8).expect("room");
            0
        });
        drop(sender);
        assert_eq!(receiver.recv(), Ok(8));
        assert_eq!(sends.join(), 0);
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    });
}

#[test]
fn the_end_of_all_receivers_is_noticed() {
    alone(|| {
        let (sender, receiver) = queue::<u32>(2).expect("a segment");
        drop(receiver);
        assert_eq!(sender.send(1), Err(SendError::Disconnected(1)), "left in good order: at once");
        let receiver = Receiver::<u32>::open(sender.segment()).expect("it is there");
        let mut dies = fork(|| {
            std::thread::sleep(FOR_EVER);
            0
        });
        drop(receiver);
        sender.send(1).expect("the forked receiver lives");
        sender.send(2).expect("room");
        dies.kill();
        assert_eq!(sender.send(3), Err(SendError::Disconnected(3)), "killed: when it is full");
    });
}

/// Two workers pass one task on for as long as the test runs: there is no moment at which all is
/// done. The capacity makes a walk over the slots long.
#[test]
fn join_does_not_return_while_work_moves() {
    let segment = Segment::anonymous(1 << 18).expect("a segment");
    let jobs = JoinableQueue::<u64>::create(&segment, "jobs", 1024).expect("room");
    jobs.put(1).expect("room");
    jobs.put(1).expect("room");
    let works = || {
        while let Ok(task) = jobs.get() {
            if *task.item() == 0 {
                task.done();
                return 0;
            }
            jobs.put(1).expect("room");
            task.done();
        }
        1
    };
    let mut workers = [fork(works), fork(works)];
    for _ in 0..2000 {
        assert_eq!(jobs.join_timeout(Duration::ZERO), Ok(false), "two tasks are never done");
    }
    // One end for each worker; the two tasks stay.
    jobs.put(0).expect("room");
    jobs.put(0).expect("room");
    assert_eq!(workers.each_mut().map(Child::join), [0, 0]);
}

/// A sender finds room as long as there is some at every moment: the others use two slots of three.
#[test]
fn full_is_not_returned_while_there_is_room() {
    let (_segment, queue) = world(3);
    let works = || {
        for _ in 0..20_000 {
            if queue.put(1).is_err() {
                return 1;
            }
            if queue.get().is_err() {
                return 2;
            }
        }
        0
    };
    let mut others = [fork(works), fork(works)];
    for _ in 0..20_000 {
        queue.try_put(2).expect("there is a third slot");
        queue.get().expect("one was sent");
    }
    assert_eq!(others.each_mut().map(Child::join), [0, 0]);
}

/// Counts the queries and the looks of a sweep.
#[derive(Default)]
struct Counts {
    asked: core::cell::Cell<usize>,
    looked: core::cell::Cell<usize>,
}

impl Platform for Counts {
    fn me(&self) -> u32 {
        1
    }

    fn is_dead(&self, identity: u32) -> bool {
        self.asked.set(self.asked.get() + 1);
        identity != 1
    }

    fn sleep(
        &self,
        _: &sync_core::primitive::atomic::AtomicU32,
        _: u32,
        _: Duration,
        _: Option<sync_core::primitive::futex::Deadline>,
    ) -> Slept {
        Slept::Bound
    }

    fn wake(&self, _: &sync_core::primitive::atomic::AtomicU32, _: u32) -> usize {
        0
    }

    fn at<'a, A>(&self, atomic: &'a A) -> &'a A {
        self.looked.set(self.looked.get() + 1);
        atomic
    }
}

/// The largest queue, full of items that two dead senders left unsent: a sweep frees all of them,
/// queries each of the two senders once, and looks at each word a bounded number of times.
#[test]
fn a_sweep_takes_linear_time() {
    use sync_core::primitive::atomic::Ordering;

    let capacity = sync_ipc::raw::queue::MAX_SLOTS;
    let ring = crate::steps::ring(capacity);
    for (at, (slot, origin)) in ring.slots.iter().zip(ring.origins).enumerate() {
        // Of participants 2 and 3 in turn: WRITING, and READY.
        let sender = 2 + at as u64 % 2;
        origin.store(sender, Ordering::Relaxed);
        slot.store(if at % 4 < 2 { 1 << 30 | sender } else { 2 << 30 }, Ordering::Relaxed);
    }
    let counts = Counts::default();
    let found = ring.sweep(&counts, Orphans::Redeliver, true).expect("attached");
    assert_eq!((found.freed, found.taken), (capacity, None));
    assert_eq!(counts.asked.get(), 2);
    assert!(counts.looked.get() <= 40 * capacity, "{} looks", counts.looked.get());
}

#[test]
fn a_try_on_a_full_queue_notices_the_death_of_the_last_receiver() {
    alone(|| {
        let (sender, receiver) = queue::<u32>(1).expect("a segment");
        let mut dies = fork(|| {
            std::thread::sleep(FOR_EVER);
            0
        });
        drop(receiver);
        sender.send(1).expect("room");
        dies.kill();
        until("the end is noticed", || match sender.try_send(2) {
            Err(SendError::Disconnected(2)) => true,
            other => {
                assert_eq!(other, Err(SendError::Full(2)));
                false
            }
        });
    });
}
