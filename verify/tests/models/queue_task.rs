//! Tasks that wait for queues and jobs: a future that is dropped after any poll loses no item and
//! swallows no wake, next to threads and next to tasks.

use core::future::{Future, IntoFuture};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use sync_core::primitive::futex::task::model_with_tasks;
use sync_core::task::block_on;
use sync_queue::channel::{self, select};
use sync_queue::{
    LifoQueue, PriorityQueue, Queue, SimpleQueue, ThreadPool, Until, as_completed, wait_async,
};

use crate::support::{Arc, Order, Tracked, body, with};

/// Polls a future `polls` times at most, and drops it.
fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

model! {
    /// A task waits for an item, and a thread puts it.
    fn handed_over_to_a_task(order) {
        model_with_tasks();
        let queue = Arc::new(Queue::unbounded());
        let gets = with(&queue, |queue: Arc<Queue<Tracked>>| {
            assert_eq!(block_on(queue.get_async()).unwrap().get(), 7);
        });
        let puts = with(&queue, |queue| {
            let item = Tracked::new(0);
            item.set(7);
            assert!(queue.put(item).is_ok());
        });
        order.run([gets, puts]);
    }
}

model! {
    /// Room for one: a task that puts waits for the thread that gets.
    fn room_for_a_task(order) small whole {
        model_with_tasks();
        let queue = Arc::new(Queue::bounded(1));
        queue.put(1).unwrap();
        let puts = with(&queue, |queue| block_on(queue.put_async(2)).unwrap());
        let gets = with(&queue, |queue| assert_eq!(queue.get(), Ok(1)));
        order.run([puts, gets]);
        assert_eq!(queue.drain(), [2]);
    }
}

/// A task gives a get up after some polls while a thread waits for the same item.
fn a_get_that_is_given_up(order: Order, polls: usize) {
    model_with_tasks();
    let queue = Arc::new(Queue::unbounded());
    let gives_up = with(&queue, move |queue| {
        if let Some(item) = give_up_after(polls, queue.get_async()) {
            // Taken, and so it is this task's to put back.
            queue.put(item.unwrap()).unwrap();
        }
    });
    let gets = with(&queue, |queue| assert_eq!(queue.get(), Ok(7)));
    let puts = with(&queue, |queue| queue.put(7).unwrap());
    order.run([gives_up, gets, puts]);
    assert!(queue.is_empty());
}

model! {
    /// A get is dropped after its first poll: the thread gets the item.
    fn a_get_dropped_after_one_poll_leaves_item_and_wake(order) tight {
        a_get_that_is_given_up(order, 1);
    }
}

model! {
    /// The same after its second poll.
    fn a_get_dropped_after_two_polls_leaves_item_and_wake(order) tight {
        a_get_that_is_given_up(order, 2);
    }
}

model! {
    /// The same, and the other one is a task.
    fn a_get_dropped_next_to_another_task(order) tight {
        model_with_tasks();
        let queue = Arc::new(SimpleQueue::new());
        let gives_up = with(&queue, |queue: Arc<SimpleQueue<u32>>| {
            if let Some(item) = give_up_after(1, queue.get_async()) {
                queue.put(item);
            }
        });
        let gets = with(&queue, |queue| assert_eq!(block_on(queue.get_async()), 7));
        let puts = with(&queue, |queue| queue.put(7));
        order.run([gives_up, gets, puts]);
    }
}

model! {
    /// Two tasks of one thread wait, and the first one is dropped, chosen or not: the other one
    /// gets the item.
    fn a_dropped_task_passes_its_wake_on(order) small whole {
        model_with_tasks();
        let queue = Arc::new(SimpleQueue::new());
        let gets = with(&queue, |queue: Arc<SimpleQueue<u32>>| {
            let mut first = Box::pin(queue.get_async());
            let mut second = Box::pin(queue.get_async());
            let mut context = Context::from_waker(Waker::noop());
            if first.as_mut().poll(&mut context).is_ready() {
                return;
            }
            let polled = second.as_mut().poll(&mut context);
            drop(first);
            if polled.is_pending() {
                assert_eq!(block_on(second), 7);
            }
        });
        let puts = with(&queue, |queue| queue.put(7));
        order.run([gets, puts]);
    }
}

