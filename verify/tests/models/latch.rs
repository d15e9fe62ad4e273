//! That zero opens for everybody, once, and that everything before a count-down is seen after it.

use std::time::Duration;

use sync_core::{Latch, WaitGroup};

use crate::support::{Arc, Body, Tracked, with};

struct Shared {
    latch: Latch,
    news: [Tracked; 2],
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { latch: Latch::new(2), news: [Tracked::new(0), Tracked::new(0)] })
}

fn counts_down(shared: &Arc<Shared>, me: usize) -> Body {
    with(shared, move |it| {
        it.news[me].set(1);
        it.latch.count_down(1);
    })
}

fn waits(shared: &Arc<Shared>) -> Body {
    with(shared, |it| {
        it.latch.wait();
        assert_eq!(it.news[0].get() + it.news[1].get(), 2);
    })
}

model! {
    /// Two count down, one waits and sees what both wrote.
    fn two_count_down(order) whole {
        let shared = shared();
        order.run([waits(&shared), counts_down(&shared, 0), counts_down(&shared, 1)]);
        assert!(shared.latch.is_open());
    }
}

model! {
    /// One thread counts down by two at once while two wait, and one of these may give up.
    fn opens_for_all(order) whole {
        let shared = shared();
        let in_time = with(&shared, |it| if it.latch.wait_timeout(Duration::from_millis(1)) {
            assert_eq!(it.news[0].get(), 1);
        });
        let opens = with(&shared, |it| {
            it.news[0].set(1);
            it.news[1].set(1);
            it.latch.count_down(2);
        });
        order.run([in_time, waits(&shared), opens]);
    }
}

model! {
    /// Two sleep, and one count-down opens for both.
    fn opens_for_two_sleepers(order) whole {
        let shared = shared();
        let opens = with(&shared, |it| {
            it.news[0].set(1);
            it.news[1].set(1);
            it.latch.count_down(2);
        });
        order.run([waits(&shared), waits(&shared), opens]);
    }
}

model! {
    /// A group of three threads: one waits, and two leave it, one by way of a wait of its own that
    /// may time out.
    fn wait_group(order) {
        let group = WaitGroup::new();
        let data = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let mine = group.clone();
        let leaves = with(&data, move |it| {
            it[0].set(1);
            mine.done();
        });
        let mine = group.clone();
        let tries = with(&data, move |it| {
            it[1].set(1);
            if let Err(mine) = mine.wait_timeout(Duration::from_millis(1)) {
                mine.done();
            }
        });
        let waits = with(&data, move |it| {
            group.wait();
            assert_eq!(it[0].get() + it[1].get(), 2);
        });
        order.run([leaves, tries, waits]);
    }
}

model! {
    /// A wait of the group that gives up as the last one leaves: it counts itself again only if the
    /// group is not done, and if it is it sees everything.
    fn a_late_end_of_the_group_brings_the_news(order) {
        let group = WaitGroup::new();
        let data = Arc::new(Tracked::new(0));
        let mine = group.clone();
        let leaves = with(&data, move |it| {
            it.set(1);
            mine.done();
        });
        let tries = with(&data, move |it| if group.wait_timeout(Duration::from_millis(1)).is_ok() {
            assert_eq!(it.get(), 1);
        });
        order.run([leaves, tries]);
    }
}
