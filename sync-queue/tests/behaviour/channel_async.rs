//! `recv_async` and `send_async`.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::task::block_on;
use sync_queue::channel::{
    self, Receiver, RecvError, Select, SendError, Sender, TryRecvError, bounded, select, unbounded,
};
use sync_queue::{PriorityQueue, Queue};

use crate::evil_waker::survives;
use crate::support::{A_MOMENT, Drops};
use crate::watchdog::watch;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that counts its calls.
fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

fn open(capacity: Option<usize>) -> (Sender<u32>, Receiver<u32>) {
    capacity.map_or_else(unbounded, bounded)
}

const CAPACITIES: [Option<usize>; 3] = [Some(0), Some(1), None];

#[test]
fn tasks_and_threads_pass_items_to_each_other() {
    let _watchdog = watch();
    for capacity in CAPACITIES {
        let (sender, receiver) = open(capacity);
        let (tasks, others) = (sender.clone(), receiver.clone());
        let sum: u32 = thread::scope(|scope| {
            scope.spawn(move || (0..500).for_each(|n| block_on(tasks.send_async(n)).unwrap()));
            scope.spawn(move || (500..1_000).for_each(|n| sender.send(n).unwrap()));
            let task = scope.spawn(move || {
                let mut sum = 0;
                while let Ok(item) = block_on(receiver.recv_async()) {
                    sum += item;
                }
                sum
            });
            others.iter().sum::<u32>() + task.join().unwrap()
        });
        assert_eq!(sum, (0..1_000).sum());
    }
}

#[test]
fn a_task_is_woken_by_an_item_by_room_and_by_the_end() {
    for capacity in CAPACITIES {
        let (sender, receiver) = open(capacity);
        let (woken, waker) = counted();
        let mut receives = pin!(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        sender.try_send(1).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(receives, &waker), Poll::Ready(Ok(1)));
        let mut receives = pin!(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        drop(sender);
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        assert_eq!(poll(receives, &waker), Poll::Ready(Err(RecvError)));
    }
    for capacity in [0, 1] {
        let (sender, receiver) = bounded(capacity);
        (0..capacity).for_each(|_| sender.send(0).unwrap());
        let (woken, waker) = counted();
        let mut sends = pin!(sender.send_async(1));
        assert!(poll(sends.as_mut(), &waker).is_pending());
        assert!(receiver.try_recv().is_ok());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(sends, &waker), Poll::Ready(Ok(())));
        (0..capacity).for_each(|_| assert!(sender.try_send(0).is_ok() || capacity > 0));
        let mut sends = pin!(sender.send_async(2));
        assert!(poll(sends.as_mut(), &waker).is_pending());
        drop(receiver);
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        assert_eq!(poll(sends, &waker), Poll::Ready(Err(SendError(2))));
    }
}

#[test]
fn the_last_waker_is_the_one_that_is_called() {
    for capacity in CAPACITIES {
        let (sender, receiver) = open(capacity);
        let ((first, one), (second, two)) = (counted(), counted());
        let mut receives = pin!(receiver.recv_async());
        assert!(poll(receives.as_mut(), &one).is_pending());
        assert!(poll(receives.as_mut(), &two).is_pending());
        sender.try_send(1).unwrap();
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(receives, &two), Poll::Ready(Ok(1)));
    }
}

