//! Puts and gets of tasks that start, are polled and are dropped at random, against a naive oracle:
//! no item is lost or doubled, and where all that were woken have been polled, no task waits for
//! what is there.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use sync_queue::channel::{Receiver, Sender, bounded, unbounded};
use sync_queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue};

#[derive(Clone, Copy, Debug)]
enum Call {
    Put,
    Get,
    /// Polls a wait if its waker was called, or also if it was not.
    Poll(usize, bool),
    Drop(usize),
    TryGet,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        3 => Just(Call::Put),
        3 => Just(Call::Get),
        5 => (any::<usize>(), any::<bool>()).prop_map(|(at, always)| Call::Poll(at, always)),
        2 => any::<usize>().prop_map(Call::Drop),
        1 => Just(Call::TryGet),
    ];
    proptest::collection::vec(call, 0..60)
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Option<u32>> + 'a>>;

/// The operations of a queue or a channel. A put has no output.
struct Ends<'a> {
    put: Box<dyn Fn(u32) -> Answer<'a> + 'a>,
    get: Box<dyn Fn() -> Answer<'a> + 'a>,
    try_get: Box<dyn Fn() -> Option<u32> + 'a>,
    capacity: usize,
}

struct Wait<'a> {
    /// The item of a put; `None`: a get.
    item: Option<u32>,
    future: Answer<'a>,
    woken: Arc<Flag>,
    began: bool,
}

#[derive(Default)]
struct Oracle {
    /// The items whose put has returned, and which no get has returned.
    inside: BTreeSet<u32>,
    /// With room for none: the items of puts that were dropped, which may have been handed over.
    dropped: BTreeSet<u32>,
    got: BTreeSet<u32>,
    capacity: usize,
}

impl Oracle {
    fn got(&mut self, item: u32, pending: &[Wait<'_>]) {
        assert!(self.got.insert(item), "{item} was got twice");
        if !self.inside.remove(&item) {
            // With room for none a put returns after its item was got.
            let handed = pending.iter().any(|wait| wait.item == Some(item) && wait.began);
            assert!(
                self.capacity == 0 && (handed || self.dropped.contains(&item)),
                "{item} was got, and was not inside"
            );
        }
    }
}

/// Returns whether the wait is over.
fn poll(waits: &mut Vec<Wait<'_>>, at: usize, always: bool, oracle: &mut Oracle) -> bool {
    let wait = &mut waits[at];
    let woken = wait.woken.0.swap(false, Ordering::SeqCst);
    if !woken && !always && wait.began {
        return false;
    }
    wait.began = true;
    let waker = Waker::from(Arc::clone(&wait.woken));
    let Poll::Ready(got) = wait.future.as_mut().poll(&mut Context::from_waker(&waker)) else {
        return false;
    };
    let wait = waits.swap_remove(at);
    match (wait.item, got) {
        (Some(item), _) => {
            if !oracle.got.contains(&item) {
                oracle.inside.insert(item);
            }
        }
        (None, Some(item)) => oracle.got(item, waits),
        (None, None) => unreachable!("no queue is closed"),
    }
    true
}

fn run(calls: &[Call], ends: &Ends<'_>) {
    let mut waits: Vec<Wait<'_>> = Vec::new();
    let mut oracle = Oracle { capacity: ends.capacity, ..Oracle::default() };
    let mut next = 0;
    for &call in calls {
        match call {
            Call::Put => {
                next += 1;
                let (future, woken) = ((ends.put)(next), Arc::default());
                waits.push(Wait { item: Some(next), future, woken, began: false });
            }
            Call::Get => {
                let (future, woken) = ((ends.get)(), Arc::default());
                waits.push(Wait { item: None, future, woken, began: false });
            }
            Call::Poll(at, always) if !waits.is_empty() => {
                let at = at % waits.len();
                poll(&mut waits, at, always, &mut oracle);
            }
            Call::Drop(at) if !waits.is_empty() => {
                let wait = waits.swap_remove(at % waits.len());
                oracle.dropped.extend(wait.item.filter(|_| wait.began));
            }
            Call::TryGet => {
                if let Some(item) = (ends.try_get)() {
                    oracle.got(item, &waits);
                }
            }
            _ => {}
        }
    }
    // From here on only wakes count.
    waits.retain(|wait| wait.began);
    while let Some(at) = waits.iter().position(|wait| wait.woken.0.load(Ordering::SeqCst)) {
        poll(&mut waits, at, false, &mut oracle);
    }
    let (puts, gets): (Vec<_>, Vec<_>) = waits.into_iter().partition(|wait| wait.item.is_some());
    if ends.capacity == 0 {
        assert!(puts.is_empty() || gets.is_empty(), "a put and a get wait for each other");
    } else {
        assert!(puts.is_empty() || oracle.inside.len() == ends.capacity, "there is room");
        assert!(gets.is_empty() || oracle.inside.is_empty(), "there are items");
    }
    oracle.dropped.extend(puts.iter().filter_map(|wait| wait.item));
    drop((puts, gets));
    while let Some(item) = (ends.try_get)() {
        oracle.got(item, &[]);
    }
    assert!(oracle.inside.is_empty(), "{:?} were lost", oracle.inside);
}

macro_rules! queue {
    ($queue:expr, $capacity:expr) => {{
        let queue = &$queue;
        Ends {
            put: Box::new(move |item| {
                Box::pin(async move {
                    queue.put_async(item).await.expect("it is open");
                    None
                })
            }),
            get: Box::new(move || Box::pin(async move { queue.get_async().await.ok() })),
            try_get: Box::new(move || queue.try_get().ok()),
            capacity: $capacity,
        }
    }};
}

fn channel<'a>((sender, receiver): &'a (Sender<u32>, Receiver<u32>), capacity: usize) -> Ends<'a> {
    Ends {
        put: Box::new(move |item| {
            Box::pin(async move {
                sender.send_async(item).await.expect("it is open");
                None
            })
        }),
        get: Box::new(move || Box::pin(async move { receiver.recv_async().await.ok() })),
        try_get: Box::new(move || receiver.try_recv().ok()),
        capacity,
    }
}

proptest! {
    #[test]
    fn the_queues_lose_no_item_and_no_wake(calls in calls(), capacity in 1..3_usize) {
        let (fifo, unbounded) = (Queue::bounded(capacity), Queue::unbounded());
        run(&calls, &queue!(fifo, capacity));
        run(&calls, &queue!(unbounded, usize::MAX));
        let (lifo, priority) = (LifoQueue::bounded(capacity), PriorityQueue::bounded(capacity));
        run(&calls, &queue!(lifo, capacity));
        run(&calls, &queue!(priority, capacity));
        let simple = SimpleQueue::new();
        let simple = &simple;
        let ends = Ends {
            put: Box::new(move |item| Box::pin(async move {
                simple.put(item);
                None
            })),
            get: Box::new(move || Box::pin(async move { Some(simple.get_async().await) })),
            try_get: Box::new(move || simple.try_get()),
            capacity: usize::MAX,
        };
        run(&calls, &ends);
    }

    #[test]
    fn the_channels_lose_no_item_and_no_wake(calls in calls()) {
        run(&calls, &channel(&bounded(0), 0));
        run(&calls, &channel(&bounded(1), 1));
        run(&calls, &channel(&bounded(2), 2));
        run(&calls, &channel(&unbounded(), usize::MAX));
    }
}
