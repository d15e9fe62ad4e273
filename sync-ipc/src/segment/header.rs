//! What every segment begins with: who made it, who takes part, what is in it.
//!
//! | offset | what |
//! |---|---|
//! | 0 | magic u64, in the maker's byte order: read backwards, it says so |
//! | 8 | layout version u32, width of a pointer u32 |
//! | 16 | size of the whole segment u64 |
//! | 24 | random number, 2 x u64 |
//! | 40 | READY u32, written last |
//! | 48 | lock of the directory u32, number of its entries u32, highest offset ever touched u64 |
//! | 64 | participants' table |
//! | 64 + table | directory: entries of name [u8; 32], type u64, offset u64, size u64, parameter u64 |
//! | [`OBJECTS`] | objects |
//!
//! **Creating an object** happens under the directory's lock: memory is zeroed and initialised, the
//! entry is written, and the number of entries is stored last, which is the commit point. Whoever
//! is killed before it leaves nothing, for the next one starts at the same place. An entry, once
//! counted, never changes.

use std::os::fd::AsFd;

use rustix::io::pread;

use crate::error::{Error, Result};
use crate::membership::TABLE;
use crate::memory::Mapping;
use sync_core::primitive::atomic::Ordering;

pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"syncIPC\x01");
pub(super) const LAYOUT: u32 = 2;
pub(super) const READY: u32 = 0x5ea1_ed00;

pub(super) const SIZE: usize = 16;
pub(super) const NONCE: usize = 24;
pub(super) const STATE: usize = 40;
pub(super) const DIRECTORY_LOCK: usize = 48;
pub(super) const DIRECTORY_COUNT: usize = 52;
pub(super) const TOUCHED: usize = 56;
pub(super) const PARTICIPANTS: usize = 64;
const DIRECTORY: usize = PARTICIPANTS + TABLE;

/// How many objects a segment can have.
pub(super) const ENTRIES: usize = 128;
pub(super) const NAME: usize = 32;
const ENTRY: usize = NAME + 32;

/// Where objects begin.
pub(crate) const OBJECTS: usize = (DIRECTORY + ENTRIES * ENTRY).next_multiple_of(4096);

/// The random number that ties a name to its memory.
pub(crate) type Nonce = [u64; 2];

/// One object's entry, copied out and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: [u8; NAME],
    pub(super) kind: u64,
    pub(super) offset: usize,
    pub(super) size: usize,
    pub(super) parameter: u64,
}

impl Entry {
    pub(super) fn end(&self) -> usize {
        self.offset + self.size
    }
}

/// Writes the header of a segment that nobody else has seen yet.
pub(super) fn initialise(map: &Mapping, nonce: Nonce) {
    // Relaxed throughout: nobody else has the descriptor before it is passed on, by means that
    // order more than an atomic does.
    map.u64(0).store(MAGIC, Ordering::Relaxed);
    map.u32(8).store(LAYOUT, Ordering::Relaxed);
    map.u32(12).store(size_of::<usize>() as u32, Ordering::Relaxed);
    map.u64(SIZE).store(map.len() as u64, Ordering::Relaxed);
    map.u64(NONCE).store(nonce[0], Ordering::Relaxed);
    map.u64(NONCE + 8).store(nonce[1], Ordering::Relaxed);
    map.u64(TOUCHED).store(OBJECTS as u64, Ordering::Relaxed);
    map.u32(STATE).store(READY, Ordering::Release);
}

/// Checks a header that somebody else wrote.
pub(super) fn check(map: &Mapping) -> Result<()> {
    let magic = map.u64(0).load(Ordering::Relaxed);
    if magic == MAGIC.swap_bytes() {
        return Err(Error::NotASegment("made on a machine of the other byte order"));
    }
    if magic != MAGIC {
        return Err(Error::NotASegment("no magic number"));
    }
    if map.u32(8).load(Ordering::Relaxed) != LAYOUT {
        return Err(Error::NotASegment("another version of the layout"));
    }
    if map.u32(12).load(Ordering::Relaxed) as usize != size_of::<usize>() {
        return Err(Error::NotASegment("another width of pointers"));
    }
    if map.u64(SIZE).load(Ordering::Relaxed) != map.len() as u64 {
        return Err(Error::NotASegment("not the size its header says"));
    }
    if map.u32(STATE).load(Ordering::Acquire) != READY {
        return Err(Error::NotASegment("its maker did not finish it"));
    }
    Ok(())
}

/// The random number in the header behind a descriptor, if there is a header.
pub(super) fn nonce_of(memfd: impl AsFd) -> Option<Nonce> {
    let mut bytes = [0; NONCE + 16];
    if pread(memfd, &mut bytes, 0).ok()? != bytes.len() {
        return None;
    }
    let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_ne_bytes).ok();
    if word(0)? != MAGIC {
        return None;
    }
    Some([word(NONCE)?, word(NONCE + 8)?])
}

/// Reads entry `at`; an error if it points outside or is not aligned.
pub(super) fn entry(map: &Mapping, at: usize) -> Result<Entry> {
    let from = DIRECTORY + at * ENTRY;
    let mut name = [0; NAME];
    map.read(from, &mut name);
    let word = |offset: usize| map.u64(from + NAME + offset).load(Ordering::Relaxed);
    let (kind, offset, size, parameter) = (word(0), word(8), word(16), word(24));
    let (Ok(offset), Ok(size)) = (usize::try_from(offset), usize::try_from(size)) else { return Err(Error::Corrupted) };
    if offset < OBJECTS || offset % 64 != 0 || offset > map.len() || size > map.len() - offset {
        return Err(Error::Corrupted);
    }
    Ok(Entry { name, kind, offset, size, parameter })
}

/// Writes entry `at`. Not yet counted.
pub(super) fn write_entry(map: &Mapping, at: usize, entry: &Entry) {
    let to = DIRECTORY + at * ENTRY;
    map.write(to, &entry.name);
    for (index, word) in [entry.kind, entry.offset as u64, entry.size as u64, entry.parameter].into_iter().enumerate() {
        map.u64(to + NAME + index * 8).store(word, Ordering::Relaxed);
    }
}
