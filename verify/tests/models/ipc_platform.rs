//! Participants that may vanish between any two atomic steps, for the models of `sync-ipc`.
//!
//! The algorithms of `sync_ipc::raw` pass every atomic through `Platform::at`. Here, that is where
//! a participant with [`Participant::vanishes_after`] ends: it unwinds out of the algorithm without
//! another step, as a killed process does, and is dead from then on, which the others learn as from
//! the kernel. A model is explored for every number of steps, until the participant is through
//! before it can vanish.
//!
//! Where a participant may vanish, sleeps are bounded, and every bound may end at any moment. Where
//! none does, they are not: so a wake that is lost, which the bound would hide, is a deadlock,
//! and the checker reports it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};
use sync_core::primitive::futex::{self, Deadline};
use sync_core::primitive::thread;
use sync_ipc::raw::{Platform, Slept};

use std::sync::Arc;

use crate::support::{Body, Order, Size, check, on_death};

/// The dead participants.
pub(crate) struct World {
    dead: [AtomicU32; 6],
    somebody_may_vanish: bool,
}

impl World {
    pub(crate) fn new(somebody_may_vanish: bool) -> Arc<Self> {
        Arc::new(Self { dead: [0; 6].map(AtomicU32::new), somebody_may_vanish })
    }
}

pub(crate) struct Participant {
    world: Arc<World>,
    identity: u32,
    steps: Cell<Option<u32>>,
    patient: bool,
}

struct Vanished;

impl Participant {
    pub(crate) fn new(world: &Arc<World>, identity: u32) -> Self {
        Self { world: world.clone(), identity, steps: Cell::new(None), patient: false }
    }

    pub(crate) fn vanishes_after(self, steps: u32) -> Self {
        self.steps.set(Some(steps));
        self
    }

    /// Sleeps until it is woken, though a participant may vanish: so that a wake which it needs,
    /// and which a bound would hide, is missed.
    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// A body that does it, or dies on the way.
    pub(crate) fn body(self, act: impl FnOnce(&Self) + 'static) -> Body {
        Box::new(move || {
            match catch_unwind(AssertUnwindSafe(|| act(&self))) {
                Ok(()) => {}
                // Release: pairs with the Acquire in `is_dead`. The kernel orders more than that.
                Err(gone) if gone.is::<Vanished>() => {
                    self.world.dead[self.identity as usize].store(1, Ordering::Release)
                }
                Err(panic) => resume_unwind(panic),
            }
        })
    }

    /// A body that does it, and may vanish after any of its writes: for [`Order::run_with_mortal`].
    pub(crate) fn mortal(self, act: impl FnOnce(&Self) + 'static) -> Body {
        Box::new(move || {
            let (world, identity) = (self.world.clone(), self.identity as usize);
            // Release: as in `body`.
            on_death(move || world.dead[identity].store(1, Ordering::Release));
            act(&self);
        })
    }

    fn step(&self) {
        if let Some(left) = self.steps.get() {
            if left == 0 {
                resume_unwind(Box::new(Vanished));
            }
            self.steps.set(Some(left - 1));
        }
    }
}

impl Platform for Participant {
    fn me(&self) -> u32 {
        self.identity
    }

    fn is_dead(&self, identity: u32) -> bool {
        identity == 0 || self.world.dead[identity as usize].load(Ordering::Acquire) == 1
    }

    fn sleep(
        &self,
        word: &AtomicU32,
        expected: u32,
        bound: Duration,
        deadline: Option<Deadline>,
    ) -> Slept {
        self.step();
        if let Some(deadline) = deadline {
            return if futex::wait_until(word, expected, deadline) {
                Slept::Woken
            } else {
                Slept::Deadline
            };
        }
        if self.patient || !self.world.somebody_may_vanish {
            futex::wait(word, expected);
            return Slept::Woken;
        }
        let end = Deadline::after(bound).expect("a bound is short");
        if futex::wait_until(word, expected, end) {
            return Slept::Woken;
        }
        thread::yield_now();
        Slept::Bound
    }

    #[track_caller]
    fn wake(&self, word: &AtomicU32, count: u32) -> usize {
        self.step();
        futex::wake(word, count)
    }

    /// Here for its place: the caller's, so that each of these fences is changed by itself.
    #[track_caller]
    fn fence_after_change(&self) {
        // SeqCst: as in the trait.
        fence(Ordering::SeqCst);
    }

    fn at<'a, A>(&self, atomic: &'a A) -> &'a A {
        self.step();
        atomic
    }
}

/// Explores a model for every step at which its participant may vanish, in both orders. `steps` is
/// more than there are.
pub(crate) fn at_every_step(
    name: &str,
    steps: u32,
    model: impl Fn(Order, u32) + Copy + Send + Sync + 'static,
) {
    for order in [Order::Forward, Order::Reversed] {
        for step in 0..steps {
            check(
                &format!("{name}, {order:?}, vanishes after {step}"),
                order,
                Size::DEFAULT.small().whole(),
                std::sync::Arc::new(move |order| model(order, step)),
            );
        }
    }
}

/// Explores a model in which a participant may vanish after any write, in both orders.
pub(crate) fn at_any_write(name: &str, model: impl Fn(Order) + Copy + Send + Sync + 'static) {
    for order in [Order::Forward, Order::Reversed] {
        check(
            &format!("{name}, {order:?}, vanishes after any write"),
            order,
            Size::DEFAULT.small().whole(),
            std::sync::Arc::new(model),
        );
    }
}

/// A deadline that passes whenever the checker likes.
pub(crate) fn soon() -> Option<Deadline> {
    Deadline::after(Duration::from_millis(1))
}
