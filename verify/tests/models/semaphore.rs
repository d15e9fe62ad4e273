//! No permit is lost, none appears, and no waiter for permits that are there sleeps on.

use std::time::Duration;

use sync_core::{BoundedSemaphore, OverRelease, RawSemaphore};

use crate::support::{Arc, Body, Tracked, with};

/// A moment: whether it is up before anything else happens is the checker's choice.
const MOMENT: Duration = Duration::from_millis(1);

fn semaphore(permits: u32) -> Arc<RawSemaphore> {
    Arc::new(RawSemaphore::new(permits))
}

fn takes(shared: &Arc<RawSemaphore>, n: u32) -> Body {
    with(shared, move |it| it.acquire(n).unwrap())
}

/// Takes and gives back: the permits are one critical section's.
fn borrows(shared: &Arc<RawSemaphore>, n: u32) -> Body {
    with(shared, move |it| {
        it.acquire(n).unwrap();
        it.release(n).unwrap();
    })
}

fn borrows_in_time(shared: &Arc<RawSemaphore>, n: u32) -> Body {
    with(shared, move |it| {
        if it.try_acquire_for(n, MOMENT).is_ok() {
            it.release(n).unwrap();
        }
    })
}

fn gives(shared: &Arc<RawSemaphore>, n: u32) -> Body {
    with(shared, move |it| it.release(n).unwrap())
}

/// At the end all permits are there, and can be taken: no head is left over.
fn holds(shared: &RawSemaphore, n: u32) {
    assert_eq!(shared.available_permits(), n);
    assert!(shared.try_acquire(n).is_ok());
}

model! {
    /// A semaphore of one is a lock: no race, and no count is lost.
    fn as_a_lock(order) {
        let shared = Arc::new((RawSemaphore::new(1), Tracked::new(0)));
        let counts = || with(&shared, |it| {
            it.0.acquire(1).unwrap();
            it.1.set(it.1.get() + 1);
            it.0.release(1).unwrap();
        });
        order.run([counts(), counts()]);
        assert_eq!(shared.1.get(), 2);
        holds(&shared.0, 1);
    }
}

model! {
    /// A write before a release is seen by a later acquisition, although the permit may be
    /// another's.
    fn a_permit_brings_the_news_of_every_release_before(order) whole {
        let shared = Arc::new((RawSemaphore::new(0), [Tracked::new(0), Tracked::new(0)]));
        let gives = |n: usize| with(&shared, move |it| {
            it.1[n].set(1);
            it.0.release(1).unwrap();
        });
        let takes_both = with(&shared, |it| {
            it.0.acquire(2).unwrap();
            assert_eq!(it.1[0].get() + it.1[1].get(), 2);
        });
        order.run([gives(0), gives(1), takes_both]);
        holds(&shared.0, 0);
    }
}

model! {
    /// Two single releases against two sleepers: the second release may find `WAITERS` cleared, so
    /// the first one woken passes the wake on.
    fn two_releases_two_sleepers(order) {
        let shared = semaphore(0);
        let gives_twice = with(&shared, |it| for _ in 0..2 {
            it.release(1).unwrap();
        });
        order.run([takes(&shared, 1), takes(&shared, 1), gives_twice]);
        holds(&shared, 0);
    }
}

model! {
    /// One release of two: both get in.
    fn release_of_two(order) {
        let shared = semaphore(0);
        order.run([takes(&shared, 1), takes(&shared, 1), gives(&shared, 2)]);
        holds(&shared, 0);
    }
}

model! {
    /// One permit, one that may give up at the very moment it is woken, one that has all the
    /// time.
    fn a_timeout_takes_no_wake_along(order) {
        let shared = semaphore(0);
        order.run([borrows_in_time(&shared, 1), takes(&shared, 1), gives(&shared, 1)]);
        holds(&shared, 0);
    }
}

model! {
    /// A request for two that may give up as the head of the line: the waiter behind it in the
    /// line must be woken when it goes.
    fn a_head_that_gives_up_wakes_the_line(order) {
        let shared = semaphore(1);
        let gives_up = with(&shared, |it| assert!(it.try_acquire_for(2, MOMENT).is_err()));
        order.run([gives_up, takes(&shared, 1)]);
        holds(&shared, 0);
    }
}

