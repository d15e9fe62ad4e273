//! First in, first out: bounded or not.

use crate::buffer::array::Ring;
use crate::buffer::list::Blocks;
use crate::buffer::{Marked, Nothing, Refused, Store};

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "both are a few cache lines, and a queue is made rarely"
)]
pub(crate) enum Fifo<T> {
    Bounded(Ring<T>),
    Unbounded(Blocks<T>),
}

macro_rules! either {
    ($self:ident, $store:ident => $what:expr) => {
        match $self {
            Fifo::Bounded($store) => $what,
            Fifo::Unbounded($store) => $what,
        }
    };
}

impl<T> Store<T> for Fifo<T> {
    #[inline]
    fn push(&self, item: T) -> Result<Marked, Refused<T>> {
        either!(self, store => store.push(item))
    }

    #[inline]
    fn pop(&self) -> Result<(T, Marked), Nothing> {
        either!(self, store => store.pop())
    }

    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Marked), Nothing> {
        either!(self, store => store.push_many(items))
    }

    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Marked), Nothing> {
        either!(self, store => store.pop_many(out, max))
    }

    fn force_push(&self, item: T) -> Result<(Option<T>, Marked), T> {
        either!(self, store => store.force_push(item))
    }

    fn mark_putter(&self) -> bool {
        either!(self, store => store.mark_putter())
    }

    fn mark_getter(&self) -> bool {
        either!(self, store => store.mark_getter())
    }

    fn unmark_putters(&self) {
        either!(self, store => store.unmark_putters());
    }

    fn unmark_getters(&self) {
        either!(self, store => store.unmark_getters());
    }

    fn shut(&self) {
        either!(self, store => store.shut());
    }

    fn is_shut(&self) -> bool {
        either!(self, store => store.is_shut())
    }

    fn shut_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T> {
        either!(self, store => store.shut_and_drain(taken))
    }

    fn len(&self) -> usize {
        either!(self, store => store.len())
    }

    fn capacity(&self) -> Option<usize> {
        either!(self, store => store.capacity())
    }

    fn pushed(&self) -> u64 {
        either!(self, store => store.pushed())
    }
}
