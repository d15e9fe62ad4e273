//! That a set releases exactly one, and none is lost on one that gives up.

use std::time::Duration;

use sync_core::AutoResetEvent;

use crate::support::{Arc, Body, Tracked, with};

const MOMENT: Duration = Duration::from_millis(1);

struct Shared {
    event: AutoResetEvent,
    data: Tracked,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { event: AutoResetEvent::new(), data: Tracked::new(0) })
}

/// Waits, and hands on to the next: so the event protects the data like a lock.
fn counts(shared: &Arc<Shared>) -> Body {
    with(shared, |it| {
        it.event.wait();
        it.data.set(it.data.get() + 1);
        it.event.set();
    })
}

model! {
    /// One at a time, and everybody in the end.
    fn handed_from_one_to_the_next(order) {
        let shared = shared();
        let first = with(&shared, |it| it.event.set());
        order.run([counts(&shared), counts(&shared), first]);
        assert!(shared.event.try_wait());
        assert_eq!(shared.data.get(), 2);
    }
}

model! {
    /// One that may give up as it is woken, one that has all the time, one set.
    fn timeout_takes_no_set_along(order) {
        let shared = shared();
        let in_time = with(&shared, |it| if it.event.wait_timeout(MOMENT) {
            it.data.set(it.data.get() + 1);
            it.event.set();
        });
        let sets = with(&shared, |it| it.event.set());
        order.run([in_time, counts(&shared), sets]);
        assert!(shared.event.is_set());
    }
}

model! {
    /// Two sets in two threads, two waiters: the sets may fall into one only where no thread had
    /// waited before the second, so one more set at the end frees the waiter that is left.
    fn two_sets_two_waiters(order) {
        let shared = Arc::new((AutoResetEvent::new(), AutoResetEvent::new()));
        let waits = || with(&shared, |it| {
            it.0.wait();
            it.1.set();
        });
        let sets_two = with(&shared, |it| {
            it.0.set();
            // One has got through: the second set is not part of the first.
            it.1.wait();
            it.0.set();
        });
        order.run([waits(), waits(), sets_two]);
        assert!(!shared.0.is_set());
    }
}

model! {
    /// A write before a set is seen by the thread that takes the set, also where it was set
    /// already.
    fn set_again_brings_its_news(order) {
        let shared = shared();
        shared.event.set();
        let sets = with(&shared, |it| {
            it.data.set(1);
            it.event.set();
        });
        let takes = with(&shared, |it| {
            // One of two sets, or both in one; after the second the data is this thread's.
            it.event.wait();
            it.event.wait_timeout(MOMENT);
        });
        order.run([sets, takes]);
    }
}
