//! `LifoQueue`: the store under a lock, below the same blocking layer as `Queue`'s. The orders
//! are checked in `linear`; here, that no waiter sleeps on.

use std::time::Duration;

use sync_queue::{GetError, LifoQueue, PutError, ShutDown};

use crate::support::{Arc, Body, Tracked, with};

const SOON: Duration = Duration::from_millis(1);

type Stack = Arc<LifoQueue<Tracked>>;

fn item(value: u32) -> Tracked {
    let item = Tracked::new(0);
    item.set(value);
    item
}

fn bounded(capacity: usize) -> Stack {
    Arc::new(LifoQueue::bounded(capacity))
}

fn puts(queue: &Stack, values: &'static [u32]) -> Body {
    with(queue, move |queue| {
        for &value in values {
            queue.put(item(value)).unwrap();
        }
    })
}

fn gets(queue: &Stack, count: usize) -> Body {
    with(queue, move |queue| {
        for _ in 0..count {
            assert_ne!(queue.get().unwrap().get(), 0);
        }
    })
}

model! {
    /// Hazard 1: the putter looks for sleepers, the getter goes to sleep.
    fn handed_over(order) small {
        let queue = bounded(1);
        order.run([puts(&queue, &[1]), gets(&queue, 1)]);
        assert!(queue.is_empty());
    }
}

model! {
    /// Both sides wait.
    fn room_for_one(order) small {
        let queue = bounded(1);
        order.run([puts(&queue, &[1, 2]), gets(&queue, 2)]);
        assert!(queue.is_empty());
    }
}

model! {
    /// Hazard 2: one step brings two items for two sleepers.
    fn two_at_once(order) tight {
        let queue = bounded(2);
        let puts = with(&queue, |queue| assert!(queue.put_many(vec![item(1), item(2)]).is_ok()));
        order.run([gets(&queue, 1), gets(&queue, 1), puts]);
        assert!(queue.is_empty());
    }
}

model! {
    /// Hazard 3: empty, then shut down; what was put before is got.
    fn shutdown_after_a_put(order) small {
        let queue = bounded(1);
        let puts_and_shuts = with(&queue, |queue| {
            queue.put(item(1)).unwrap();
            queue.shutdown();
        });
        let drains =
            with(&queue, |queue| assert_eq!(queue.iter().map(|item| item.get()).sum::<u32>(), 1));
        order.run([puts_and_shuts, drains]);
    }
}

model! {
    /// Hazard 4: a getter with a timeout does not take the wake of another along.
    fn timed_out_getter_passes_the_wake_on(order) tight {
        let queue = bounded(2);
        let timed = with(&queue, |queue| match queue.get_timeout(SOON) {
            Ok(_) => {}
            Err(why) => {
                assert_eq!(why, GetError::Empty);
                queue.get().unwrap();
            }
        });
        order.run([puts(&queue, &[1, 2]), timed, gets(&queue, 1)]);
        assert!(queue.is_empty());
    }
}

model! {
    /// A shutdown among a putter and a getter that sleep: both wake, and the item that was not put
    /// comes back.
    fn shutdown_wakes_both_sides(order) tight {
        let queue = bounded(1);
        queue.put(item(1)).unwrap();
        let putter = with(&queue, |queue| {
            if let Err(ShutDown(back)) = queue.put(item(2)) {
                assert_eq!(back.get(), 2);
            }
        });
        let getter = with(&queue, |queue| while queue.get().is_ok() {});
        order.run([putter, getter, with(&queue, |queue| queue.shutdown())]);
        assert!(queue.is_empty());
    }
}

model! {
    /// A forced item finds a getter asleep, or evicts the one that it would have got.
    fn force_put_against_get(order) small {
        let queue = bounded(1);
        let forces = with(&queue, |queue| assert!(matches!(queue.force_put(item(1)), Ok(None))));
        order.run([forces, gets(&queue, 1)]);
        assert!(matches!(queue.try_put(item(2)), Ok::<(), PutError<_>>(())));
    }
}
