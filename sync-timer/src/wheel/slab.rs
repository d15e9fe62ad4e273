//! Where the timers live: chunks of entries with stable numbers, allocated one by one and given
//! back one by one.
//!
//! A chunk whose last timer goes is freed, but for one that is kept so that a single timer coming
//! and going at a chunk's border does not allocate each time. New timers go into the lowest chunk
//! that has room, so the high ones tend to run empty.

use core::num::NonZeroU64;

use super::bits::BitSet;

/// Entries of one chunk, as a power of two: at 40 bytes an entry a chunk is 20 KiB.
const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;

/// "No entry", in the list of free ones.
const NIL: u32 = u32::MAX;

/// Names one timer of one wheel, for as long as the wheel lives: a key is never used for a second
/// timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub(super) index: u32,
    pub(super) serial: NonZeroU64,
}

impl Key {
    /// The serial number of the timer in its wheel, in the order of insertion.
    pub(crate) fn serial(self) -> NonZeroU64 {
        self.serial
    }
}

/// Where an entry is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// Nowhere; `at` links the free entries of the chunk.
    Free,
    /// In the bucket with number `bucket`, at position `at`.
    Bucket,
    /// In the heap, at position `at`.
    Heap,
    /// In the sorted run.
    Run,
    /// Nowhere, but not free: taken out in order to be fired.
    Detached,
}

/// One timer. 40 bytes with a `Box<dyn …>` inside.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) deadline: u64,
    /// The serial number of the key; of no meaning in a free entry.
    pub(super) serial: NonZeroU64,
    pub(super) at: u32,
    pub(super) bucket: u16,
    pub(super) location: Location,
    pub(super) value: Option<T>,
}

#[derive(Debug)]
struct Chunk<T> {
    /// Grows up to [`CHUNK`], its capacity; empty without capacity when the chunk is not there.
    entries: Vec<Entry<T>>,
    free: u32,
    live: u32,
}

impl<T> Chunk<T> {
    const ABSENT: Self = Self { entries: Vec::new(), free: NIL, live: 0 };
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks that are there and not full.
    roomy: BitSet,
    /// Numbers of chunks that are not there.
    absent: BitSet,
    /// An empty chunk that was kept.
    spare: Option<u32>,
    len: usize,
    next_serial: NonZeroU64,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            roomy: BitSet::new(),
            absent: BitSet::new(),
            spare: None,
            len: 0,
            next_serial: NonZeroU64::MIN,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn next_serial(&self) -> NonZeroU64 {
        self.next_serial
    }

    /// Entries for which memory is held.
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.capacity()).sum()
    }

    /// A new detached entry.
    pub(super) fn insert(&mut self, deadline: u64, value: T) -> Key {
        let number = match self.roomy.first() {
            Some(number) => number,
            None => self.new_chunk(),
        };
        let serial = self.next_serial;
        self.next_serial = serial.checked_add(1).expect("2^64 timers were scheduled");
        let entry = Entry {
            deadline,
            serial,
            at: 0,
            bucket: 0,
            location: Location::Detached,
            value: Some(value),
        };
        let chunk = &mut self.chunks[number];
        let offset = if chunk.free == NIL {
            chunk.entries.push(entry);
            chunk.entries.len() - 1
        } else {
            let offset = chunk.free as usize;
            chunk.free = chunk.entries[offset].at;
            chunk.entries[offset] = entry;
            offset
        };
        chunk.live += 1;
        if chunk.live as usize == CHUNK {
            self.roomy.remove(number);
        }
        if self.spare == Some(number as u32) {
            self.spare = None;
        }
        self.len += 1;
        Key { index: (number << CHUNK_BITS | offset) as u32, serial }
    }

    #[cold]
    fn new_chunk(&mut self) -> usize {
        let number = self.absent.first().unwrap_or(self.chunks.len());
        assert!(number < (NIL >> CHUNK_BITS) as usize, "more than four thousand million timers");
        if number == self.chunks.len() {
            self.chunks.push(Chunk::ABSENT);
        }
        self.chunks[number].entries = Vec::with_capacity(CHUNK);
        self.absent.remove(number);
        self.roomy.insert(number);
        number
    }

    /// Frees an entry and gives its value out. The entry is linked nowhere any more.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let number = (index >> CHUNK_BITS) as usize;
        let offset = index & (CHUNK as u32 - 1);
        let chunk = &mut self.chunks[number];
        let entry = &mut chunk.entries[offset as usize];
        debug_assert_eq!(entry.location, Location::Detached);
        entry.location = Location::Free;
        entry.at = chunk.free;
        let value = entry.value.take();
        chunk.free = offset;
        chunk.live -= 1;
        self.len -= 1;
        self.roomy.insert(number);
        if chunk.live == 0 {
            self.emptied(number);
        }
        value
    }

    /// Gives the chunk back, unless it becomes the spare.
    #[cold]
    fn emptied(&mut self, number: usize) {
        // The lower one is kept, for that is where the next timers go.
        let gone = match self.spare.replace(number as u32) {
            None => return,
            Some(other) if (other as usize) < number => {
                self.spare = Some(other);
                number
            }
            Some(other) => other as usize,
        };
        self.chunks[gone] = Chunk::ABSENT;
        self.roomy.remove(gone);
        self.absent.insert(gone);
    }

    /// The entry that a key names, if its timer is still here.
    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<&Entry<T>> {
        let entry = self
            .chunks
            .get((key.index >> CHUNK_BITS) as usize)?
            .entries
            .get(key.index as usize & (CHUNK - 1))?;
        (entry.serial == key.serial && entry.location != Location::Free).then_some(entry)
    }

    /// As [`find`](Self::find).
    #[inline]
    pub(super) fn find_mut(&mut self, key: Key) -> Option<&mut Entry<T>> {
        let entry = self
            .chunks
            .get_mut((key.index >> CHUNK_BITS) as usize)?
            .entries
            .get_mut(key.index as usize & (CHUNK - 1))?;
        (entry.serial == key.serial && entry.location != Location::Free).then_some(entry)
    }

    /// The entry with a number that a link, the heap or a checked key has given.
    #[inline]
    pub(super) fn entry(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.chunks[(index >> CHUNK_BITS) as usize].entries[index as usize & (CHUNK - 1)]
    }

    /// The keys of all entries that are not free, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            chunk
                .entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| entry.location != Location::Free)
                .map(move |(offset, entry)| Key {
                    index: (number << CHUNK_BITS | offset) as u32,
                    serial: entry.serial,
                })
        })
    }
}
