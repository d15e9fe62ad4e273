//! The algorithms, stopped between two of their steps while other participants go on: schedules of
//! the models, one at a time, in the ordinary build.

use core::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, AtomicU64};
use sync_core::primitive::futex::Deadline;
use sync_ipc::raw::condvar::Waitlist;
use sync_ipc::raw::queue::{Claim, Ring, RingError};
use sync_ipc::raw::{Platform, Slept};

/// A participant that stops before a step, does something else there, and goes on.
struct Participant<'a> {
    identity: u32,
    /// The identities of the dead, as bits.
    dead: &'a Cell<u64>,
    steps_left: Cell<usize>,
    then: RefCell<Option<Box<dyn FnOnce() + 'a>>>,
    sleeps: Cell<usize>,
}

impl<'a> Participant<'a> {
    fn new(identity: u32, dead: &'a Cell<u64>) -> Self {
        let (steps_left, then, sleeps) = Default::default();
        Self { identity, dead, steps_left, then, sleeps }
    }

    fn stops_after(mut self, steps: usize, then: impl FnOnce() + 'a) -> Self {
        self.steps_left = steps.into();
        self.then = RefCell::new(Some(Box::new(then)));
        self
    }

    fn has_stopped(&self) -> bool {
        self.then.borrow().is_none()
    }

    /// Vanishes after this number of steps of `act`, without another one. Returns whether it did.
    fn vanishes_in(self, steps: usize, act: impl FnOnce(&Self)) -> bool {
        let mortal = self.stops_after(steps, || resume_unwind(Box::new(())));
        catch_unwind(AssertUnwindSafe(|| act(&mortal))).is_err()
    }
}

impl Platform for Participant<'_> {
    fn me(&self) -> u32 {
        self.identity
    }

    fn is_dead(&self, identity: u32) -> bool {
        self.dead.get() & 1 << identity != 0
    }

    fn sleep(&self, _: &AtomicU32, _: u32, _: Duration, _: Option<Deadline>) -> Slept {
        self.sleeps.set(self.sleeps.get() + 1);
        if self.sleeps.get() < 4 { Slept::Bound } else { Slept::Deadline }
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> usize {
        0
    }

    fn at<'b, A>(&self, atomic: &'b A) -> &'b A {
        match self.steps_left.get().checked_sub(1) {
            Some(left) => self.steps_left.set(left),
            None => {
                let then = self.then.borrow_mut().take();
                then.into_iter().for_each(|then| then());
            }
        }
        atomic
    }
}

/// An empty ring of this number of slots. Its words are never freed.
pub(crate) fn ring(slots: usize) -> Ring<'static> {
    let words = |count| &*(0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak();
    let [head, tail] = [(); 2].map(|()| &words(1)[0]);
    Ring { head, tail, cells: words(slots), slots: words(slots), origins: words(slots) }
}

/// A receiver is stopped anywhere. Meanwhile its item is received and acknowledged, and another
/// sender has declared its item complete, in the same slot, and not sent it.
#[test]
fn a_receiver_that_is_overtaken_at_any_step_takes_nothing_unsent() {
    let dead = Cell::new(0);
    for steps in 0.. {
        let ring = ring(1);
        let sender = Participant::new(1, &dead);
        let claim = ring.claim(&sender).expect("room");
        ring.commit(&sender, claim).expect("it is ours");
        let is_overtaken = Cell::new(false);
        let receiver = Participant::new(2, &dead).stops_after(steps, || {
            let other = Participant::new(3, &dead);
            // The first one may have taken it.
            let Ok(claim) = ring.take(&other) else { return };
            assert!(ring.acknowledge(&other, claim));
            let claim = ring.claim(&Participant::new(4, &dead)).expect("room");
            // It stops after its first step in there: the item is complete.
            let commit = |me: &Participant<'_>| _ = ring.commit(me, claim);
            is_overtaken.set(Participant::new(4, &dead).vanishes_in(1, commit));
        });
        let taken = ring.take(&receiver).map(|_| ());
        let expected = if is_overtaken.get() { Err(RingError::Empty) } else { Ok(()) };
        assert_eq!(taken, expected, "stopped after {steps} steps");
        if !receiver.has_stopped() {
            assert!(steps > 5, "{steps} steps");
            return;
        }
    }
}

