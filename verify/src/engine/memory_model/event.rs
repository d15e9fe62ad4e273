//! The record of one step of a thread: its label and where its value came from.

use std::panic::Location;
use std::sync::atomic::Ordering;

/// Names an event: its place in the order in which events were added to the graph.
pub(crate) type Id = u32;

/// The initial write of a location, before every event.
pub(crate) const INIT: Id = u32::MAX;

/// No event.
pub(crate) const NONE: Id = u32::MAX - 1;

/// No location.
pub(crate) const NO_LOC: u32 = u32::MAX;

/// In `Label::b` of a choice: what the second alternative is.
pub(crate) const FREE: u64 = 0;
pub(crate) const SPURIOUS: u64 = 1;
pub(crate) const TIMEOUT: u64 = 2;
pub(crate) const CRASH: u64 = 3;
/// A poll without a wake: from the budget of `SPURIOUS`, but loom has it too.
pub(crate) const POLL: u64 = SPURIOUS | 1 << 8;

/// The kind of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Kind {
    /// An atomic load.
    Load,
    /// An atomic store.
    Store,
    /// A read-modify-write, which writes or not by what it read.
    Rmw,
    /// A fence.
    Fence,
    /// The creation of thread `a`.
    Spawn,
    /// The wait for the end of thread `a`.
    Join,
    /// A nondeterministic choice among `a` values.
    Choose,
    /// The end of a sleep on a queue: reads from the wake that took the ticket `a`.
    Woken,
    /// `a` nanoseconds of virtual time pass.
    Tick,
}

/// The function that a read-modify-write applies. `a` and `b` are its operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Rmw {
    /// Writes `a`.
    Swap,
    /// Wrapping addition of `a`.
    Add,
    /// Wrapping subtraction of `a`.
    Sub,
    /// Bitwise and with `a`.
    And,
    /// Negated bitwise and with `a`.
    Nand,
    /// Bitwise or with `a`.
    Or,
    /// Exclusive or with `a`.
    Xor,
    /// Unsigned maximum.
    Max,
    /// Unsigned minimum.
    Min,
    /// Signed maximum.
    SignedMax,
    /// Signed minimum.
    SignedMin,
    /// Writes `b` if the value is `a`.
    Cas,
    /// As `Cas`, and may fail although the value is `a`.
    WeakCas,
    /// Adds `b` if the value is below `a`.
    AddIfBelow,
    /// Adds `b` unless the value is `a`.
    AddUnless,
    /// A reader of a lock leaves: subtracts `a`. What it has done happens before the next writer
    /// enters, but not before other readers do.
    Leaves,
    /// A writer of a lock enters: writes `b` if the value is `a`, and comes after every reader that
    /// has left.
    Enters,
    /// Takes a place in the wait queue that the location is.
    Enqueue,
    /// Takes up to `a` tickets on its channels out of the wait queue: the first `b` to wake, the
    /// others to move.
    Wake,
    /// Takes the ticket `a` out again, or finds it taken.
    Leave,
}

impl Rmw {
    /// Returns whether events of this kind make their location a wait queue.
    pub(crate) fn is_queue(self) -> bool {
        matches!(self, Rmw::Enqueue | Rmw::Wake | Rmw::Leave)
    }
}

/// The request of a thread, before the checker has decided on the outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    pub kind: Kind,
    pub rmw: Rmw,
    pub ord: Ordering,
    /// The ordering when nothing is written.
    pub fail: Ordering,
    /// The width of the location in bits.
    pub bits: u8,
    /// A read-modify-write that waits until it can write.
    pub awaits: bool,
    /// The wait of this event may end without what it waits for, when nothing else can run.
    pub timed: bool,
    /// The thread had let others go first: see `Runtime::relax`.
    pub after_yield: bool,
    /// Of the checker's own locks and queues, not of an atomic of the model.
    pub native: bool,
    pub loc: u32,
    /// Of a queue event: the channels that it is about, a bit each.
    pub channels: u32,
    pub a: u64,
    pub b: u64,
    pub site: &'static Location<'static>,
}