model! {
    /// The head may get what it waits for just as its time is up.
    fn a_head_that_gives_up_or_not(order) {
        let shared = semaphore(1);
        order.run([borrows_in_time(&shared, 2), takes(&shared, 1), gives(&shared, 1)]);
        holds(&shared, 1);
    }
}

model! {
    /// A request for two next to requests for one: it is served, and so are they.
    fn many_beside_ones(order) {
        let shared = semaphore(1);
        order.run([takes(&shared, 2), takes(&shared, 1), gives(&shared, 2)]);
        holds(&shared, 0);
    }
}

model! {
    /// Two requests for two, and permits that come one and two at a time: had waiting threads held
    /// what they gathered, each could wait for what the other has.
    fn two_requests_for_many(order) {
        let shared = semaphore(1);
        let gives_three = with(&shared, |it| {
            it.release(1).unwrap();
            it.release(2).unwrap();
        });
        order.run([takes(&shared, 2), takes(&shared, 2), gives_three]);
        holds(&shared, 0);
    }
}

model! {
    /// The head gathers permits that arrive one by one.
    fn the_head_gathers(order) {
        let shared = semaphore(0);
        let gives_twice = with(&shared, |it| for _ in 0..2 {
            it.release(1).unwrap();
        });
        order.run([takes(&shared, 2), gives_twice]);
        holds(&shared, 0);
    }
}

model! {
    /// `try_acquire` next to a head and a holder takes nothing that is the head's and loses
    /// nothing.
    fn try_acquire_beside_a_head(order) {
        let shared = semaphore(1);
        let tries = with(&shared, |it| if it.try_acquire(1).is_ok() {
            it.release(1).unwrap();
        });
        order.run([borrows_in_time(&shared, 2), tries, gives(&shared, 1)]);
        holds(&shared, 2);
    }
}

model! {
    /// Closing ends every wait, in the line and at its head, and what the closer wrote is seen.
    fn close_ends_every_wait(order) whole {
        let shared = Arc::new((RawSemaphore::new(1), Tracked::new(0)));
        let fails = |n: u32| with(&shared, move |it| if it.0.acquire(n).is_err() {
            assert_eq!(it.1.get(), 1);
        });
        let closes = with(&shared, |it| {
            it.1.set(1);
            it.0.close();
        });
        order.run([fails(2), fails(1), closes]);
        assert!(shared.0.is_closed());
        assert!(shared.0.try_acquire(0).is_err());
    }
}

model! {
    /// A release by the last owner, which frees the semaphore, while the other may still be about
    /// to wake.
    fn the_last_owner_frees_it(order) {
        let shared = semaphore(1);
        let (one, two) = (borrows(&shared, 1), borrows(&shared, 1));
        drop(shared);
        order.run([one, two]);
    }
}

model! {
    /// An over-release changes nothing, at whatever moment; of two releases of one permit exactly
    /// one succeeds.
    fn over_release_changes_nothing(order) {
        let shared = Arc::new((BoundedSemaphore::new(1), Tracked::new(0)));
        shared.0.acquire().unwrap().forget();
        let accepted = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let releases = |n: usize| {
            with(&(Arc::clone(&shared), Arc::clone(&accepted)), move |(it, accepted)| {
                match it.0.release(1) {
                    Ok(()) => accepted[n].set(1),
                    Err(OverRelease) => {}
                }
            })
        };
        order.run([releases(0), releases(1)]);
        assert_eq!(accepted[0].get() + accepted[1].get(), 1);
        assert_eq!(shared.0.available_permits(), 1);
    }
}

model! {
    /// Without waiting: an attempt that gets a permit sees what its giver wrote.
    fn an_attempt_brings_the_news(order) {
        let shared = Arc::new((RawSemaphore::new(0), Tracked::new(0)));
        let gives = with(&shared, |it| {
            it.1.set(1);
            it.0.release(1).unwrap();
        });
        let tries = with(&shared, |it| if it.0.try_acquire(1).is_ok() {
            assert_eq!(it.1.get(), 1);
        });
        order.run([gives, tries]);
    }
}

model! {
    /// A thread that sees it closed sees what its closer wrote.
    fn closed_brings_the_news(order) {
        let shared = Arc::new((RawSemaphore::new(0), Tracked::new(0)));
        let closes = with(&shared, |it| {
            it.1.set(1);
            it.0.close();
        });
        let looks = with(&shared, |it| if it.0.is_closed() {
            assert_eq!(it.1.get(), 1);
        });
        order.run([closes, looks]);
    }
}