model! {
    /// A put is dropped after a poll: its item is in the queue or gone with it, and the room goes
    /// to the thread that waits.
    fn a_put_dropped_leaves_the_room_to_the_next(order) tight {
        model_with_tasks();
        let queue = Arc::new(LifoQueue::bounded(1));
        queue.put(1).unwrap();
        let gives_up = with(&queue, |queue| {
            if give_up_after(1, queue.put_async(2)).is_some() {
                assert!(queue.get().is_ok());
            }
        });
        let puts = with(&queue, |queue| queue.put(3).unwrap());
        let gets = with(&queue, |queue| assert!(queue.get().is_ok()));
        order.run([gives_up, puts, gets]);
        assert_eq!(queue.len(), 1);
    }
}

model! {
    /// A shutdown wakes a task that gets, and a join of a task ends with the last task done.
    fn a_shutdown_and_a_join_reach_tasks(order) small {
        model_with_tasks();
        let queue = Arc::new(Queue::<u32>::unbounded());
        queue.put(1).unwrap();
        let works = with(&queue, |queue| {
            while block_on(queue.get_async()).is_ok() {
                queue.task_done().unwrap();
            }
        });
        let joins = with(&queue, |queue| {
            block_on(queue.join_async());
            queue.shutdown();
        });
        order.run([works, joins]);
    }
}

