//! Histories: what the calls of a model returned must be what a sequential queue could have
//! returned, in some order of the calls that keeps what happened before what. Every execution's
//! history is checked: answers of timed and failing calls too, and through shutdowns.
//!
//! The oracle is a `Vec`. `channel::bounded(0)` has no history of this kind (a send and a receive
//! are one step of two threads); its models are in `channel`.

use std::time::Duration;

use sync_queue::{
    Consumer, GetError, LifoQueue, PriorityQueue, Producer, PutError, Queue, ShutDown, SimpleQueue,
    channel, spsc,
};
use verify::linear::{History, Spec};

use crate::support::{Arc, Body, Order, body, breaks, judge};

const SOON: Duration = Duration::from_millis(1);

/// A call of a queue. `InTime`: with a timeout that may run out at any moment.
#[derive(Clone, Copy, Debug)]
enum Call {
    Put(u32),
    TryPut(u32),
    PutInTime(u32),
    Force(u32),
    Get,
    TryGet,
    GetInTime,
    Len,
    Shut,
    /// `shutdown_now`, which is two steps: `Shut`, then this one.
    Drain,
    /// The last receiver of a channel goes: as `Drain`, but no thread learns what was inside.
    HangUp,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Done,
    Full(u32),
    Refused(u32),
    Item(u32),
    Empty,
    Over,
    Instead(Option<u32>),
    Length(usize),
    Drained(Vec<u32>),
}

use Answer::{Done, Drained, Empty, Full, Instead, Item, Length, Over, Refused};
use Call::{Drain, Force, Get, GetInTime, HangUp, Len, Put, PutInTime, Shut, TryGet, TryPut};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Takes {
    First,
    Last,
    /// By the tens: 10 and 11 are equals.
    Lowest,
}

/// The sequential queue.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Oracle {
    takes: Takes,
    capacity: usize,
    items: Vec<u32>,
    shut: bool,
}

impl Oracle {
    fn new(takes: Takes, capacity: usize) -> Self {
        Self { takes, capacity, items: Vec::new(), shut: false }
    }

    fn take(&mut self) -> Option<u32> {
        let items = &mut self.items;
        let at = match self.takes {
            Takes::First => 0,
            Takes::Last => items.len().wrapping_sub(1),
            Takes::Lowest => (0..items.len()).min_by_key(|&at| (items[at] / 10, at)).unwrap_or(0),
        };
        (at < items.len()).then(|| items.remove(at))
    }

    fn drain(&mut self) -> Vec<u32> {
        self.shut = true;
        core::iter::from_fn(|| self.take()).collect()
    }
}

impl Spec for Oracle {
    type Call = Call;
    type Return = Answer;

    fn apply(&mut self, call: &Call) -> Answer {
        match *call {
            Put(item) | TryPut(item) | PutInTime(item) | Force(item) if self.shut => Refused(item),
            Force(item) if self.items.len() == self.capacity => {
                // Models force into first-in-first-out queues alone.
                let evicted = self.take();
                self.items.push(item);
                Instead(evicted)
            }
            Force(item) => {
                self.items.push(item);
                Instead(None)
            }
            Put(item) | TryPut(item) | PutInTime(item) if self.items.len() == self.capacity => {
                Full(item)
            }
            Put(item) | TryPut(item) | PutInTime(item) => {
                self.items.push(item);
                Done
            }
            Get | TryGet | GetInTime => match self.take() {
                Some(item) => Item(item),
                None if self.shut => Over,
                None => Empty,
            },
            Len => Length(self.items.len()),
            Shut => {
                self.shut = true;
                Done
            }
            Drain => Drained(self.drain()),
            HangUp => {
                self.drain();
                Done
            }
        }
    }
}

/// A thread's way to the queue that is checked.
trait Queues: 'static {
    fn perform(&mut self, call: Call) -> Answer;
}

fn got<E>(result: Result<u32, E>, over: impl FnOnce(E) -> bool) -> Answer {
    result.map_or_else(|why| if over(why) { Over } else { Empty }, Item)
}

