//! The state of a select between the choice of a case and its completion.

use crate::buffer::fifo::Room;
use crate::wait::stash::Stash;

/// The chosen case, half done.
#[must_use = "the case is begun"]
pub(crate) enum Token {
    /// The other side is gone.
    Closed,
    /// A receive: the item, taken out.
    Item(Stash),
    /// A send: room, taken.
    Room(Room),
    /// A send with room for none: the number of a claim on a receiver, which may be taken back.
    Partner(u64),
}