model! {
    /// A task waits for the result of a job, and sees what the job did.
    fn a_job_is_awaited(_order) tight {
        model_with_tasks();
        let pool = ThreadPool::new(1);
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        block_on(handle.into_future()).unwrap();
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// The future of a job is dropped while the job ends.
    fn a_job_that_is_not_awaited_to_the_end(_order) tight {
        model_with_tasks();
        let pool = ThreadPool::new(1);
        let result = Arc::new(Tracked::new(0));
        let inside = result.clone();
        let handle = pool.submit(move || inside).unwrap();
        drop(give_up_after(1, handle.into_future()));
        pool.shutdown(true, false).unwrap();
        drop(pool);
        assert_eq!(Arc::strong_count(&result), 1);
    }
}

model! {
    /// A task waits for all of two jobs, one of which is cancelled.
    fn a_task_waits_for_all(_order) tight {
        model_with_tasks();
        let pool = ThreadPool::new(1);
        let handles = [1, 2].map(|value| pool.submit(move || value).unwrap());
        handles[1].cancel();
        let waited = block_on(wait_async(handles, Until::All));
        assert_eq!(waited.done.len(), 2);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A task waits for all of two jobs by the order of their ends.
    fn a_task_gets_jobs_as_they_complete(_order) tight {
        model_with_tasks();
        let pool = ThreadPool::new(1);
        let handles = [1, 2].map(|value| pool.submit(move || value).unwrap());
        let mut done = as_completed(handles);
        drop(give_up_after(1, done.next_async()));
        let mut left = 0;
        while let Some(handle) = block_on(done.next_async()) {
            left += handle.result().unwrap();
        }
        assert!(left > 0);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// An item of a priority queue comes to a task, beside a task that gives up.
    fn a_priority_queue_of_a_thread_and_a_task(order) small {
        model_with_tasks();
        let queue = Arc::new(PriorityQueue::unbounded());
        let gets = with(&queue, |queue| assert_eq!(block_on(queue.get_async()), Ok(7)));
        let puts = with(&queue, |queue| queue.put(7).unwrap());
        order.run([gets, puts]);
    }
}

fn item(value: u32) -> Tracked {
    let item = Tracked::new(0);
    item.set(value);
    item
}

/// A thread sends to a task, and the task gives up and tries again.
fn a_task_receives(order: Order, capacity: usize) {
    model_with_tasks();
    let (sender, receiver) = channel::bounded::<Tracked>(capacity);
    let receives = body(move || {
        let got = give_up_after(1, receiver.recv_async());
        let got = got.unwrap_or_else(|| block_on(receiver.recv_async()));
        assert_eq!(got.unwrap().get(), 7);
    });
    let sends = body(move || assert!(sender.send(item(7)).is_ok()));
    order.run([receives, sends]);
}

model! {
    /// Through a queue with room for one.
    fn a_channel_from_a_thread_to_a_task(order) small {
        a_task_receives(order, 1);
    }
}

model! {
    /// From hand to hand: an item that was handed to a receive that gave up is not lost.
    fn a_rendezvous_of_a_thread_and_a_task(order) small {
        a_task_receives(order, 0);
    }
}

/// A task sends to a thread, and then ends.
fn a_task_sends(order: Order, capacity: usize) {
    model_with_tasks();
    let (sender, receiver) = channel::bounded::<Tracked>(capacity);
    let sends = body(move || {
        assert!(block_on(sender.send_async(item(1))).is_ok());
        assert!(block_on(sender.send_async(item(2))).is_ok());
    });
    let receives = body(move || {
        assert_eq!(receiver.recv().unwrap().get(), 1);
        assert_eq!(receiver.recv().unwrap().get(), 2);
        assert!(receiver.recv().is_err());
    });
    order.run([sends, receives]);
}

model! {
    /// Through a queue with room for one.
    fn a_channel_from_a_task_to_a_thread(order) small {
        a_task_sends(order, 1);
    }
}

model! {
    /// From hand to hand.
    fn a_rendezvous_of_a_task_and_a_thread(order) tight {
        a_task_sends(order, 0);
    }
}

model! {
    /// A send that gives up has sent its item, or taken it along: the receiver gets either no item
    /// or that one.
    fn a_rendezvous_that_a_task_gives_up(order) small {
        model_with_tasks();
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let sent = Arc::new(Tracked::new(0));
        let gives_up = with(&sent, move |sent| {
            if give_up_after(2, sender.send_async(item(7))).is_some() {
                sent.set(1);
            }
        });
        let got = Arc::new(Tracked::new(0));
        let receives = with(&got, move |got| {
            if let Ok(item) = receiver.recv() {
                assert_eq!(item.get(), 7);
                got.set(1);
            }
        });
        order.run([gives_up, receives]);
        assert!(got.get() >= sent.get());
    }
}

model! {
    /// A select of a thread waits for two channels; the item comes from a task.
    fn a_select_of_a_thread_against_a_send_of_a_task(order) tight {
        model_with_tasks();
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let (silence, never) = channel::bounded::<Tracked>(1);
        let selects = body(move || select! {
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
            recv(receiver) -> item => assert_eq!(item.unwrap().get(), 7),
        });
        let sends = body(move || assert!(block_on(sender.send_async(item(7))).is_ok()));
        order.run([selects, sends]);
        drop(silence);
    }
}

model! {
    /// A select that sends meets a task that receives, or a task that gives up.
    fn a_select_of_a_thread_against_a_receive_of_a_task(order) tight {
        model_with_tasks();
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let (silence, never) = channel::bounded::<Tracked>(1);
        let selects = body(move || select! {
            send(sender, item(7)) -> sent => assert!(sent.is_ok()),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        let receives = body(move || {
            let got = give_up_after(1, receiver.recv_async());
            let got = got.unwrap_or_else(|| block_on(receiver.recv_async()));
            assert_eq!(got.unwrap().get(), 7);
        });
        order.run([selects, receives]);
        drop(silence);
    }
}

model! {
    /// A task and a select wait for the items of one queue, and each gets one.
    fn a_select_beside_a_task(order) tight {
        model_with_tasks();
        let (sender, receiver) = channel::bounded::<u32>(2);
        let (silence, never) = channel::bounded::<u32>(1);
        let other = receiver.clone();
        let selects = body(move || select! {
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
            recv(receiver) -> item => assert!(item.is_ok()),
        });
        let receives = body(move || assert!(block_on(other.recv_async()).is_ok()));
        let sends = body(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
        });
        order.run([selects, receives, sends]);
        drop(silence);
    }
}