fn put(result: Result<(), PutError<u32>>) -> Answer {
    match result {
        Ok(()) => Done,
        Err(PutError::Full(item)) => Full(item),
        Err(PutError::ShutDown(item)) => Refused(item),
    }
}

/// A priority that equals its neighbours'.
#[derive(Debug, Eq)]
struct Ranked(u32);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.0 / 10).cmp(&(other.0 / 10))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

macro_rules! perform {
    ($Queue:ty, $wrap:expr, $unwrap:expr) => {
        impl Queues for Arc<$Queue> {
            fn perform(&mut self, call: Call) -> Answer {
                let (wrap, unwrap) = ($wrap, $unwrap);
                let back = |why: PutError<_>| match why {
                    PutError::Full(item) => PutError::Full(unwrap(item)),
                    PutError::ShutDown(item) => PutError::ShutDown(unwrap(item)),
                };
                match call {
                    Put(item) => put(self.put(wrap(item)).map_err(PutError::from).map_err(back)),
                    TryPut(item) => put(self.try_put(wrap(item)).map_err(back)),
                    PutInTime(item) => put(self.put_timeout(wrap(item), SOON).map_err(back)),
                    Force(item) => match self.force_put(wrap(item)) {
                        Ok(evicted) => Instead(evicted.map(unwrap)),
                        Err(ShutDown(item)) => Refused(unwrap(item)),
                    },
                    Get => got(self.get().map(unwrap), |ShutDown(())| true),
                    TryGet => got(self.try_get().map(unwrap), |why| why == GetError::ShutDown),
                    GetInTime => {
                        got(self.get_timeout(SOON).map(unwrap), |why| why == GetError::ShutDown)
                    }
                    Len => Length(self.len()),
                    Shut => {
                        self.shutdown();
                        Done
                    }
                    Drain => Drained(self.shutdown_now().into_iter().map(unwrap).collect()),
                    HangUp => unreachable!("a channel's"),
                }
            }
        }
    };
}

perform!(Queue<u32>, |item| item, |item| item);
perform!(LifoQueue<u32>, |item| item, |item| item);
perform!(PriorityQueue<Ranked>, Ranked, |item: Ranked| item.0);

impl Queues for Arc<SimpleQueue<u32>> {
    fn perform(&mut self, call: Call) -> Answer {
        match call {
            Put(item) | TryPut(item) | PutInTime(item) => {
                SimpleQueue::put(self, item);
                Done
            }
            Get => Item(self.get()),
            TryGet => self.try_get().map_or(Empty, Item),
            GetInTime => self.get_timeout(SOON).map_or(Empty, Item),
            Len => Length(self.len()),
            Force(_) | Shut | Drain | HangUp => unreachable!("it has none"),
        }
    }
}

/// Each thread has its own ends; the last one of a side shuts the channel.
#[derive(Clone)]
struct Ends(Option<channel::Sender<u32>>, Option<channel::Receiver<u32>>);

impl Ends {
    /// `(a sender, a receiver)`.
    fn apart((sender, receiver): (channel::Sender<u32>, channel::Receiver<u32>)) -> (Self, Self) {
        (Self(Some(sender), None), Self(None, Some(receiver)))
    }
}

impl Queues for Ends {
    fn perform(&mut self, call: Call) -> Answer {
        let sender = || self.0.as_ref().expect("this thread sends");
        let receiver = || self.1.as_ref().expect("this thread receives");
        match call {
            Put(item) => {
                sender().send(item).map_or_else(|back| Refused(back.into_inner()), |()| Done)
            }
            TryPut(item) => match sender().try_send(item) {
                Ok(()) => Done,
                Err(channel::TrySendError::Full(item)) => Full(item),
                Err(channel::TrySendError::Disconnected(item)) => Refused(item),
            },
            PutInTime(item) => match sender().send_timeout(item, SOON) {
                Ok(()) => Done,
                Err(channel::SendTimeoutError::Timeout(item)) => Full(item),
                Err(channel::SendTimeoutError::Disconnected(item)) => Refused(item),
            },
            Get => got(receiver().recv(), |_| true),
            TryGet => got(receiver().try_recv(), |why| why.is_disconnected()),
            GetInTime => got(receiver().recv_timeout(SOON), |why| why.is_disconnected()),
            Len => Length(self.0.as_ref().map_or_else(|| receiver().len(), channel::Sender::len)),
            Shut => {
                self.0 = None;
                Done
            }
            HangUp => {
                self.1 = None;
                Done
            }
            Force(_) | Drain => unreachable!("it has none"),
        }
    }
}

