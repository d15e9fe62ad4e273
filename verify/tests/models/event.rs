//! No waiter is left behind, however soon the event is cleared, and that what was
//! written before a `set` is seen.

use std::time::Duration;

use sync_core::Event;

use crate::support::{Arc, Body, Tracked, with};

const MOMENT: Duration = Duration::from_millis(1);

struct News {
    event: Event,
    news: Tracked,
}

fn news() -> Arc<News> {
    Arc::new(News { event: Event::new(), news: Tracked::new(0) })
}

fn waits(shared: &Arc<News>) -> Body {
    with(shared, |it| {
        it.event.wait();
        assert_eq!(it.news.get(), 1);
    })
}

fn waits_in_time(shared: &Arc<News>) -> Body {
    with(shared, |it| {
        if it.event.wait_timeout(MOMENT) {
            assert_eq!(it.news.get(), 1);
        }
    })
}

fn sets(shared: &Arc<News>) -> Body {
    with(shared, |it| {
        it.news.set(1);
        it.event.set();
    })
}

model! {
    /// One set releases everybody, and tells them the news.
    fn a_set_releases_all_and_brings_the_news(order) whole {
        let shared = news();
        order.run([waits(&shared), waits(&shared), sets(&shared)]);
        assert!(shared.event.is_set());
    }
}

model! {
    /// `set(); clear()` next to two that wait or do not yet: whether they were in time is the
    /// scheduler's choice, so they may give up, and leave nothing behind. (That sleepers are
    /// released is shown on the real clock, where one can see that they sleep.)
    fn set_and_clear_release_the_waiters(order) {
        let shared = Arc::new((Event::new(), [Tracked::new(0), Tracked::new(0)]));
        let waits = |n: usize| with(&shared, move |it| {
            // Set and cleared before this began, or not at all yet: it may give up. Woken, it
            // returns true although the event is clear.
            if it.0.wait_timeout(MOMENT) {
                it.1[n].set(1);
            }
        });
        let sets_and_clears = with(&shared, |it| {
            it.0.set();
            it.0.clear();
        });
        order.run([waits(0), waits(1), sets_and_clears]);
        assert!(!shared.0.is_set());
    }
}

model! {
    /// The same without a way out, and another set at the end: whichever of the two a waiter meets,
    /// it is released.
    fn set_and_clear_with_a_second_event(order) whole {
        let shared = Arc::new((Event::new(), Event::new()));
        let waits = with(&shared, |it| {
            it.1.set();
            it.0.wait();
        });
        let sets_twice = with(&shared, |it| {
            it.1.wait();
            it.0.set();
            it.0.clear();
            // A waiter that began only after the clear waits for this set.
            it.0.set();
        });
        order.run([waits, sets_twice]);
    }
}

model! {
    /// A waiter that gives up next to one that does not.
    fn timeout_beside_a_waiter(order) whole {
        let shared = news();
        order.run([waits_in_time(&shared), waits(&shared), sets(&shared)]);
    }
}

model! {
    /// tokio #1788, store buffering: a producer sets an event that is set already, while the
    /// consumer clears it and looks for work. One of the two must see the other: the work, or the
    /// event.
    fn set_again_beside_clear(order) {
        let shared = Arc::new((
            Event::new(),
            sync_core::primitive::atomic::AtomicU32::new(0),
            Tracked::new(0),
        ));
        shared.0.set();
        let produces = with(&shared, |it| {
            it.1.store(1, core::sync::atomic::Ordering::Relaxed);
            it.0.set();
        });
        let consumes = with(&shared, |it| {
            it.0.clear();
            if it.1.load(core::sync::atomic::Ordering::Relaxed) == 1 {
                it.2.set(1);
            }
        });
        order.run([produces, consumes]);
        assert!(shared.0.is_set() || shared.2.get() == 1, "work that no thread knows of");
    }
}

model! {
    /// The last owner frees the event while the other may still be about to wake.
    fn the_last_owner_frees_it(order) {
        let shared = news();
        let (one, two) = (waits(&shared), sets(&shared));
        drop(shared);
        order.run([one, two]);
    }
}

/// The checker leaves out the wake of this event alone: it tells the wakes of a model apart by
/// their callers, not by the lines of the futex.
#[cfg(sync_verify)]
#[test]
fn the_wake_is_changed_by_itself() {
    let places = crate::support::wakes_left_out(|| {
        let shared = news();
        crate::support::Order::Forward.run([waits(&shared), sets(&shared)]);
    });
    let is_here = |place: &String| place.starts_with("sync-core/src/wait/event.rs:");
    assert!(places.iter().any(is_here), "{places:?}");
}
