//! Numbers and rows of numbers between processes, with a lock and without.
//!
//! A [`Value`] is a [`ReentrantMutex`] under another name. An [`Array`] is a [`RawArray`] next to
//! one: two objects, which are placed in one step.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::{Error, LockError, OutOfRange, Result, Unrepaired};
use crate::plain::{self, Plain};
use crate::reentrant::{ReentrantGuard, ReentrantMutex};
use crate::segment::{Block, LOCK_OF_AN_ARRAY, Placement, Segment, name_of_lock};

/// A shared value with its own reentrant lock.
///
/// Reading and then writing are two steps; hold the lock over both:
///
/// ```
/// use sync_ipc::{Segment, Value};
///
/// let segment = Segment::anonymous(4096)?;
/// let hits = Value::create(&segment, "hits", 0_u64)?;
/// hits.lock()?.update(|n| *n += 1); // exact, whatever other processes do
/// assert_eq!(hits.get()?, 1);
/// # Ok::<(), sync_ipc::Error>(())
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
    pub fn lock(&self) -> Result<ReentrantGuard<'_, T>, LockError<ReentrantGuard<'_, T>>> {
        self.0.lock()
    }

    /// Locks it, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    #[doc(alias = "lock_timeout")]
    pub fn try_lock_for(
        &self,
        timeout: Duration,
    ) -> Result<ReentrantGuard<'_, T>, LockError<ReentrantGuard<'_, T>>> {
        self.0.try_lock_for(timeout)
    }

    /// The former name of [`try_lock_for`](Self::try_lock_for), kept until 0.2.
    #[doc(hidden)]
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ReentrantGuard<'_, T>, LockError<ReentrantGuard<'_, T>>> {
        self.try_lock_for(timeout)
    }

    /// Locks it, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn try_lock_until(
        &self,
        deadline: Instant,
    ) -> Result<ReentrantGuard<'_, T>, LockError<ReentrantGuard<'_, T>>> {
        self.0.try_lock_until(deadline)
    }

    /// Reads it under its lock.
    ///
    /// # Errors
    ///
    /// [`LockError`]. After an owner's death, each read is an error until a [`set`](Self::set), or
    /// a [`lock`](Self::lock) and `mark_consistent`, made the value whole.
    pub fn get(&self) -> Result<T, LockError<()>> {
        match self.lock() {
            Ok(guard) => Ok(guard.get()),
            Err(error) => Err(error.without_guard()),
        }
    }

    /// Writes it under its lock. All of it is written, so it is whole afterwards, also if an owner
    /// died, unless this thread holds the guard that it got from the dead owner.
    ///
    /// # Errors
    ///
    /// [`LockError`], but not [`LockError::OwnerDied`].
    pub fn set(&self, value: T) -> Result<(), LockError<()>> {
        match self.lock() {
            Ok(guard) => guard.set(value),
            Err(LockError::OwnerDied(mut guard)) => {
                guard.set(value);
                guard.mark_consistent();
            }
            Err(error) => return Err(error.without_guard()),
        }
        Ok(())
    }
}

/// A shared value without a lock.
///
/// A read while another process writes may return part of the old and part of the new value, unless
/// the value has 4 or 8 bytes. For counting without a lock see
/// [`as_atomic`](RawValue::<u64>::as_atomic).
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
        let block = segment
            .place(name, Self::kind(), size_of::<T>(), 0, |block| store_item(block, 0, &value))?;
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
    if bytes.len() == 4 && offset & 3 == 0 {
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
        &[a, b, c, d] if offset & 3 == 0 => {
            // Relaxed: as in `load_item`.
            block.u32(offset).store(u32::from_ne_bytes([a, b, c, d]), Ordering::Relaxed);
        }
        bytes => block.write(offset, bytes),
    }
}