/// One side of an `spsc`.
enum Side {
    Producer(Producer<u32>),
    Consumer(Consumer<u32>),
}

impl Side {
    fn apart((producer, consumer): (Producer<u32>, Consumer<u32>)) -> (Self, Self) {
        (Self::Producer(producer), Self::Consumer(consumer))
    }
}

impl Queues for Side {
    fn perform(&mut self, call: Call) -> Answer {
        match (self, call) {
            (Self::Producer(producer), TryPut(item)) => {
                producer.try_put(item).map_or_else(Full, |()| Done)
            }
            (Self::Consumer(consumer), TryGet) => consumer.try_get().map_or(Empty, Item),
            _ => unreachable!("the other side's"),
        }
    }
}

type Calls = History<Call, Answer>;

fn perform(history: &Calls, queue: &mut impl Queues, calls: &[Call]) {
    for &call in calls {
        let shut = matches!(call, Drain).then(|| history.call(Shut));
        let pending = history.call(call);
        let answer = queue.perform(call);
        if let Some(shut) = shut {
            history.returned(shut, Done);
        }
        history.returned(pending, answer);
    }
}

/// Each script in a thread of its own; afterwards `rest`, if it is not part of a script, takes out
/// what is left.
fn run<Q: Queues, const N: usize>(
    order: Order,
    history: &std::sync::Arc<Calls>,
    rest: Option<Q>,
    scripts: [(Q, &'static [Call]); N],
) {
    let bodies: [Body; N] = scripts.map(|(mut queue, calls)| {
        let history = history.clone();
        body(move || perform(&history, &mut queue, calls))
    });
    order.run(bodies);
    if let Some(mut rest) = rest {
        let left = match rest.perform(Len) {
            Length(left) => left,
            other => unreachable!("{other:?}"),
        };
        for _ in 0..=left {
            perform(history, &mut rest, &[TryGet]);
        }
    }
}

/// Threads that share a queue, which holds `before` at first.
fn shared<Q: Queues + Clone, const N: usize>(
    order: Order,
    mut queue: Q,
    oracle: Oracle,
    before: &'static [Call],
    scripts: [&'static [Call]; N],
) {
    let history = std::sync::Arc::new(Calls::new());
    perform(&history, &mut queue, before);
    let rest = queue.clone();
    run(order, &history, Some(rest), scripts.map(|calls| (queue.clone(), calls)));
    judge(&history, oracle);
}

/// Threads with an end each.
fn ends<Q: Queues, const N: usize>(
    order: Order,
    oracle: Oracle,
    scripts: [(Q, &'static [Call]); N],
) {
    let history = std::sync::Arc::new(Calls::new());
    run(order, &history, None, scripts);
    judge(&history, oracle);
}

/// The models of a queue with room for one, or without a limit.
macro_rules! histories {
    ($new:expr, $takes:expr, $capacity:expr) => {
        model! {
            /// No thread waits: every "empty" and "full" must be true of a moment within its call.
            fn tries(order) small whole {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[],
                    [&[TryPut(10), TryGet], &[TryPut(20), TryGet]],
                );
            }
        }

        model! {
            /// A putter and a getter that wait for each other.
            fn waits(order) small whole {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[],
                    [&[Put(20), Put(10)], &[Get, GetInTime]],
                );
            }
        }

        model! {
            /// Time runs out on both sides; a look at the length between.
            fn in_time(order) small whole {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[],
                    [&[PutInTime(20), PutInTime(10)], &[GetInTime, Len]],
                );
            }
        }

        model! {
            /// Two producers, then who takes: no item overtakes another that it may not.
            fn three_threads(order) tight {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[TryPut(30)],
                    [&[TryPut(20)], &[TryPut(21)], &[TryGet, TryGet]],
                );
            }
        }
    };
    ($new:expr, $takes:expr, $capacity:expr, shuts) => {
        histories!($new, $takes, $capacity);

        model! {
            /// Shutting down is one step in the order of the puts; what is inside can still be got.
            fn shutdown(order) tight {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[],
                    [&[TryPut(10), Shut], &[Get, Get], &[TryPut(20)]],
                );
            }
        }

        model! {
            /// A putter waits for room that comes, or does not, before the shutdown.
            fn shutdown_of_waiters(order) tight {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[TryPut(30)],
                    [&[Put(20)], &[TryGet, Shut], &[PutInTime(10)]],
                );
            }
        }

        model! {
            /// Shutting down and taking out what is inside, among others who put and get.
            fn shutdown_now(order) tight whole {
                shared(
                    order,
                    $new,
                    Oracle::new($takes, $capacity),
                    &[TryPut(30)],
                    [&[TryGet, TryPut(20)], &[Drain], &[GetInTime]],
                );
            }
        }
    };
}