#[test]
fn a_receive_that_is_dropped_loses_no_item_and_no_wake_up() {
    let _watchdog = watch();
    for capacity in CAPACITIES {
        let (sender, receiver) = open(capacity);
        let (_, waker) = counted();
        // Before an item comes.
        let mut receives = Box::pin(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        drop(receives);
        assert_eq!(sender.try_send(1).is_ok(), capacity != Some(0));
        let _ = receiver.try_recv();
        // After an item came for it.
        let mut receives = Box::pin(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        sender.try_send(2).unwrap();
        drop(receives);
        assert_eq!(receiver.try_recv(), Ok(2));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        // While another receiver sleeps behind it.
        let mut receives = Box::pin(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        thread::scope(|scope| {
            let other = scope.spawn(|| receiver.recv());
            thread::sleep(A_MOMENT);
            sender.send(3).unwrap();
            drop(receives);
            assert_eq!(other.join().unwrap(), Ok(3));
        });
    }
}

/// With room for none the item is the task's. Else it is in the queue, for any call that comes.
#[test]
fn an_item_that_a_task_was_chosen_for_while_the_task_is_not_polled() {
    for capacity in CAPACITIES {
        let (sender, receiver) = open(capacity);
        let (woken, waker) = counted();
        let mut receives = pin!(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        sender.try_send(1).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        if capacity == Some(0) {
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(poll(receives, &waker), Poll::Ready(Ok(1)));
        } else {
            assert_eq!(receiver.try_recv(), Ok(1));
            assert!(poll(receives.as_mut(), &waker).is_pending());
            sender.try_send(2).unwrap();
            assert_eq!(woken.0.load(Ordering::SeqCst), 2);
            assert_eq!(poll(receives, &waker), Poll::Ready(Ok(2)));
        }
    }
}

#[test]
fn an_item_that_a_dropped_receive_was_given_is_seen_by_a_select_and_by_the_end() {
    let drops = Drops::default();
    let give_back = |drops: &Drops| {
        let (sender, receiver) = bounded(0);
        let (_, waker) = counted();
        let mut receives = Box::pin(receiver.recv_async());
        assert!(poll(receives.as_mut(), &waker).is_pending());
        sender.try_send(drops.item()).unwrap();
        drop(receives);
        (sender, receiver)
    };
    let (sender, receiver) = give_back(&drops);
    drop(sender);
    let got = channel::select! { recv(receiver) -> item => item, default => Err(RecvError) };
    assert!(got.is_ok() && drops.count() == 0);
    drop(got);
    assert!(receiver.try_recv().is_err());
    let (_sender, receiver) = give_back(&drops);
    assert_eq!(drops.count(), 1);
    drop(receiver);
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_send_that_is_dropped_has_sent_its_item_or_takes_it_along() {
    for capacity in [0, 1] {
        let drops = Drops::default();
        let (sender, receiver) = bounded(capacity);
        (0..capacity).for_each(|_| assert!(sender.send(drops.item()).is_ok()));
        let (_, waker) = counted();
        let mut sends = Box::pin(sender.send_async(drops.item()));
        assert!(poll(sends.as_mut(), &waker).is_pending());
        drop(sends);
        assert_eq!(drops.count(), 1);
        let mut sends = Box::pin(sender.send_async(drops.item()));
        assert!(poll(sends.as_mut(), &waker).is_pending());
        let got = receiver.try_recv();
        assert!(got.is_ok());
        drop(sends);
        assert_eq!(drops.count(), if capacity == 0 { 1 } else { 2 });
    }
}

#[test]
fn a_select_meets_tasks() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    let (woken, waker) = counted();
    let mut sends = pin!(sender.send_async(1));
    assert!(poll(sends.as_mut(), &waker).is_pending());
    let got = channel::select! { recv(receiver) -> item => item };
    assert_eq!((got, woken.0.load(Ordering::SeqCst)), (Ok(1), 1));
    assert_eq!(poll(sends, &waker), Poll::Ready(Ok(())));
    let mut receives = pin!(receiver.recv_async());
    assert!(poll(receives.as_mut(), &waker).is_pending());
    channel::select! { send(sender, 2) -> sent => sent.unwrap() }
    assert_eq!(poll(receives, &waker), Poll::Ready(Ok(2)));
    // A select that waits already.
    thread::scope(|scope| {
        scope.spawn(|| channel::select! { send(sender, 3) -> sent => sent.unwrap() });
        thread::sleep(A_MOMENT);
        assert_eq!(block_on(receiver.recv_async()), Ok(3));
    });
}

#[test]
fn clocks_are_awaited() {
    let _watchdog = watch();
    let period = Duration::from_millis(2);
    let (began, ticks) = (Instant::now(), channel::tick(period));
    let due: Vec<_> = (0..3).map(|_| block_on(ticks.recv_async()).unwrap()).collect();
    assert!(began.elapsed() >= 3 * period && due.is_sorted());
    assert!(block_on(channel::after(period).recv_async()).is_ok());
    // A tick that another receiver takes is not received twice.
    let once = channel::after(period);
    let (woken, waker) = counted();
    let mut waits = pin!(once.recv_async());
    assert!(poll(waits.as_mut(), &waker).is_pending());
    assert!(once.recv().is_ok());
    while woken.0.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    assert!(poll(waits, &waker).is_pending());
    let (_, waker) = counted();
    assert!(poll(pin!(channel::never::<u32>().recv_async()), &waker).is_pending());
}

#[cfg(feature = "futures-core")]
#[test]
fn a_stream_has_the_items_and_then_ends_for_good() {
    use futures_core::{FusedStream, Stream};
    use std::future::poll_fn;

    for capacity in [Some(2), None] {
        let (sender, receiver) = open(capacity);
        let (woken, waker) = counted();
        let mut stream = pin!(receiver.stream());
        let cx = &mut Context::from_waker(&waker);
        assert!(stream.as_mut().poll_next(cx).is_pending());
        sender.send(1).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        sender.send(2).unwrap();
        drop(sender);
        for expected in [Some(1), Some(2), None, None] {
            assert_eq!(block_on(poll_fn(|cx| stream.as_mut().poll_next(cx))), expected);
        }
        assert!(stream.is_terminated());
    }
}

/// The thread that has chosen a receiving task as its partner drops the task before it sends.
#[test]
fn a_receive_that_a_select_has_chosen_may_be_dropped_by_the_same_thread() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    let (_count, waker) = counted();
    for sends in [true, false] {
        let mut receive = Box::pin(receiver.recv_async());
        assert!(poll(receive.as_mut(), &waker).is_pending());
        let mut select = Select::new();
        select.send(&sender);
        let selected = select.select();
        assert!(poll(receive.as_mut(), &waker).is_pending());
        drop(receive);
        if sends {
            // The item goes to the next receiver.
            selected.send(&sender, 7).unwrap();
            assert_eq!(receiver.try_recv(), Ok(7));
        } else {
            let left = catch_unwind(AssertUnwindSafe(|| drop(selected)));
            assert!(left.is_err(), "it was not completed");
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    }
    // In a macro: the item's expression drops the receive.
    let mut receive = Some(Box::pin(receiver.recv_async()));
    assert!(poll(receive.as_mut().unwrap().as_mut(), &waker).is_pending());
    select! {
        send(sender, { receive = None; 8 }) -> sent => sent.unwrap(),
    }
    assert!(receive.is_none());
    assert_eq!(receiver.try_recv(), Ok(8));
    // One that stays gets its item.
    let mut receive = Box::pin(receiver.recv_async());
    assert!(poll(receive.as_mut(), &waker).is_pending());
    select! {
        send(sender, 9) -> sent => sent.unwrap(),
    }
    assert_eq!(poll(receive.as_mut(), &waker), Poll::Ready(Ok(9)));
}

/// The task finds a select that sends and is dropped before the select goes on.
#[test]
fn a_receive_that_has_chosen_a_select_may_be_dropped_at_once() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    let (_count, waker) = counted();
    thread::scope(|scope| {
        let sends = scope.spawn(|| {
            select! {
                send(sender, 7) -> sent => sent.unwrap(),
            }
        });
        let mut select = Select::new();
        select.recv(&receiver);
        select.ready();
        {
            let mut receive = pin!(receiver.recv_async());
            if let Poll::Ready(item) = poll(receive.as_mut(), &waker) {
                assert_eq!(item, Ok(7));
                return;
            }
        }
        assert_eq!(receiver.recv(), Ok(7));
        sends.join().unwrap();
    });
}

/// Every kind of wait of a task for a queue or a channel.
#[test]
fn a_waker_that_panics_takes_no_item_and_no_wake_along() {
    let _watch = watch();
    let queue = Queue::unbounded();
    survives(
        "a get",
        &|| {
            drop(queue.drain());
            Box::pin(async { queue.get_async().await.unwrap() })
        },
        &|| queue.put(()).unwrap(),
    );
    let full = PriorityQueue::bounded(2);
    survives(
        "a put",
        &|| {
            while full.try_put(0).is_ok() {}
            Box::pin(async { full.put_async(1).await.unwrap() })
        },
        &|| _ = full.try_get(),
    );
    let counted = Queue::unbounded();
    survives(
        "a join",
        &|| {
            if counted.unfinished() == 0 {
                counted.put(()).unwrap();
            }
            Box::pin(counted.join_async())
        },
        &|| {
            let _ = counted.task_done();
        },
    );
    let (sender, receiver) = channel::unbounded();
    survives(
        "a receive",
        &|| {
            drop(receiver.drain());
            Box::pin(async { receiver.recv_async().await.unwrap() })
        },
        &|| sender.send(()).unwrap(),
    );
    let (sender, receiver) = channel::bounded(2);
    survives(
        "a send",
        &|| {
            while sender.try_send(()).is_ok() {}
            Box::pin(async { sender.send_async(()).await.unwrap() })
        },
        &|| _ = receiver.try_recv(),
    );
    let (sender, receiver) = channel::bounded(0);
    survives(
        "a receive that a send meets",
        &|| Box::pin(async { receiver.recv_async().await.unwrap() }),
        &|| _ = sender.try_send(()),
    );
    survives(
        "a send that a receive meets",
        &|| Box::pin(async { sender.send_async(()).await.unwrap() }),
        &|| _ = receiver.try_recv(),
    );
    assert!(receiver.try_recv().is_err(), "nothing is left");
}

/// The event that a task was chosen for goes to the next waiter, a task or a thread, if the task is
/// dropped; with room for none the item itself goes on.
#[test]
fn what_a_dropped_task_was_chosen_for_goes_to_the_next_one() {
    let _watchdog = watch();
    for capacity in CAPACITIES {
        let (sender, receiver) = open(capacity);
        let wakers = [counted(), counted(), counted()];
        let mut receives: Vec<_> =
            wakers.iter().map(|_| Some(Box::pin(receiver.recv_async()))).collect();
        for (receive, (_, waker)) in receives.iter_mut().flatten().zip(&wakers) {
            assert!(poll(receive.as_mut(), waker).is_pending());
        }
        sender.try_send(7).unwrap();
        for chosen in 0..2 {
            let woken = wakers.each_ref().map(|(calls, _)| calls.0.load(Ordering::SeqCst));
            assert_eq!(woken.into_iter().sum::<usize>(), chosen + 1, "one at a time: {woken:?}");
            let last = receives.iter().position(|receive| receive.is_some()).unwrap();
            assert_eq!(woken[last], 1, "the one that has waited longest");
            receives[last] = None;
        }
        let last = receives[2].as_mut().unwrap();
        assert_eq!(wakers[2].0.0.load(Ordering::SeqCst), 1, "the event was lost");
        assert_eq!(poll(last.as_mut(), &wakers[2].1), Poll::Ready(Ok(7)));
    }
    // Room, in the same way.
    let (sender, receiver) = bounded(1);
    sender.send(0).unwrap();
    let wakers = [counted(), counted(), counted()];
    let mut sends: Vec<_> = (1..4).map(|n| Some(Box::pin(sender.send_async(n)))).collect();
    for (send, (_, waker)) in sends.iter_mut().flatten().zip(&wakers) {
        assert!(poll(send.as_mut(), waker).is_pending());
    }
    assert_eq!(receiver.try_recv(), Ok(0));
    for chosen in 0..2 {
        assert_eq!(wakers[chosen].0.0.load(Ordering::SeqCst), 1);
        assert_eq!(wakers[chosen + 1].0.0.load(Ordering::SeqCst), 0);
        sends[chosen] = None;
    }
    assert_eq!(wakers[2].0.0.load(Ordering::SeqCst), 1, "the room was lost");
    assert_eq!(poll(sends[2].as_mut().unwrap().as_mut(), &wakers[2].1), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(3));
}

/// With room for none: `drain` finds the item of a receive that was dropped before it took it.
#[test]
fn drain_finds_what_a_dropped_receive_gave_back() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(0);
    let (_, waker) = counted();
    let mut receives: Vec<_> = (0..3).map(|_| Box::pin(receiver.recv_async())).collect();
    for receive in &mut receives {
        assert!(poll(receive.as_mut(), &waker).is_pending());
    }
    (0..3).for_each(|n| sender.try_send(n).unwrap());
    receives.into_iter().for_each(drop);
    assert_eq!(receiver.drain(), [0, 1, 2]);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert!(receiver.drain().is_empty());
}
