//! First in, first out: bounded or not.

use crate::buffer::array::Array;
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
