//! First in, first out: bounded or not.

use crate::buffer::array::{Array, Ended, Reserved};
use crate::buffer::list::List;
use crate::buffer::{Buffer, Closed, PopError, PushError, Wake};

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "both are a few cache lines, and a queue is made rarely"
)]
pub(crate) enum Fifo<T> {
    Bounded(Array<T>),
    Unbounded(List<T>),
}

macro_rules! either {
    ($self:ident, $buffer:ident => $what:expr) => {
        match $self {
            Fifo::Bounded($buffer) => $what,
            Fifo::Unbounded($buffer) => $what,
        }
    };
}

impl<T> Buffer<T> for Fifo<T> {
    #[inline]
    fn push(&self, item: T) -> Result<Wake, PushError<T>> {
        either!(self, buffer => buffer.push(item))
    }

    #[inline]
    fn pop(&self) -> Result<(T, Wake), PopError> {
        either!(self, buffer => buffer.pop())
    }

    const HAS_FAST_PATH: bool = true;

    #[inline(always)]
    fn push_fast(&self, item: T) -> Result<Wake, T> {
        either!(self, buffer => buffer.push_fast(item))
    }

    #[inline(always)]
    fn pop_fast(&self) -> Option<(T, Wake)> {
        either!(self, buffer => buffer.pop_fast())
    }

    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Wake), Closed> {
        either!(self, buffer => buffer.push_many(items))
    }

    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Wake), PopError> {
        either!(self, buffer => buffer.pop_many(out, max))
    }

    fn force_push(&self, item: T) -> Result<(Option<T>, Wake), Closed<T>> {
        either!(self, buffer => buffer.force_push(item))
    }

    fn set_putters_parked(&self) -> bool {
        either!(self, buffer => buffer.set_putters_parked())
    }

    fn set_getters_parked(&self) -> bool {
        either!(self, buffer => buffer.set_getters_parked())
    }

    fn clear_putters_parked(&self) {
        either!(self, buffer => buffer.clear_putters_parked());
    }

    fn clear_getters_parked(&self) {
        either!(self, buffer => buffer.clear_getters_parked());
    }

    fn skipped(&self) -> usize {
        either!(self, buffer => buffer.skipped())
    }

    fn close(&self) {
        either!(self, buffer => buffer.close());
    }

    fn is_closed(&self) -> bool {
        either!(self, buffer => buffer.is_closed())
    }

    fn close_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T> {
        either!(self, buffer => buffer.close_and_drain(taken))
    }

    fn len(&self) -> usize {
        either!(self, buffer => buffer.len())
    }

    fn capacity(&self) -> Option<usize> {
        either!(self, buffer => buffer.capacity())
    }

    fn pushed(&self) -> u64 {
        either!(self, buffer => buffer.pushed())
    }
}

/// Room for one item, for a put whose item comes later.
#[must_use = "no getter passes over the room"]
pub(crate) enum Room {
    /// A place in an array.
    Reserved(Reserved),
    /// A list has room for any item.
    Unlimited,
}

impl<T> Fifo<T> {
    /// Takes room for one item.
    pub(crate) fn reserve(&self) -> Result<Room, PushError<()>> {
        match self {
            Fifo::Bounded(array) => array.reserve().map(Room::Reserved),
            Fifo::Unbounded(list) if list.is_closed() => Err(PushError::Closed(())),
            Fifo::Unbounded(_) => Ok(Room::Unlimited),
        }
    }

    /// Puts the item into the room. A list may have been closed since. Returns the getters that are
    /// parked.
    ///
    /// # Safety
    ///
    /// The room is from this buffer.
    pub(crate) unsafe fn fill(&self, room: Room, item: T) -> Result<Ended, PushError<T>> {
        match (self, room) {
            // SAFETY: the caller promises it (`# Safety`).
            (Fifo::Bounded(array), Room::Reserved(place)) => unsafe { array.fill(place, item) },
            (Fifo::Unbounded(list), Room::Unlimited) => {
                list.push(item).map(|wake| Ended { wake, awaited: Wake(false) })
            }
            _ => unreachable!("the room is from this buffer"),
        }
    }

    /// Gives the room back. Returns the putters and the getters that are parked.
    ///
    /// # Safety
    ///
    /// The room is from this buffer.
    pub(crate) unsafe fn leave_void(&self, room: Room) -> Ended {
        match (self, room) {
            // SAFETY: the caller promises it (`# Safety`).
            (Fifo::Bounded(array), Room::Reserved(place)) => unsafe { array.leave_void(place) },
            _ => Ended { wake: Wake(false), awaited: Wake(false) },
        }
    }

    /// Returns whether a get would find an item.
    pub(crate) fn has_item(&self) -> bool {
        match self {
            Fifo::Bounded(array) => array.has_item(),
            Fifo::Unbounded(list) => list.len() > 0,
        }
    }

    /// Returns whether a put would find room.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Fifo::Bounded(array) => array.has_room(),
            Fifo::Unbounded(_) => true,
        }
    }

    /// Returns whether no item is inside and the buffer is open: a hint, and the cheaper answer.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        either!(self, buffer => buffer.looks_empty())
    }

    /// Returns a number that changes with each push and with the close.
    pub(crate) fn arrivals(&self) -> u64 {
        either!(self, buffer => buffer.arrivals())
    }

    /// Returns a number that changes with each pop that makes room, and with the close.
    pub(crate) fn departures(&self) -> u64 {
        match self {
            Fifo::Bounded(array) => array.departures(),
            Fifo::Unbounded(list) => u64::from(list.is_closed()),
        }
    }
}
