//! Locations that the checker's own locks, tokens and counters stand on.

use crate::engine::explore::wait_queue::{self, Ticket};
use crate::engine::memory_model::event::{Kind, Label, Rmw};
use crate::engine::runtime::{self, Object, Outcome, Tag};
use std::panic::Location;
use std::sync::atomic::Ordering;

/// An internal word of the model: its operations are events like those of an atomic.
#[derive(Debug)]
pub(crate) struct Word {
    tag: Tag,
    init: u64,
}

impl Word {
    pub(crate) const fn new(init: u64) -> Word {
        Word { tag: Tag::new(), init }
    }

    fn object(&self) -> Option<Object<'_>> {
        Some(Object::Tagged(&self.tag, self.init))
    }

    /// A read-modify-write that writes if it can; the ordering of a failure is relaxed.
    pub(crate) fn attempt(
        &self,
        rmw: Rmw,
        a: u64,
        b: u64,
        ord: Ordering,
        site: &'static Location<'static>,
    ) -> Outcome {
        let label =
            Label { a, b, fail: Ordering::Relaxed, ..Label::new(Kind::Rmw, rmw, ord, site) };
        runtime::request_step(label, self.object())
    }

    /// A read-modify-write that waits until it can write.
    pub(crate) fn wait(
        &self,
        rmw: Rmw,
        a: u64,
        b: u64,
        ord: Ordering,
        site: &'static Location<'static>,
    ) {
        let label = Label {
            a,
            b,
            fail: Ordering::Relaxed,
            awaits: true,
            ..Label::new(Kind::Rmw, rmw, ord, site)
        };
        runtime::request_step(label, self.object());
    }

    /// As `wait`, but gives up when nothing else can run. Says whether it wrote.
    pub(crate) fn wait_timed(
        &self,
        rmw: Rmw,
        a: u64,
        b: u64,
        ord: Ordering,
        site: &'static Location<'static>,
    ) -> bool {
        let label = Label {
            a,
            b,
            fail: Ordering::Relaxed,
            awaits: true,
            timed: true,
            ..Label::new(Kind::Rmw, rmw, ord, site)
        };
        runtime::request_step(label, self.object()).wrote
    }

    pub(crate) fn store(&self, value: u64, ord: Ordering, site: &'static Location<'static>) {
        let label = Label { a: value, ..Label::new(Kind::Store, Rmw::Swap, ord, site) };
        runtime::request_step(label, self.object());
    }

    pub(crate) fn load(&self, ord: Ordering, site: &'static Location<'static>) -> u64 {
        runtime::request_step(Label::new(Kind::Load, Rmw::Swap, ord, site), self.object()).value
    }

    pub(crate) fn peek(&self) -> u64 {
        runtime::peek(&self.tag, self.init)
    }

    pub(crate) fn as_queue(&self) -> Queue<'_> {
        Queue(Object::Tagged(&self.tag, 0), u32::MAX)
    }
}

/// A wait queue, and the channels of it that are meant.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'a>(Object<'a>, u32);

impl Queue<'_> {
    /// The queue of an address.
    pub(crate) fn at(address: usize) -> Queue<'static> {
        Queue(Object::Queue(address), u32::MAX)
    }

    /// The queue, of which only some channels are meant.
    pub(crate) fn on(self, channels: u32) -> Self {
        Queue(self.0, channels)
    }

    fn perform(&self, rmw: Rmw, a: u64, b: u64, site: &'static Location<'static>) -> Outcome {
        let label =
            Label { channels: self.1, a, b, ..Label::new(Kind::Rmw, rmw, Ordering::Relaxed, site) };
        runtime::request_step(label, Some(self.0))
    }

    /// Takes a place. `compared`: the event before was the comparison of a futex wait.
    pub(crate) fn enter(&self, compared: bool, site: &'static Location<'static>) -> Ticket {
        let out =
            self.perform(Rmw::Enqueue, 0, if compared { wait_queue::COMPARED } else { 0 }, site);
        runtime::with(|rt| {
            let e = rt.ex.graph.ev(out.event);
            wait_queue::ticket(e.tid, e.idx)
        })
    }

    /// Sleeps until the ticket is taken. Returns whether another thread took it: not when the time
    /// ran out, nor at a spurious wake-up.
    pub(crate) fn sleep(
        &self,
        ticket: Ticket,
        timed: bool,
        site: &'static Location<'static>,
    ) -> bool {
        use crate::engine::memory_model::event::{SPURIOUS, TIMEOUT};
        let at_once = runtime::with(|rt| rt.is_draining());
        if at_once || choose(2, if timed { TIMEOUT } else { SPURIOUS }, site) == 1 {
            return self.leave(ticket, site);
        }
        let label = Label {
            a: ticket,
            timed,
            ..Label::new(Kind::Woken, Rmw::Leave, Ordering::Relaxed, site)
        };
        let out = runtime::request_step(label, Some(self.0));
        // A wait that timed out is in the graph as having left the queue.
        !out.wrote || out.value == 0
    }

    /// Gives up a place. Returns whether another thread had taken the ticket already.
    fn leave(&self, ticket: Ticket, site: &'static Location<'static>) -> bool {
        self.perform(Rmw::Leave, ticket, 0, site).value == 0
    }

    /// Wakes up to `n`; says how many.
    pub(crate) fn wake(&self, n: u64, site: &'static Location<'static>) -> u64 {
        self.perform(Rmw::Wake, n, n, site).value
    }

    /// Wakes up to `wake` and moves up to `limit` others to another queue. Says how many of both.
    pub(crate) fn requeue(
        &self,
        wake: u64,
        limit: u64,
        to: &Queue<'_>,
        site: &'static Location<'static>,
    ) -> u64 {
        let out = self.perform(Rmw::Wake, wake.saturating_add(limit), wake, site);
        let moved = runtime::with(|rt| wait_queue::moved_by(&rt.ex.graph, out.event));
        for place in moved {
            to.on(place.channels).perform(Rmw::Enqueue, place.ticket, wait_queue::MOVED, site);
        }
        out.value
    }
}

/// One of `n` values; `what` says which budget the others than the first are taken from.
pub(crate) fn choose(n: u64, what: u64, site: &'static Location<'static>) -> u32 {
    if runtime::with(|rt| rt.ex.budget.of(what)) == 0 {
        return 0;
    }
    let label =
        Label { a: n, b: what, ..Label::new(Kind::Choose, Rmw::Swap, Ordering::Relaxed, site) };
    runtime::request_step(label, None).choice
}

/// Lets virtual time pass.
pub(crate) fn tick(nanos: u64, site: &'static Location<'static>) {
    runtime::request_step(
        Label { a: nanos, ..Label::new(Kind::Tick, Rmw::Swap, Ordering::Relaxed, site) },
        None,
    );
}