impl Label {
    /// A label without operands.
    pub(crate) fn new(
        kind: Kind,
        rmw: Rmw,
        ord: Ordering,
        site: &'static Location<'static>,
    ) -> Label {
        Label {
            kind,
            rmw,
            ord,
            fail: ord,
            bits: 64,
            awaits: false,
            timed: false,
            after_yield: false,
            native: true,
            loc: NO_LOC,
            channels: u32::MAX,
            a: 0,
            b: 0,
            site,
        }
    }
}

/// A step of a thread in an execution graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub label: Label,
    pub tid: u32,
    /// Place in program order.
    pub idx: u32,
    /// Where a read's value comes from.
    pub rf: Id,
    /// Place in modification order, from 1; the initial write is 0.
    pub pos: u32,
    /// Wrote to `label.loc`.
    pub wrote: bool,
    /// An awaiting read-modify-write that read a value on which it cannot go on.
    pub waiting: bool,
    /// The write that it read while it waited, when it was then resumed in place
    /// (`Explorer::wake_ready`).
    pub slept: Id,
    /// The last release fence of the thread at or before this event.
    pub fence: Id,
    /// Which alternative was taken: of a choice, of the tickets to wake, 1 for a spurious failure.
    pub choice: u32,
    pub rval: u64,
    pub wval: u64,
    /// Virtual time after the event, in nanoseconds.
    pub time: u64,
}

impl Event {
    pub(crate) fn reads(&self) -> bool {
        matches!(self.label.kind, Kind::Load | Kind::Rmw)
    }

    /// The ordering that applies, which depends on whether a compare-exchange wrote.
    pub(crate) fn ordering(&self) -> Ordering {
        if self.label.kind == Kind::Rmw && !self.wrote { self.label.fail } else { self.label.ord }
    }

    pub(crate) fn is_sc(&self) -> bool {
        self.ordering() == Ordering::SeqCst
            && matches!(self.label.kind, Kind::Load | Kind::Store | Kind::Rmw | Kind::Fence)
    }
}

pub(crate) fn acquires(ord: Ordering) -> bool {
    matches!(ord, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

pub(crate) fn releases(ord: Ordering) -> bool {
    matches!(ord, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}

/// All ones in the low `bits`.
pub(crate) const fn mask(bits: u8) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

fn signed(v: u64, bits: u8) -> i64 {
    let shift = 64 - u32::from(bits);
    ((v << shift) as i64) >> shift
}

/// Returns the value that `label` writes when it reads `old`, or `None` when it only reads.
pub(crate) fn apply(label: &Label, old: u64) -> Option<u64> {
    let Label { a, b, bits, .. } = *label;
    let new = match label.rmw {
        Rmw::Swap => a,
        Rmw::Add => old.wrapping_add(a),
        Rmw::Sub | Rmw::Leaves => old.wrapping_sub(a),
        Rmw::And => old & a,
        Rmw::Nand => !(old & a),
        Rmw::Or => old | a,
        Rmw::Xor => old ^ a,
        Rmw::Max => old.max(a),
        Rmw::Min => old.min(a),
        Rmw::SignedMax => {
            if signed(old, bits) >= signed(a, bits) {
                old
            } else {
                a
            }
        }
        Rmw::SignedMin => {
            if signed(old, bits) <= signed(a, bits) {
                old
            } else {
                a
            }
        }
        Rmw::Cas | Rmw::WeakCas | Rmw::Enters => {
            if old != a {
                return None;
            }
            b
        }
        Rmw::AddIfBelow => {
            if old >= a {
                return None;
            }
            old.wrapping_add(b)
        }
        Rmw::AddUnless => {
            if old == a {
                return None;
            }
            old.wrapping_add(b)
        }
        // The state of a wait queue is the fold over its modification order; see `queue`.
        Rmw::Enqueue | Rmw::Wake | Rmw::Leave => 0,
    };
    Some(new & mask(bits))
}
