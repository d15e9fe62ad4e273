//! The beginning of every segment: its format, its participants, its objects.
//!
//! | offset | what |
//! |---|---|
//! | 0 | magic u64, in the maker's byte order: a reader of another byte order sees it reversed |
//! | 8 | layout version u32, width of a pointer u32 |
//! | 16 | size of the whole segment u64 |
//! | 24 | random number, 2 x u64 |
//! | 40 | READY u32, written last |
//! | 44 | whose remainder is the slot that the next participant tries first u32 |
//! | 48 | lock of the directory u32, number of its entries u32, highest offset ever touched u64 |
//! | 64 | participants' table |
//! | 64 + table | directory: entries of name [u8; 32], type u64, offset u64, size u64, parameter u64, version u64 |
//! | [`OBJECTS`] | objects |
//!
//! **Creating objects** happens under the directory's lock: memory is zeroed and initialised, the
//! entries are written, and the number of entries is stored last, which is the commit point. A
//! process that is killed before it leaves nothing, for the next one starts at the same place.
//!
//! **Removing objects** happens under the same lock, by one store: an entry's version is odd while
//! its object has its name, and even before and afterwards. A later object may get the entry: the
//! version counts up once more when the entry is complete. A reader without the lock compares the
//! version before and after. (It has 64 bits and does not come back.) An object's memory is never
//! given to another object: processes that have the removed one open go on using it.

use std::os::fd::AsFd;

use rustix::io::pread;

use crate::error::{Error, Result};
use crate::membership::{TABLE, Table};
use crate::memory::Mapping;
use sync_core::primitive::atomic::{Ordering, fence};

pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"syncIPC\x01");
pub(super) const LAYOUT: u32 = 3;
pub(super) const READY: u32 = 0x5ea1_ed00;

pub(super) const SIZE: usize = 16;
pub(super) const NONCE: usize = 24;
pub(super) const STATE: usize = 40;
const NEXT_SLOT: usize = 44;
pub(super) const DIRECTORY_LOCK: usize = 48;
pub(super) const DIRECTORY_COUNT: usize = 52;
pub(super) const TOUCHED: usize = 56;
const PARTICIPANTS: usize = 64;
const DIRECTORY: usize = PARTICIPANTS + TABLE;

/// The participants' table.
pub(super) const TABLE_AT: Table = Table { records: PARTICIPANTS, next: NEXT_SLOT };

/// The number of objects that a segment can have.
pub(super) const ENTRIES: usize = 128;
pub(super) const NAME: usize = 32;
const ENTRY: usize = NAME + 40;
const VERSION: usize = NAME + 32;

/// The offset at which objects begin.
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
    pub(super) const EMPTY: Self =
        Self { name: [0; NAME], kind: 0, offset: 0, size: 0, parameter: 0 };

    /// Whether its object was removed. (No object has an empty name.)
    pub(super) fn is_free(&self) -> bool {
        self.name == [0; NAME]
    }

    pub(super) fn end(&self) -> usize {
        self.offset + self.size
    }
}

/// Writes the header of a segment that no other process has seen yet.
pub(super) fn initialise(map: &Mapping, nonce: Nonce) {
    // Relaxed throughout: no other process has the descriptor before it is passed on, by means
    // that order more than an atomic does.
    map.u64(0).store(MAGIC, Ordering::Relaxed);
    map.u32(8).store(LAYOUT, Ordering::Relaxed);
    map.u32(12).store(size_of::<usize>() as u32, Ordering::Relaxed);
    map.u64(SIZE).store(map.len() as u64, Ordering::Relaxed);
    map.u64(NONCE).store(nonce[0], Ordering::Relaxed);
    map.u64(NONCE + 8).store(nonce[1], Ordering::Relaxed);
    map.u64(TOUCHED).store(OBJECTS as u64, Ordering::Relaxed);
    map.u32(STATE).store(READY, Ordering::Release);
}

/// The first bytes of a file that may be a segment, as many as the header's fields have.
fn fields(memfd: impl AsFd) -> Option<[u8; PARTICIPANTS]> {
    let mut bytes = [0; PARTICIPANTS];
    (pread(memfd, &mut bytes, 0).ok()? == bytes.len()).then_some(bytes)
}

fn field<const N: usize>(fields: &[u8; PARTICIPANTS], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&fields[at..at + N]);
    field
}

/// Checks a header that another process wrote, of memory of `len` bytes. Nothing is mapped or
/// allocated for it.
pub(super) fn check(memfd: impl AsFd, len: usize) -> Result<()> {
    let Some(bytes) = fields(memfd) else { return Err(Error::NotASegment("truncated")) };
    let magic = u64::from_ne_bytes(field(&bytes, 0));
    if magic == MAGIC.swap_bytes() {
        return Err(Error::NotASegment("made on a machine of the other byte order"));
    }
    if magic != MAGIC {
        return Err(Error::NotASegment("no magic number"));
    }
    if u32::from_ne_bytes(field(&bytes, 8)) != LAYOUT {
        return Err(Error::NotASegment("another version of the layout"));
    }
    if u32::from_ne_bytes(field(&bytes, 12)) as usize != size_of::<usize>() {
        return Err(Error::NotASegment("another width of pointers"));
    }
    if u64::from_ne_bytes(field(&bytes, SIZE)) != len as u64 {
        return Err(Error::NotASegment("not the size its header says"));
    }
    if u32::from_ne_bytes(field(&bytes, STATE)) != READY {
        return Err(Error::NotASegment("its maker did not finish it"));
    }
    Ok(())
}