mod bounded_queue {
    use super::*;

    fn new() -> Arc<Queue<u32>> {
        Arc::new(Queue::bounded(1))
    }

    histories!(new(), Takes::First, 1, shuts);

    model! {
        /// Two who force; one of them then takes what the other may be about to evict.
        fn force(order) tight {
            shared(
                order,
                new(),
                Oracle::new(Takes::First, 1),
                &[TryPut(1)],
                [&[Force(2), Len], &[Force(3), TryGet]],
            );
        }
    }

    model! {
        /// With room for two a put may be claimed behind one that is not finished.
        fn room_for_two(order) tight whole {
            let queue = Arc::new(Queue::bounded(2));
            shared(
                order,
                queue,
                Oracle::new(Takes::First, 2),
                &[],
                [&[TryPut(1), TryGet], &[TryPut(2), TryGet], &[TryPut(3)]],
            );
        }
    }
}

mod unbounded_queue {
    use super::*;

    histories!(Arc::new(Queue::unbounded()), Takes::First, usize::MAX, shuts);
}

mod simple {
    use super::*;

    histories!(Arc::new(SimpleQueue::new()), Takes::First, usize::MAX);
}

mod lifo {
    use super::*;

    histories!(Arc::new(LifoQueue::bounded(1)), Takes::Last, 1, shuts);

    model! {
        /// More than one inside, so that the order shows.
        fn without_a_limit(order) tight {
            let queue = Arc::new(LifoQueue::unbounded());
            shared(
                order,
                queue,
                Oracle::new(Takes::Last, usize::MAX),
                &[TryPut(1)],
                [&[TryPut(2), TryPut(3)], &[TryGet, GetInTime]],
            );
        }
    }
}

mod priority {
    use super::*;

    histories!(Arc::new(PriorityQueue::bounded(1)), Takes::Lowest, 1, shuts);

    model! {
        /// More than one inside, equals among them.
        fn without_a_limit(order) tight {
            let queue = Arc::new(PriorityQueue::unbounded());
            let oracle = Oracle::new(Takes::Lowest, usize::MAX);
            shared(
                order,
                queue,
                oracle,
                &[TryPut(20)],
                [&[TryPut(21), TryPut(10)], &[TryGet, GetInTime]],
            );
        }
    }
}

mod channel_ends {
    use super::*;

    model! {
        /// The last sender goes: what was sent before can be received (crossfire #70, flume #120).
        fn senders_go(order) tight {
            let (sends, receives) = Ends::apart(channel::bounded(1));
            ends(
                order,
                Oracle::new(Takes::First, 1),
                [(sends, &[Put(1), PutInTime(2), Shut]), (receives, &[Get, GetInTime, TryGet])],
            );
        }
    }

