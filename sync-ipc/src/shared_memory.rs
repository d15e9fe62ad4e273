//! Bytes by name, and a list of small values in them.

use core::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sync_core::primitive::atomic::Ordering;
use sync_core::primitive::futex::Deadline;

use crate::error::{Error, ListError, OutOfRange, Result};
use crate::plain;
use crate::random::random;
use crate::raw::{LOCK_TIMEOUT, mutex};
use crate::segment::{Block, Segment};

const BYTES: &str = "bytes";

/// Bytes that processes share, by name or by descriptor.
///
/// Reads and writes copy: a peer may write at any time, so no slice of the memory is ever handed
/// out.
///
/// ```
/// use sync_ipc::SharedMemory;
///
/// let memory = SharedMemory::create(&format!("doc-{}", std::process::id()), 100)?;
/// memory.write(10, b"hello")?;
/// let theirs = SharedMemory::open(&format!("doc-{}", std::process::id()))?;
/// assert_eq!(theirs.to_vec(10..15)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedMemory {
    block: Block,
    name: Option<String>,
}

impl SharedMemory {
    fn place(segment: &Segment, size: usize) -> Result<Block> {
        segment.place(BYTES, plain::kind_of::<()>(BYTES), size, 0, |_| {})
    }

    /// `size` zeros under a name that must be new.
    ///
    /// # Errors
    ///
    /// As [`Segment::create`].
    pub fn create(name: &str, size: usize) -> Result<Self> {
        // The bytes are there before the name is, so each opener finds both.
        let (_, block) = Segment::create_with(name, size, |segment| Self::place(segment, size))?;
        Ok(Self { block, name: Some(name.to_owned()) })
    }

    /// As [`create`](Self::create), under a name of its own making; see [`name`](Self::name).
    ///
    /// # Errors
    ///
    /// As [`Segment::create`].
    pub fn create_new(size: usize) -> Result<Self> {
        loop {
            let number = u64::from_ne_bytes(random()?);
            match Self::create(&format!("memory-{number:016x}"), size) {
                Err(Error::AlreadyExists) => {}
                other => return other,
            }
        }
    }

    /// `size` zeros without a name.
    ///
    /// # Errors
    ///
    /// As [`Segment::anonymous`].
    pub fn anonymous(size: usize) -> Result<Self> {
        Ok(Self { block: Self::place(&Segment::anonymous(size)?, size)?, name: None })
    }

    /// The bytes of that name.
    ///
    /// # Errors
    ///
    /// As [`Segment::open`].
    pub fn open(name: &str) -> Result<Self> {
        let block = Segment::open(name)?.find(BYTES, plain::kind_of::<()>(BYTES))?;
        Ok(Self { block, name: Some(name.to_owned()) })
    }

    /// The bytes behind a descriptor that another process passed to us.
    ///
    /// # Errors
    ///
    /// As [`Segment::from_fd`].
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        Ok(Self {
            block: Segment::from_fd(fd)?.find(BYTES, plain::kind_of::<()>(BYTES))?,
            name: None,
        })
    }

    /// Its name, if it was made or found by one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.block.len()
    }

    /// Removes the name. The processes that hold the memory keep it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn unlink(&self) -> Result<()> {
        self.block.segment().unlink_own()
    }

    fn check(&self, at: usize, len: usize) -> Result<(), OutOfRange> {
        if at > self.size() || len > self.size() - at { Err(OutOfRange) } else { Ok(()) }
    }

    /// Copies bytes out, from `at` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn read(&self, at: usize, into: &mut [u8]) -> Result<(), OutOfRange> {
        self.check(at, into.len())?;
        self.block.read(at, into);
        Ok(())
    }

    /// Copies bytes out.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn to_vec(&self, range: core::ops::Range<usize>) -> Result<Vec<u8>, OutOfRange> {
        let len = range.end.checked_sub(range.start).ok_or(OutOfRange)?;
        self.check(range.start, len)?;
        let mut bytes = vec![0; len];
        self.block.read(range.start, &mut bytes);
        Ok(bytes)
    }

    /// Copies bytes in, from `at` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`]; then nothing was written.
    pub fn write(&self, at: usize, from: &[u8]) -> Result<(), OutOfRange> {
        self.check(at, from.len())?;
        self.block.write(at, from);
        Ok(())
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.block.segment().as_fd()
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name)
            .field("size", &self.size())
            .finish()
    }
}

