//! Numbers and rows of numbers between processes, with a lock and without.
//!
//! A [`Value`] is a [`ReentrantMutex`] under another name. An [`Array`] is a [`RawArray`] beside
//! one: two objects, of which the lock is placed first, so that an array that can be found has its
//! lock.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, Range};
use core::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::mutex::LockError;
use crate::plain::{self, Plain};
use crate::reentrant::{ReentrantGuard, ReentrantMutex};
use crate::segment::{Block, Segment};

/// A shared value with its own reentrant lock.
///
/// Reading and then writing are two steps; hold the lock over both:
///
/// ```
/// use sync_ipc::{Segment, Value};
///
/// let segment = Segment::anonymous(4096)?;
/// let hits = Value::create(&segment, "hits", 0_u64)?;
/// hits.lock().unwrap().update(|n| *n += 1); // exact, whoever else does it
/// assert_eq!(hits.get().unwrap(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Value<T>(ReentrantMutex<T>);

impl<T: Plain> Value<T> {
    /// A new value.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        Ok(Self(ReentrantMutex::create(segment, name, value)?))
    }

    /// The value of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self(ReentrantMutex::open(segment, name)?))
    }

    /// Locks it.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    #[doc(alias = "get_lock")]
    #[track_caller]
    pub fn lock(&self) -> Result<ReentrantGuard<'_, T>, LockError<ReentrantGuard<'_, T>>> {
        self.0.lock()
    }

    /// Locks it, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Result<ReentrantGuard<'_, T>, LockError<ReentrantGuard<'_, T>>> {
        self.0.lock_timeout(timeout)
    }

    /// Reads it under its lock.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn get(&self) -> Result<T, LockError<ReentrantGuard<'_, T>>> {
        Ok(self.lock()?.get())
    }

    /// Writes it under its lock.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn set(&self, value: T) -> Result<(), LockError<ReentrantGuard<'_, T>>> {
        self.lock()?.set(value);
        Ok(())
    }
}

/// A shared value without a lock.
///
/// What is read while another process writes may be part old and part new, unless the value has 4
/// or 8 bytes. For counting without a lock see [`as_atomic`](RawValue::<u64>::as_atomic).
pub struct RawValue<T> {
    block: Block,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Plain> RawValue<T> {
    fn kind() -> u64 {
        plain::kind_of::<T>("raw value")
    }

    /// A new value.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        let block = segment.place(name, Self::kind(), size_of::<T>(), 0, |block| store_item(block, 0, &value))?;
        Ok(Self { block, value: PhantomData })
    }

    /// The value of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, Self::kind())?.expect_size(Some(size_of::<T>()))?;
        Ok(Self { block, value: PhantomData })
    }

    /// Reads it.
    #[must_use]
    pub fn get(&self) -> T {
        load_item(&self.block, 0)
    }

    /// Writes it.
    pub fn set(&self, value: T) {
        store_item(&self.block, 0, &value);
    }
}

impl RawValue<u32> {
    /// The value as an atomic.
    #[must_use]
    pub fn as_atomic(&self) -> &AtomicU32 {
        self.block.u32(0)
    }
}

impl RawValue<u64> {
    /// The value as an atomic.
    #[must_use]
    pub fn as_atomic(&self) -> &AtomicU64 {
        self.block.u64(0)
    }
}

impl<T> fmt::Debug for RawValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawValue").finish_non_exhaustive()
    }
}

/// Reads an item whole, if it has the size of a word and lies like one; else byte by byte.
fn load_item<T: Plain>(block: &Block, offset: usize) -> T {
    let mut item = T::new_zeroed();
    let bytes = item.as_mut_bytes();
    if bytes.len() == 4 && offset.is_multiple_of(4) {
        // Relaxed: an item without a lock publishes nothing.
        bytes.copy_from_slice(&block.u32(offset).load(Ordering::Relaxed).to_ne_bytes());
    } else {
        // Words of 8 are read whole in here.
        block.read(offset, bytes);
    }
    item
}

fn store_item<T: Plain>(block: &Block, offset: usize, item: &T) {
    match item.as_bytes() {
        bytes @ &[a, b, c, d] if offset.is_multiple_of(bytes.len()) => {
            // Relaxed: as in `load_item`.
            block.u32(offset).store(u32::from_ne_bytes([a, b, c, d]), Ordering::Relaxed);
        }
        bytes => block.write(offset, bytes),
    }
}

/// An index or a range that is not inside an array, or a slice of another length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("index out of range")
    }
}

impl std::error::Error for OutOfRange {}

/// A shared row of items without a lock.
///
/// ```
/// use sync_ipc::{RawArray, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let row = RawArray::<u32>::zeroed(&segment, "row", 10)?;
/// row.set(9, 7)?;
/// assert_eq!(row.get(9), Some(7));
/// assert!(row.set(10, 7).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RawArray<T> {
    block: Block,
    len: usize,
    item: PhantomData<fn(T) -> T>,
}

impl<T: Plain> RawArray<T> {
    fn kind() -> u64 {
        plain::kind_of::<T>("array")
    }

    fn place(segment: &Segment, name: &str, len: usize, initialise: impl FnOnce(&Block)) -> Result<Self> {
        let size = len.checked_mul(size_of::<T>()).filter(|_| len > 0 && size_of::<T>() > 0).ok_or(Error::BadSize)?;
        let block = segment.place(name, Self::kind(), size, len as u64, initialise)?;
        Ok(Self { block, len, item: PhantomData })
    }