/// Stores items from item `at` on.
fn store_items<T: Plain>(block: &Block, at: usize, items: &[T]) {
    for (index, item) in items.iter().enumerate() {
        store_item(block, (at + index) * size_of::<T>(), item);
    }
}

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

    fn placement(name: &str, len: usize) -> Result<Placement<'_>> {
        let size = len
            .checked_mul(size_of::<T>())
            .filter(|_| len > 0 && size_of::<T>() > 0)
            .ok_or(Error::BadSize)?;
        Ok(Placement { name, kind: Self::kind(), size, parameter: len as u64 })
    }

    fn place(
        segment: &Segment,
        name: &str,
        len: usize,
        initialise: impl FnOnce(&Block),
    ) -> Result<Self> {
        let placement = Self::placement(name, len)?;
        let [block] = segment.place_all([placement], |[block]| initialise(block))?;
        Ok(Self { block, len, item: PhantomData })
    }

    /// A new array of zeros.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for no items or items of no size; else as for any object.
    pub fn zeroed(segment: &Segment, name: &str, len: usize) -> Result<Self> {
        Self::place(segment, name, len, |_| {})
    }

    /// A new array of these items.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed).
    pub fn create(segment: &Segment, name: &str, items: &[T]) -> Result<Self> {
        Self::place(segment, name, items.len(), |block| store_items(block, 0, items))
    }

    /// The array of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::over(segment.find(name, Self::kind())?)
    }

    fn over(block: Block) -> Result<Self> {
        let len = usize::try_from(block.parameter())
            .ok()
            .filter(|len| *len > 0)
            .ok_or(Error::Corrupted)?;
        Ok(Self {
            block: block.expect_size(len.checked_mul(size_of::<T>()))?,
            len,
            item: PhantomData,
        })
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

    fn check(&self, at: usize, count: usize) -> Result<(), OutOfRange> {
        if at > self.len || count > self.len - at { Err(OutOfRange) } else { Ok(()) }
    }

    /// Copies items in, from `at` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`]; then nothing was written.
    pub fn write(&self, at: usize, items: &[T]) -> Result<(), OutOfRange> {
        self.check(at, items.len())?;
        store_items(&self.block, at, items);
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
    /// Places the lock and the items, in this order: an array is there with its lock, and an array
    /// that does not fit leaves nothing. A lock whose creator was killed before the array was there
    /// is removed by the next object that is placed.
    fn place(
        segment: &Segment,
        name: &str,
        len: usize,
        initialise: impl FnOnce(&Block),
    ) -> Result<Self> {
        let items = RawArray::<T>::placement(name, len)?;
        let lock_name = name_of_lock(name);
        let lock = ReentrantMutex::<()>::placement(&lock_name);
        let lock = Placement { parameter: LOCK_OF_AN_ARRAY, ..lock };
        let [lock, block] = segment.place_all([lock, items], |[_, items]| initialise(items))?;
        let raw = RawArray { block, len, item: PhantomData };
        Ok(Self { raw, lock: ReentrantMutex::over(lock) })
    }

    /// A new array of zeros. Its name may have at most 30 bytes: the lock is an object of its own,
    /// named as the array with `~` behind it.
    ///
    /// # Errors
    ///
    /// As [`RawArray::zeroed`].
    pub fn zeroed(segment: &Segment, name: &str, len: usize) -> Result<Self> {
        Self::place(segment, name, len, |_| {})
    }

    /// A new array of these items.
    ///
    /// # Errors
    ///
    /// As [`RawArray::create`].
    pub fn create(segment: &Segment, name: &str, items: &[T]) -> Result<Self> {
        Self::place(segment, name, items.len(), |block| store_items(block, 0, items))
    }

    /// The array of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let lock = ReentrantMutex::<()>::kind();
        let [array, lock] = segment.find_array(name, RawArray::<T>::kind(), lock)?;
        Ok(Self { raw: RawArray::over(array)?, lock: ReentrantMutex::checked(lock)? })
    }

    /// Removes the array of that name and its lock, as [`Segment::remove`]. A process that is
    /// killed in between leaves the lock, which the next object that is placed removes.
    ///
    /// # Errors
    ///
    /// The errors of [`Segment::remove`].
    pub fn remove(segment: &Segment, name: &str) -> Result<()> {
        segment.remove_array(name, RawArray::<T>::kind())
    }

    /// Locks it.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    #[doc(alias = "get_lock")]
    pub fn lock(&self) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        self.guard(self.lock.lock())
    }

    /// Locks it, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    #[doc(alias = "lock_timeout")]
    pub fn try_lock_for(
        &self,
        timeout: Duration,
    ) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        self.guard(self.lock.try_lock_for(timeout))
    }

    /// The former name of [`try_lock_for`](Self::try_lock_for), kept until 0.2.
    #[doc(hidden)]
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        self.try_lock_for(timeout)
    }

    /// Locks it, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn try_lock_until(
        &self,
        deadline: Instant,
    ) -> Result<ArrayGuard<'_, T>, LockError<ArrayGuard<'_, T>>> {
        self.guard(self.lock.try_lock_until(deadline))
    }

    fn guard<'a>(
        &'a self,
        locked: Result<ReentrantGuard<'a, ()>, LockError<ReentrantGuard<'a, ()>>>,
    ) -> Result<ArrayGuard<'a, T>, LockError<ArrayGuard<'a, T>>> {
        match locked {
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
#[must_use = "the lock is released at once if the guard is not kept"]
#[derive(Debug)]
pub struct ArrayGuard<'a, T> {
    raw: &'a RawArray<T>,
    guard: ReentrantGuard<'a, ()>,
}

impl<T: Plain> ArrayGuard<'_, T> {
    /// As [`Guard::mark_consistent`](crate::Guard::mark_consistent).
    pub fn mark_consistent(&mut self) {
        self.guard.mark_consistent();
    }

    /// How many items.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Item `at`.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<T> {
        self.raw.get(at)
    }

    /// Replaces item `at`. Does nothing in a forked child's copy of the guard.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn set(&self, at: usize, item: T) -> Result<(), OutOfRange> {
        self.write(at, &[item])
    }

    /// Copies a part out.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn read(&self, range: Range<usize>) -> Result<Vec<T>, OutOfRange> {
        self.raw.read(range)
    }

    /// Copies items in, from `at` on. Does nothing in a forked child's copy of the guard.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`]; then nothing was written.
    pub fn write(&self, at: usize, items: &[T]) -> Result<(), OutOfRange> {
        self.raw.check(at, items.len())?;
        if self.guard.is_ours() {
            self.raw.write(at, items)?;
        }
        Ok(())
    }

    /// Copies all of it out.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.raw.to_vec()
    }
}

crate::error::boxed!(ArrayGuard,);

impl<T> Unrepaired for ArrayGuard<'_, T> {
    fn abandon(self) {
        self.guard.abandon();
    }
}

handle!([T: Plain] Value<T>, |this| this.0.block(), Self(this.0.clone()));
handle!(
    [T: Plain] RawValue<T>,
    |this| &this.block,
    Self { block: this.block.clone(), value: PhantomData }
);
handle!(
    [T: Plain] RawArray<T>,
    |this| &this.block,
    Self { block: this.block.clone(), len: this.len, item: PhantomData }
);
handle!(
    [T: Plain] Array<T>,
    |this| &this.raw.block,
    Self { raw: this.raw.clone(), lock: this.lock.clone() }
);
