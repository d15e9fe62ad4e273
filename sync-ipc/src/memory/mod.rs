//! Memory that others write to, and how it may be touched.
//!
//! A [`Mapping`] owns the memory; a [`View`] is a part of it, and has all the accesses. An object
//! keeps a view beside a handle that keeps the mapping: one pointer instead of four to follow
//! before the lock word is reached.
//!
//! **Invariants** that the SAFETY comments cite:
//!
//! 1. `base .. base + len` stays mapped, readable and writable, for as long as the [`Mapping`]
//!    exists, and the file behind it cannot shrink: it is a memfd with `F_SEAL_SHRINK`, all of
//!    whose pages were there when it was mapped. A view is used no longer than its mapping exists.
//! 2. No code of this process makes a reference to the bytes, other than to an atomic, but for the
//!    items of a queue in a segment whose peers the program has promised to trust
//!    (`View::pointer`; the states of the queue make those references exclusive). All accesses
//!    are atomic, or by instructions that the compiler does not see through (`copy`), so what a
//!    peer does at the same time is a value we may read and never a data race.
//! 3. Offsets are checked against `len` at every access, and `base` is aligned to 64 bytes.

mod copy;
pub(crate) mod files;

use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::NonNull;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sync_core::primitive::atomic::{AtomicU32, AtomicU64};

use crate::error::{OrIo, Result};

#[derive(Debug)]
pub(crate) struct Mapping(View);

/// A part of a [`Mapping`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    base: NonNull<u8>,
    len: usize,
}

/// A type as which memory may be read and written.
///
/// # Safety
///
/// Every bit pattern is valid, accesses by several threads are no race (invariant 2), and the
/// alignment is the size, a power of two.
unsafe trait Word {}

// SAFETY: an atomic of 4 bytes, aligned to them.
unsafe impl Word for AtomicU32 {}
// SAFETY: an atomic of 8 bytes, aligned to them on every processor, unlike a `u64`.
unsafe impl Word for AtomicU64 {}

// SAFETY: the memory is accessed as invariant 2 says, and stays mapped for as long as the view is
// used (invariant 1).
unsafe impl Send for View {}
// SAFETY: threads access the memory as invariant 2 says.
unsafe impl Sync for View {}

impl Mapping {
    /// Maps the first `len` bytes of a sealed memfd, whose size the caller has checked.
    pub(crate) fn new(memfd: impl AsFd, len: usize) -> Result<Self> {
        // Registers the handler of forks: a child that waits for something in this memory must know
        // that it is one, for the diagnostics of sync-core use no lock of std there.
        let _ = sync_core::fork::ProcessMark::current();
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else is there.
        let base = unsafe {
            mmap(
                core::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                memfd,
                0,
            )
        };
        let base = base.and_then(|base| NonNull::new(base.cast()).ok_or(Errno::NOMEM)).or_io()?;
        Ok(Self(View { base, len }))
    }

    /// A part of it. Panics where that is not inside.
    ///
    /// # Safety
    ///
    /// The view is used no longer than `self` exists (invariant 1).
    pub(crate) unsafe fn view(&self, offset: usize, len: usize) -> View {
        assert!(
            offset & 63 == 0 && offset <= self.len && len <= self.len - offset,
            "{len} bytes at {offset} of {}",
            self.len
        );
        // SAFETY: inside the mapping, as just checked.
        View { base: unsafe { self.base.add(offset) }, len }
    }
}

impl Deref for Mapping {
    type Target = View;

    #[inline(always)]
    fn deref(&self) -> &View {
        &self.0
    }
}

// Not an assertion with a message: that would store what it prints before each check.
#[cold]
#[inline(never)]
fn out_of_range(bytes: usize, offset: usize, len: usize) -> ! {
    panic!("{bytes} bytes at {offset} of {len}");
}