    model! {
        /// Two receivers wait when the sender goes.
        fn two_receivers(order) tight {
            let (sends, receives) = Ends::apart(channel::unbounded());
            let other = receives.clone();
            ends(
                order,
                Oracle::new(Takes::First, usize::MAX),
                [(sends, &[Put(1), Shut]), (receives, &[Get, TryGet]), (other, &[Get])],
            );
        }
    }

    model! {
        /// The last receiver goes while a sender waits for room.
        fn receivers_go(order) tight {
            let (sends, receives) = Ends::apart(channel::bounded(1));
            ends(
                order,
                Oracle::new(Takes::First, 1),
                [(sends, &[Put(1), Put(2), TryPut(3)]), (receives, &[TryGet, HangUp])],
            );
        }
    }
}

mod spsc_sides {
    use super::*;

    model! {
        /// "Full" and "empty" as the two sides see them.
        fn tries(order) {
            let (puts, gets) = Side::apart(spsc(1));
            ends(
                order,
                Oracle::new(Takes::First, 1),
                [(puts, &[TryPut(1), TryPut(2)]), (gets, &[TryGet, TryGet])],
            );
        }
    }

    model! {
        /// With room for two.
        fn room_for_two(order) {
            let (puts, gets) = Side::apart(spsc(2));
            ends(
                order,
                Oracle::new(Takes::First, 2),
                [(puts, &[TryPut(1), TryPut(2), TryPut(3)]), (gets, &[TryGet, TryGet])],
            );
        }
    }
}

/// That the histories are checked at all: queues that are wrong in the ways that queues are.
mod broken {
    use sync_core::primitive::atomic::{AtomicU32, AtomicUsize, Ordering};

    use super::*;

    /// Claims a place by an addition, then fills it. A get that finds the first place claimed and
    /// not filled calls the queue empty.
    struct EmptyTooSoon {
        tail: AtomicUsize,
        head: AtomicUsize,
        slots: [AtomicU32; 4],
    }

    impl EmptyTooSoon {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                tail: AtomicUsize::new(0),
                head: AtomicUsize::new(0),
                slots: core::array::from_fn(|_| AtomicU32::new(0)),
            })
        }
    }

    impl Queues for Arc<EmptyTooSoon> {
        fn perform(&mut self, call: Call) -> Answer {
            match call {
                TryPut(item) => {
                    let place = self.tail.fetch_add(1, Ordering::AcqRel);
                    self.slots[place].store(item, Ordering::Release);
                    Done
                }
                TryGet => {
                    let place = self.head.load(Ordering::Acquire);
                    match self.slots.get(place).map_or(0, |slot| slot.load(Ordering::Acquire)) {
                        0 => Empty,
                        item if self
                            .head
                            .compare_exchange(place, place + 1, Ordering::AcqRel, Ordering::Acquire)
                            .is_ok() =>
                        {
                            Item(item)
                        }
                        _ => Empty,
                    }
                }
                Len => {
                    Length(self.tail.load(Ordering::Acquire) - self.head.load(Ordering::Acquire))
                }
                _ => unreachable!("not in this model"),
            }
        }
    }

    #[test]
    fn empty_too_soon_is_noticed() {
        breaks("not linearisable", || {
            let oracle = Oracle::new(Takes::First, 4);
            shared(
                Order::Forward,
                EmptyTooSoon::new(),
                oracle,
                &[],
                [&[TryPut(1)], &[TryPut(2), TryGet]],
            );
        });
    }

    #[test]
    fn the_wrong_order_is_noticed() {
        breaks("not linearisable", || {
            let (queue, oracle) =
                (Arc::new(LifoQueue::unbounded()), Oracle::new(Takes::First, usize::MAX));
            shared(Order::Forward, queue, oracle, &[TryPut(1)], [&[TryPut(2)], &[TryGet]]);
        });
    }

    #[test]
    fn an_unstable_order_is_noticed() {
        breaks("not linearisable", || {
            let (queue, oracle) =
                (Arc::new(LifoQueue::unbounded()), Oracle::new(Takes::Lowest, usize::MAX));
            shared(Order::Forward, queue, oracle, &[TryPut(10)], [&[TryPut(11)], &[TryGet]]);
        });
    }
}
