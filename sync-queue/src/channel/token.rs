//! The state of a select between the choice of a case and its completion.

use core::ptr::NonNull;

use crate::buffer::fifo::Room;
use crate::wait::selector::Claimed;
use crate::wait::stash::Stash;

/// The chosen case, half done.
#[must_use = "other threads wait for the completion"]
pub(crate) enum Token {
    /// The other side is gone.
    Closed,
    /// A receive: the item, taken out.
    Item(Stash),
    /// A send: room, taken.
    Room(Room),
    /// A send with room for none: a partner, taken out of its list or claimed.
    Partner(Partner),
}

/// A receiver that waits for the item of a select.
#[must_use = "the receiver waits for an item"]
pub(crate) enum Partner {
    /// The waiter of a thread, without its type.
    Waiter(NonNull<()>),
    /// The claim on the waiter of a task, which may be dropped meanwhile.
    Task(u64),
    Select(Claimed),
}