/// The random number in the header behind a descriptor, if there is a header.
pub(super) fn nonce_of(memfd: impl AsFd) -> Option<Nonce> {
    let bytes = fields(memfd)?;
    let word = |at| u64::from_ne_bytes(field(&bytes, at));
    (word(0) == MAGIC).then(|| [word(NONCE), word(NONCE + 8)])
}

/// The number of times that an entry is read again because it changed meanwhile.
const ATTEMPTS: usize = 1000;

/// Reads entry `at`; an error if it points outside or is not aligned. An entry whose object was
/// removed has no name.
pub(super) fn entry(map: &Mapping, at: usize) -> Result<Entry> {
    let version = map.u64(DIRECTORY + at * ENTRY + VERSION);
    for _ in 0..ATTEMPTS {
        // Acquire: pairs with the Release in `write_entry` and `remove_entry`.
        let before = version.load(Ordering::Acquire);
        if before == 0 {
            // A counted entry has been written.
            return Err(Error::Corrupted);
        }
        let named = before % 2 == 1;
        let entry = fields_of(map, at, named);
        // Acquire: pairs with the fence in `write_entry`: if a field of a later object was read,
        // the version below is a later one.
        fence(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        if version.load(Ordering::Relaxed) == before {
            return entry;
        }
    }
    Err(Error::Busy)
}

fn fields_of(map: &Mapping, at: usize, named: bool) -> Result<Entry> {
    let from = DIRECTORY + at * ENTRY;
    let mut name = [0; NAME];
    if named {
        map.read(from, &mut name);
    }
    // Relaxed: `entry` orders the fields by the version, or the directory is locked.
    let word = |offset: usize| map.u64(from + NAME + offset).load(Ordering::Relaxed);
    let (kind, offset, size, parameter) = (word(0), word(8), word(16), word(24));
    let (Ok(mut offset), Ok(mut size)) = (usize::try_from(offset), usize::try_from(size)) else {
        return Err(Error::Corrupted);
    };
    if !named {
        // A process that was killed while it wrote may have left a new offset with an old size.
        offset = offset.clamp(OBJECTS, map.len()) / 64 * 64;
        size = size.min(map.len() - offset);
    }
    if offset < OBJECTS || offset % 64 != 0 || offset > map.len() || size > map.len() - offset {
        return Err(Error::Corrupted);
    }
    Ok(Entry { name, kind, offset, size, parameter })
}

/// The `parameter` of the lock of an array. That of no other object is above what memory can hold.
pub(crate) const LOCK_OF_AN_ARRAY: u64 = u64::MAX - 0x41_72_72_61_79;

/// Returns the name of the lock of an array.
pub(crate) fn name_of_lock(array: &str) -> String {
    format!("{array}~")
}

/// The entries of locks whose arrays are not there: their creators were killed, or the arrays were
/// removed without their locks.
pub(super) fn locks_without_array(entries: &[Entry]) -> Vec<usize> {
    let is_left = |lock: &Entry| {
        let end = lock.name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        let Some((b'~', base)) = lock.name[..end].split_last() else { return false };
        let named =
            |entry: &Entry| entry.name[..base.len()] == *base && entry.name[base.len()] == 0;
        lock.parameter == LOCK_OF_AN_ARRAY && !entries.iter().any(named)
    };
    (0..entries.len()).filter(|at| is_left(&entries[*at])).collect()
}

/// Removes the name of entry `at`, under the directory's lock.
pub(super) fn remove_entry(map: &Mapping, at: usize) {
    let version = map.u64(DIRECTORY + at * ENTRY + VERSION);
    // Relaxed: written under the lock.
    let now = version.load(Ordering::Relaxed);
    if now % 2 == 1 {
        // Release: a reader that sees the version sees what was done under the name. The commit
        // point.
        version.store(now.wrapping_add(1), Ordering::Release);
    }
}

/// Writes entry `at`, which has no name, under the directory's lock. The commit point, if the entry
/// is counted already.
pub(super) fn write_entry(map: &Mapping, at: usize, entry: &Entry) {
    let to = DIRECTORY + at * ENTRY;
    let version = map.u64(to + VERSION);
    // Relaxed: written under the lock. A process that was killed in here, before the entry was
    // counted, may have left an odd one.
    let now = version.load(Ordering::Relaxed);
    // The next even one. A peer may have written any number.
    let free = now.wrapping_add(now & 1);
    version.store(free, Ordering::Relaxed);
    // Release: pairs with the fence in `entry`: the even version comes before the fields.
    fence(Ordering::Release);
    map.write(to, &entry.name);
    for (index, word) in [entry.kind, entry.offset as u64, entry.size as u64, entry.parameter]
        .into_iter()
        .enumerate()
    {
        // Release: in this order, so that a process that is killed in between leaves no end of
        // the entry's memory that is before that of the removed object.
        map.u64(to + NAME + index * 8).store(word, Ordering::Release);
    }
    // Release: pairs with the Acquire in `entry`: the fields, and the object, are complete.
    version.store(free.wrapping_add(1), Ordering::Release);
}