/// A value in a [`ShareableList`].
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Nothing.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Item {
    fn kind(&self) -> u32 {
        match self {
            Self::None => 1,
            Self::Bool(_) => 2,
            Self::Int(_) => 3,
            Self::Float(_) => 4,
            Self::Str(_) => 5,
            Self::Bytes(_) => 6,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int(value) => value.to_ne_bytes().to_vec(),
            Self::Float(value) => value.to_ne_bytes().to_vec(),
            Self::Str(value) => value.as_bytes().to_vec(),
            Self::Bytes(value) => value.clone(),
        }
    }

    fn from_bytes(kind: u32, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            1 => Self::None,
            2 => Self::Bool(*bytes.first()? != 0),
            3 => Self::Int(i64::from_ne_bytes(bytes.try_into().ok()?)),
            4 => Self::Float(f64::from_ne_bytes(bytes.try_into().ok()?)),
            5 => Self::Str(String::from_utf8(bytes.to_vec()).ok()?),
            6 => Self::Bytes(bytes.to_vec()),
            _ => return None,
        })
    }
}

/// A list of a fixed number of small values, each of which may be replaced by another that fits
/// into its place.
///
/// Memory: lock word u32, unused u32; per item kind u32, length u32, offset u32, room u32; then the
/// items' bytes.
///
/// ```
/// use sync_ipc::{Item, Segment, ShareableList};
///
/// let segment = Segment::anonymous(4096)?;
/// let items = [Item::Int(1), Item::Str("howdy".into()), Item::None];
/// let list = ShareableList::create(&segment, "list", &items)?;
/// list.set(1, &Item::Str("hi".into()))?;
/// assert_eq!(list.get(1)?, Item::Str("hi".into()));
/// assert!(list.set(1, &Item::Str("a text that is longer than its place".into())).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ShareableList {
    block: Block,
    /// Offset and room of every item, read once.
    places: Vec<(usize, usize)>,
}

const TORN: u32 = 0;
const HEADER: usize = 8;
const ENTRY: usize = 16;