    /// A new array of zeros.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for no items; else as for any object.
    pub fn zeroed(segment: &Segment, name: &str, len: usize) -> Result<Self> {
        Self::place(segment, name, len, |_| {})
    }

    /// A new array of these items.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed).
    pub fn create(segment: &Segment, name: &str, items: &[T]) -> Result<Self> {
        Self::place(segment, name, items.len(), |block| {
            for (at, item) in items.iter().enumerate() {
                store_item(block, at * size_of::<T>(), item);
            }
        })
    }

    /// The array of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, Self::kind())?;
        let len = usize::try_from(block.parameter()).ok().filter(|len| *len > 0).ok_or(Error::Corrupted)?;
        Ok(Self { block: block.expect_size(len.checked_mul(size_of::<T>()))?, len, item: PhantomData })
    }

    /// How many items.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Item `at`.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<T> {
        (at < self.len).then(|| load_item(&self.block, at * size_of::<T>()))
    }

    /// Replaces item `at`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn set(&self, at: usize, item: T) -> Result<(), OutOfRange> {
        if at >= self.len {
            return Err(OutOfRange);
        }
        store_item(&self.block, at * size_of::<T>(), &item);
        Ok(())
    }

    /// Copies a part out.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn read(&self, range: Range<usize>) -> Result<Vec<T>, OutOfRange> {
        if range.start > range.end || range.end > self.len {
            return Err(OutOfRange);
        }
        Ok(range.map(|at| load_item(&self.block, at * size_of::<T>())).collect())
    }

    /// Copies items in, from `at` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`]; then nothing was written.
    pub fn write(&self, at: usize, items: &[T]) -> Result<(), OutOfRange> {
        if at > self.len || items.len() > self.len - at {
            return Err(OutOfRange);
        }
        for (index, item) in items.iter().enumerate() {
            store_item(&self.block, (at + index) * size_of::<T>(), item);
        }
        Ok(())
    }

    /// Copies all of it out.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        (0..self.len).map(|at| load_item(&self.block, at * size_of::<T>())).collect()
    }
}

impl<T> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawArray").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A shared row of items with its own reentrant lock.
///
/// ```
/// use sync_ipc::{Array, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let row = Array::create(&segment, "row", &[1_u64, 2, 3])?;
/// let locked = row.lock().unwrap();
/// for at in 0..locked.len() {
///     locked.set(at, locked.get(at).unwrap() * 2)?;
/// }
/// assert_eq!(locked.to_vec(), [2, 4, 6]);
/// # drop(locked);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Array<T> {
    raw: RawArray<T>,
    lock: ReentrantMutex<()>,
}

impl<T: Plain> Array<T> {
    fn lock_for(segment: &Segment, name: &str) -> Result<ReentrantMutex<()>> {
        let name = format!("{name}~");
        crate::open_or_create(|| ReentrantMutex::open(segment, &name), || ReentrantMutex::create(segment, &name, ()))
    }

    /// A new array of zeros. Its name may have at most 30 bytes: the lock is an object of its own.
    ///
    /// # Errors
    ///
    /// As [`RawArray::zeroed`].
    pub fn zeroed(segment: &Segment, name: &str, len: usize) -> Result<Self> {
        let lock = Self::lock_for(segment, name)?;
        Ok(Self { raw: RawArray::zeroed(segment, name, len)?, lock })
    }

    /// A new array of these items.
    ///
    /// # Errors
    ///
    /// As [`RawArray::create`].
    pub fn create(segment: &Segment, name: &str, items: &[T]) -> Result<Self> {
        let lock = Self::lock_for(segment, name)?;
        Ok(Self { raw: RawArray::create(segment, name, items)?, lock })
    }

    /// The array of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self { raw: RawArray::open(segment, name)?, lock: ReentrantMutex::open(segment, &format!("{name}~"))? })
    }

    /// Locks it.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    #[doc(alias = "get_lock")]
    #[track_caller]
    pub fn lock(&self) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        match self.lock.lock() {
            Ok(guard) => Ok(ArrayGuard { raw: &self.raw, guard }),
            Err(error) => Err(error.map(|guard| ArrayGuard { raw: &self.raw, guard })),
        }
    }

    /// The array past its lock.
    #[must_use]
    #[doc(alias = "get_obj")]
    pub fn raw(&self) -> &RawArray<T> {
        &self.raw
    }
}

/// The right to use an [`Array`], until dropped.
#[must_use = "the lock is let go of at once if the guard is not kept"]
#[derive(Debug)]
pub struct ArrayGuard<'a, T> {
    raw: &'a RawArray<T>,
    guard: ReentrantGuard<'a, ()>,
}

impl<T> ArrayGuard<'_, T> {
    /// As [`Guard::mark_consistent`](crate::Guard::mark_consistent).
    pub fn mark_consistent(&mut self) {
        self.guard.mark_consistent();
    }
}

impl<T> Deref for ArrayGuard<'_, T> {
    type Target = RawArray<T>;

    fn deref(&self) -> &RawArray<T> {
        self.raw
    }
}

handle!([T: Plain] Value<T>, |this| this.0.block(), Self(this.0.clone()));
handle!([T: Plain] RawValue<T>, |this| &this.block, Self { block: this.block.clone(), value: PhantomData });
handle!([T: Plain] RawArray<T>, |this| &this.block, Self { block: this.block.clone(), len: this.len, item: PhantomData });
handle!([T: Plain] Array<T>, |this| &this.raw.block, Self { raw: this.raw.clone(), lock: this.lock.clone() });
