//! No thread passes before all have arrived, the outcome is the cycle's, and no thread is
//! left behind.

use std::time::Duration;

use sync_core::{Barrier, BrokenBarrier};

use crate::support::{Arc, Body, Tracked, with};

const MOMENT: Duration = Duration::from_millis(1);

model! {
    /// Two members, two cycles: each sees what the other wrote before the barrier, and may
    /// overwrite it after the next.
    fn lockstep(order) {
        let shared = Arc::new((Barrier::new(2), [Tracked::new(0), Tracked::new(0)]));
        let member = |me: usize| with(&shared, move |it| for phase in 1..3 {
            it.1[me].set(phase);
            it.0.wait().unwrap();
            assert_eq!(it.1[1 - me].get(), phase);
            if phase == 1 {
                it.0.wait().unwrap();
            }
        });
        order.run([member(0), member(1)]);
        assert_eq!(shared.0.waiting(), 0);
    }
}

model! {
    /// Three members: the last wakes two, and everybody sees everybody.
    fn three_members(order) {
        let shared =
            Arc::new((Barrier::new(3), [Tracked::new(0), Tracked::new(0), Tracked::new(0)]));
        let member = |me: usize| with(&shared, move |it| {
            it.1[me].set(1);
            let place = it.0.wait().unwrap();
            assert_eq!(place.is_leader(), place.index() == 2);
            assert_eq!(it.1.iter().map(Tracked::get).sum::<u32>(), 3);
        });
        order.run([member(0), member(1), member(2)]);
    }
}

model! {
    /// The action runs once, sees what every member wrote, and before any thread goes on.
    fn action_before_release(order) {
        let data = Arc::new((Tracked::new(0), Tracked::new(0)));
        let seen = Arc::clone(&data);
        let barrier =
            Arc::new(Barrier::new(2).with_action(move || seen.1.set(seen.1.get() + seen.0.get())));
        let shared = (barrier, data);
        let writes = with(&shared, |(barrier, data)| {
            data.0.set(7);
            barrier.wait().unwrap();
            assert_eq!(data.1.get(), 7);
        });
        let waits = with(&shared, |(barrier, data)| {
            barrier.wait().unwrap();
            assert_eq!(data.1.get(), 7);
        });
        order.run([writes, waits]);
    }
}

/// Waits, and notes the outcome: 1 for success.
fn noting(shared: &Arc<(Barrier, [Tracked; 2])>, me: usize, wait: fn(&Barrier) -> bool) -> Body {
    with(shared, move |it| it.1[me].set(u32::from(wait(&it.0))))
}

fn two_and_notes() -> Arc<(Barrier, [Tracked; 2])> {
    Arc::new((Barrier::new(2), [Tracked::new(0), Tracked::new(0)]))
}

/// Writes, waits, and notes the outcome; a thread that succeeded reads what the other thread wrote.
fn hands_over(shared: &Arc<HandsOver>, me: usize, wait: fn(&Barrier) -> bool) -> Body {
    with(shared, move |it| {
        it.news[me].set(1);
        if wait(&it.barrier) {
            assert_eq!(it.news[1 - me].get(), 1);
            it.passed[me].set(1);
        }
    })
}

struct HandsOver {
    barrier: Barrier,
    news: [Tracked; 2],
    passed: [Tracked; 2],
}

model! {
    /// Both may give up, at any moment. A thread that finds at the last moment that the cycle has
    /// completed sees what the other wrote.
    fn a_late_success_brings_the_news(order) {
        let [news, passed] = [(); 2].map(|()| [Tracked::new(0), Tracked::new(0)]);
        let shared = Arc::new(HandsOver { barrier: Barrier::new(2), news, passed });
        let in_time = |me: usize| hands_over(&shared, me, |it| it.wait_timeout(MOMENT).is_ok());
        order.run([in_time(0), in_time(1)]);
        assert_eq!(shared.passed[0].get(), shared.passed[1].get());
    }
}

fn same_outcome(shared: &(Barrier, [Tracked; 2])) -> bool {
    let [one, two] = [shared.1[0].get(), shared.1[1].get()];
    assert_eq!(one, two, "one member succeeded and the other did not");
    one == 1
}

model! {
    /// One member may give up at any moment: both succeed or both fail, and if they failed the
    /// barrier is broken.
    fn timeout_is_everybodys(order) {
        let shared = two_and_notes();
        let in_time = noting(&shared, 0, |it| it.wait_timeout(MOMENT).is_ok());
        order.run([in_time, noting(&shared, 1, |it| it.wait().is_ok())]);
        assert_eq!(same_outcome(&shared), !shared.0.is_broken());
    }
}

model! {
    /// Aborted at any moment, also right after the cycle has completed: the outcome is the same for
    /// both.
    fn abort_is_everybodys(order) whole {
        let shared = two_and_notes();
        let aborts = with(&shared, |it| it.0.abort());
        order.run([
            noting(&shared, 0, |it| it.wait().is_ok()),
            noting(&shared, 1, |it| it.wait().is_ok()),
            aborts,
        ]);
        same_outcome(&shared);
        assert!(shared.0.is_broken());
    }
}

model! {
    /// The last arriver aborts as soon as its own wait returned. The other has succeeded
    /// all the same.
    fn abort_after_a_completed_cycle(order) {
        let shared = two_and_notes();
        let aborts = with(&shared, |it| {
            it.0.wait().unwrap();
            it.0.abort();
        });
        order.run([noting(&shared, 0, |it| it.wait().is_ok()), aborts]);
        assert_eq!(shared.1[0].get(), 1);
        assert!(shared.0.is_broken());
    }
}

model! {
    /// Reset at any moment next to one that waits and may give up: afterwards the barrier works.
    fn reset_beside_a_waiter(order) whole {
        let shared = Arc::new(Barrier::new(2));
        let waits = with(&shared, |it| {
            // Reset before it arrived, it waits in the new cycle alone, until its time is up.
            let broken: BrokenBarrier = it.wait_timeout(MOMENT).unwrap_err();
            if broken.timed_out() {
                it.reset();
            }
        });
        let resets = with(&shared, |it| it.reset());
        order.run([waits, resets]);
        assert!(!shared.is_broken());
        let other = with(&shared, |it| {
            it.wait().unwrap();
        });
        order.run([with(&shared, |it| {
            it.wait().unwrap();
        }), other]);
    }
}

model! {
    /// After an abort one resets while the members may still be leaving, and a member comes back at
    /// once: it must not be counted among those who leave, nor they among the new.
    fn back_at_once_after_reset(order) {
        let shared = Arc::new(Barrier::new(2));
        let member = with(&shared, |it| {
            if it.wait().is_err() {
                it.wait().unwrap();
            }
        });
        let resets = with(&shared, |it| {
            it.reset();
            it.wait().unwrap();
        });
        order.run([member, resets]);
        assert_eq!(shared.waiting(), 0);
    }
}

model! {
    /// The last owner frees the barrier while the other may still be about to ring.
    fn the_last_owner_frees_it(order) {
        let shared = Arc::new(Barrier::new(2));
        let waits = || with(&shared, |it| {
            it.wait().unwrap();
        });
        let (one, two) = (waits(), waits());
        drop(shared);
        order.run([one, two]);
    }
}