impl ShareableList {
    /// A new list.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for no items; else as for any object.
    pub fn create(segment: &Segment, name: &str, items: &[Item]) -> Result<Self> {
        if items.is_empty() {
            return Err(Error::BadSize);
        }
        let mut end = HEADER + items.len() * ENTRY;
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            // Numbers may replace each other; texts keep room for what they begin with, rounded up.
            let room = item.bytes().len().max(8).next_multiple_of(8);
            places.push((end, room));
            end += room;
        }
        if u32::try_from(end).is_err() {
            return Err(Error::BadSize);
        }
        let block = segment.place(
            name,
            plain::kind_of::<()>("list"),
            end,
            items.len() as u64,
            |block| {
                for (at, (item, (offset, room))) in items.iter().zip(&places).enumerate() {
                    let (entry, bytes) = (HEADER + at * ENTRY, item.bytes());
                    block.write(*offset, &bytes);
                    for (word, value) in
                        [item.kind(), bytes.len() as u32, *offset as u32, *room as u32]
                            .into_iter()
                            .enumerate()
                    {
                        // Relaxed: no other participant can find the object yet.
                        block.u32(entry + word * 4).store(value, Ordering::Relaxed);
                    }
                }
            },
        )?;
        Ok(Self { block, places })
    }

    /// The list of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, plain::kind_of::<()>("list"))?;
        let len = usize::try_from(block.parameter()).map_err(|_| Error::Corrupted)?;
        if len == 0
            || len
                .checked_mul(ENTRY)
                .and_then(|size| size.checked_add(HEADER))
                .is_none_or(|size| size > block.len())
        {
            return Err(Error::Corrupted);
        }
        let places = (0..len).map(|at| {
            let word = |index: usize| {
                // Relaxed: written before the object could be found, and checked below.
                block.u32(HEADER + at * ENTRY + index * 4).load(Ordering::Relaxed) as usize
            };
            let (offset, room) = (word(2), word(3));
            let inside = offset >= HEADER + len * ENTRY
                && offset <= block.len()
                && room <= block.len() - offset;
            if inside { Ok((offset, room)) } else { Err(Error::Corrupted) }
        });
        let places = places.collect::<Result<_>>()?;
        Ok(Self { block, places })
    }

    /// Returns the number of items.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    fn locked<R>(&self, act: impl FnOnce() -> R) -> Result<R, ListError> {
        let (word, peers) = (self.block.u32(0), &self.block);
        match mutex::lock(word, peers, Deadline::after(LOCK_TIMEOUT)) {
            Ok(mutex::Locked::Clean) => {}
            // Each item records by itself whether it is whole.
            Ok(mutex::Locked::OwnerDied) => mutex::mark_consistent(word, peers),
            Err(_) => return Err(ListError::Locked),
        }
        let done = act();
        mutex::unlock(word, peers);
        Ok(done)
    }

    /// Item `at`.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub fn get(&self, at: usize) -> Result<Item, ListError> {
        let (offset, room) = *self.places.get(at).ok_or(ListError::OutOfRange)?;
        let entry = HEADER + at * ENTRY;
        self.locked(|| {
            // Relaxed: under the lock.
            let kind = self.block.u32(entry).load(Ordering::Relaxed);
            let len = self.block.u32(entry + 4).load(Ordering::Relaxed) as usize;
            if len > room {
                return Err(ListError::Torn);
            }
            let mut bytes = vec![0; len];
            self.block.read(offset, &mut bytes);
            Item::from_bytes(kind, &bytes).ok_or(ListError::Torn)
        })?
    }

    /// Replaces item `at`.
    ///
    /// # Errors
    ///
    /// [`ListError`]; then the item is unchanged.
    pub fn set(&self, at: usize, item: &Item) -> Result<(), ListError> {
        let (offset, room) = *self.places.get(at).ok_or(ListError::OutOfRange)?;
        let (entry, bytes) = (HEADER + at * ENTRY, item.bytes());
        if bytes.len() > room {
            return Err(ListError::TooLong);
        }
        self.locked(|| {
            // SeqCst: torn before the first byte changes and whole after the last, also for a
            // process that looks after the death of this one.
            self.block.u32(entry).store(TORN, Ordering::SeqCst);
            self.block.write(offset, &bytes);
            self.block.u32(entry + 4).store(bytes.len() as u32, Ordering::Relaxed);
            self.block.u32(entry).store(item.kind(), Ordering::SeqCst);
        })
    }

    /// All items.
    ///
    /// # Errors
    ///
    /// [`ListError`].
    pub fn to_vec(&self) -> Result<Vec<Item>, ListError> {
        (0..self.len()).map(|at| self.get(at)).collect()
    }
}

impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareableList").field("len", &self.len()).finish_non_exhaustive()
    }
}

handle!(
    [] SharedMemory,
    |this| &this.block,
    Self { block: this.block.clone(), name: this.name.clone() },
    |segment, name| {
        Ok(Self { block: segment.find(name, plain::kind_of::<()>(BYTES))?, name: None })
    }
);
handle!(
    [] ShareableList,
    |this| &this.block,
    Self { block: this.block.clone(), places: this.places.clone() }
);