/// A full list: of a waiter that died with its notification, and of another waiter. A third one
/// claims the dead one's slot and dies anywhere in there: the notification reaches the other one.
#[test]
fn a_notification_survives_the_death_of_the_claimer_of_its_slot_at_any_step() {
    for steps in 0.. {
        let dead = Cell::new(0);
        let next = AtomicU64::new(0);
        let (slots, tickets) = ([0; 2].map(AtomicU32::new), [0; 2].map(AtomicU64::new));
        let list = Waitlist { next: &next, slots: &slots, tickets: &tickets };
        let [first, waiter, notifier] = [1, 2, 3].map(|identity| Participant::new(identity, &dead));
        list.enrol(&first).expect("room");
        let at = list.enrol(&waiter).expect("room");
        assert_eq!(list.notify(&notifier, 1), 1);
        dead.set(1 << first.identity);
        let claims = |me: &Participant<'_>| _ = list.enrol(me);
        let died = Participant::new(4, &dead).vanishes_in(steps, claims);
        if died {
            dead.set(dead.get() | 1 << 4);
        }
        let (notified, ()) = list.wait(&waiter, at, None, || ());
        assert!(notified, "the claimer died after {steps} steps");
        if !died {
            assert!(steps > 5, "{steps} steps");
            return;
        }
    }
}

/// Of two slots each has an item that `worker` has taken.
fn two_tasks(ring: &Ring<'_>, worker: &Participant<'_>) -> [Claim; 2] {
    [(); 2].map(|()| {
        let claim = ring.claim(worker).expect("room");
        ring.commit(worker, claim).expect("it is ours");
        ring.take(worker).expect("it was sent")
    })
}

/// A worker that is finished with a task has put a follow-up before: there is no moment without
/// unfinished work, wherever a joiner is stopped meanwhile.
#[test]
fn work_that_moves_while_a_joiner_is_stopped_at_any_step_is_not_done() {
    let dead = Cell::new(0);
    for steps in 0.. {
        let ring = ring(2);
        let worker = Participant::new(1, &dead);
        let [done, task] = two_tasks(&ring, &worker);
        assert!(ring.acknowledge(&worker, done));
        let joiner = Participant::new(2, &dead).stops_after(steps, || {
            let follow_up = ring.claim(&worker).expect("room");
            ring.commit(&worker, follow_up).expect("it is ours");
            assert!(ring.acknowledge(&worker, task));
        });
        assert!(!ring.is_idle(&joiner), "stopped after {steps} steps");
        if !joiner.has_stopped() {
            assert!(steps > 1, "{steps} steps");
            return;
        }
    }
}

/// One of two slots is free at every moment, but not always the same one: a sender finds room,
/// wherever it is stopped meanwhile.
#[test]
fn room_that_moves_while_a_sender_is_stopped_at_any_step_is_found() {
    let dead = Cell::new(0);
    for steps in 0.. {
        let ring = ring(2);
        let worker = Participant::new(1, &dead);
        let [used, freed] = two_tasks(&ring, &worker);
        assert!(ring.acknowledge(&worker, freed));
        let sender = Participant::new(2, &dead).stops_after(steps, || {
            // It has seen the first slot in use when that becomes free, and claims the second one.
            let free = || assert!(ring.acknowledge(&worker, used));
            let other = Participant::new(3, &dead).stops_after(2, free);
            ring.claim(&other).expect("room");
        });
        let room = ring.claim(&sender).map(|_| ());
        assert_eq!(room, Ok(()), "stopped after {steps} steps");
        if !sender.has_stopped() {
            assert!(steps > 1, "{steps} steps");
            return;
        }
    }
}