impl View {
    /// The number of bytes from the beginning of `whole`, of which this is a part.
    pub(crate) fn distance(&self, whole: &View) -> usize {
        self.base.addr().get() - whole.base.addr().get()
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn at<A: Word>(&self, offset: usize) -> &A {
        let size = size_of::<A>();
        if offset & (size - 1) != 0 || offset > self.len || size > self.len - offset {
            out_of_range(size, offset, self.len);
        }
        // SAFETY: in bounds and aligned (invariant 3), mapped for as long as the borrow of `self`
        // (invariant 1), and `A` is a `Word`: every bit pattern is valid, and shared writes are no
        // race (invariant 2).
        unsafe { self.base.add(offset).cast().as_ref() }
    }

    #[inline(always)]
    fn row<A: Word>(&self, offset: usize, count: usize) -> &[A] {
        let size = size_of::<A>();
        let is_inside = offset <= self.len && count <= (self.len - offset) / size;
        if offset & (size - 1) != 0 || !is_inside {
            out_of_range(count.saturating_mul(size), offset, self.len);
        }
        // SAFETY: all words are in bounds and aligned (invariant 3), mapped for as long as the
        // borrow of `self` (invariant 1), and every bit pattern is valid for a `Word` and shared
        // writes are no race (invariant 2).
        unsafe { core::slice::from_raw_parts(self.base.add(offset).cast().as_ptr(), count) }
    }

    /// The address of `len` bytes at `offset`, for references by a promise of trust (invariant 2).
    /// Panics as [`u32`](Self::u32) does.
    #[inline(always)]
    pub(crate) fn pointer(&self, offset: usize, len: usize) -> NonNull<u8> {
        if offset > self.len || len > self.len - offset {
            out_of_range(len, offset, self.len);
        }
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.base.add(offset) }
    }

    /// `count` atomic words from `offset` on. Panics as [`u32`](Self::u32) does.
    #[inline(always)]
    pub(crate) fn u32s(&self, offset: usize, count: usize) -> &[AtomicU32] {
        self.row(offset, count)
    }

    /// As [`u32s`](Self::u32s).
    #[inline(always)]
    pub(crate) fn u64s(&self, offset: usize, count: usize) -> &[AtomicU64] {
        self.row(offset, count)
    }

    /// The atomic word at `offset`. Panics where that is not inside: offsets are ours, never a
    /// peer's.
    #[inline(always)]
    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        self.at(offset)
    }

    /// As [`u32`](Self::u32).
    #[inline(always)]
    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        self.at(offset)
    }

    /// Copies `into.len()` bytes out. A concurrent write of a peer may be seen in part; aligned
    /// words of 8 bytes are read whole.
    #[inline(always)]
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        // SAFETY: the same bytes, of which no uninitialised ones come out: `read_new` writes
        // nothing but bytes that are.
        self.read_new(offset, unsafe {
            core::slice::from_raw_parts_mut(into.as_mut_ptr().cast(), into.len())
        });
    }

    /// As [`read`](Self::read), into bytes that were nothing yet. Afterwards all of them are
    /// initialised.
    #[inline(always)]
    pub(crate) fn read_new(&self, offset: usize, into: &mut [MaybeUninit<u8>]) {
        if offset > self.len || into.len() > self.len - offset {
            out_of_range(into.len(), offset, self.len);
        }
        // SAFETY: in bounds, as just checked, mapped (invariant 1), and `base` is aligned, so
        // the distance to the next word is the offset's.
        unsafe { copy::out(self.base.add(offset), offset.wrapping_neg() % 8, into) };
    }

    /// Copies bytes in, as [`read`](Self::read) does out.
    #[inline(always)]
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        if offset > self.len || from.len() > self.len - offset {
            out_of_range(from.len(), offset, self.len);
        }
        // SAFETY: as in `read`.
        unsafe { copy::into(self.base.add(offset), offset.wrapping_neg() % 8, from) };
    }

    /// Writes zeros.
    pub(crate) fn zero(&self, offset: usize, len: usize) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut done = 0;
        while done < len {
            let step = ZEROS.len().min(len - done);
            self.write(offset + done, &ZEROS[..step]);
            done += step;
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, and no longer borrowed. An error would mean that it is not mapped: then
        // there is nothing to undo.
        let _ = unsafe { munmap(self.0.base.as_ptr().cast(), self.0.len) };
    }
}
