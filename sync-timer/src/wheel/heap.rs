//! A 4-ary heap of deadlines whose members know where they are, so that any of them can be taken
//! out.
//!
//! Four children share a cache line or two, and the heap is half as high as a binary one. Equal
//! deadlines keep the order in which they were scheduled, by the serial number.

use core::num::NonZeroU64;

use super::slab::{Location, Slab};

const ARITY: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) deadline: u64,
    pub(super) serial: NonZeroU64,
    pub(super) index: u32,
}

impl Item {
    #[inline]
    pub(super) fn before(&self, other: &Self) -> bool {
        (self.deadline, self.serial) < (other.deadline, other.serial)
    }
}

#[derive(Debug)]
pub(super) struct Heap {
    items: Vec<Item>,
}

impl Heap {
    pub(super) const fn new() -> Self {
        Self { items: Vec::new() }
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&Item> {
        self.items.first()
    }

    pub(super) fn capacity(&self) -> usize {
        self.items.capacity()
    }

    /// Links the entry with this number, which is linked nowhere.
    pub(super) fn push<T>(&mut self, index: u32, slab: &mut Slab<T>) {
        let entry = slab.entry(index);
        entry.location = Location::Heap;
        let item = Item { deadline: entry.deadline, serial: entry.serial, index };
        self.items.push(item);
        self.rise(self.items.len() - 1, item, slab);
    }

    /// Unlinks the entry at this position.
    pub(super) fn remove<T>(&mut self, at: usize, slab: &mut Slab<T>) {
        slab.entry(self.items[at].index).location = Location::Detached;
        let last = self.items.pop().expect("the position is in the heap");
        if at < self.items.len() {
            // The last one takes the hole, and may belong above it or below it.
            if at > 0 && last.before(&self.items[(at - 1) / ARITY]) {
                self.rise(at, last, slab);
            } else {
                self.sink(at, last, slab);
            }
        }
        self.give_back();
    }

    /// Puts `item` at `at` or above.
    fn rise<T>(&mut self, mut at: usize, item: Item, slab: &mut Slab<T>) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !item.before(&self.items[parent]) {
                break;
            }
            self.set(at, self.items[parent], slab);
            at = parent;
        }
        self.set(at, item, slab);
    }

    /// Puts `item` at `at` or below.
    fn sink<T>(&mut self, mut at: usize, item: Item, slab: &mut Slab<T>) {
        loop {
            let children = at * ARITY + 1;
            let end = (children + ARITY).min(self.items.len());
            let Some(least) = (children..end)
                .reduce(|a, b| if self.items[b].before(&self.items[a]) { b } else { a })
            else {
                break;
            };
            if !self.items[least].before(&item) {
                break;
            }
            self.set(at, self.items[least], slab);
            at = least;
        }
        self.set(at, item, slab);
    }

    #[inline]
    fn set<T>(&mut self, at: usize, item: Item, slab: &mut Slab<T>) {
        self.items[at] = item;
        slab.entry(item.index).at = at as u32;
    }

    fn give_back(&mut self) {
        if self.items.capacity() > 1024 && self.items.len() < self.items.capacity() / 8 {
            self.items.shrink_to(self.items.len() * 2);
        }
    }

    /// Whether every item is in its place; for the tests.
    #[cfg(test)]
    pub(super) fn check<T>(&self, slab: &mut Slab<T>) {
        for (at, item) in self.items.iter().enumerate() {
            assert!(at == 0 || !item.before(&self.items[(at - 1) / ARITY]), "heap order at {at}");
            let entry = slab.entry(item.index);
            assert_eq!(
                (entry.location, entry.at, entry.deadline),
                (Location::Heap, at as u32, item.deadline)
            );
        }
    }
}
