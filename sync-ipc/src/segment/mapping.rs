//! Memory that others write to, and how it may be touched.
//!
//! **Invariants** that the SAFETY comments cite:
//!
//! 1. `base .. base + len` stays mapped, readable and writable, for as long as the [`Mapping`] exists, and the file behind it cannot shrink:
//!    it is a memfd with `F_SEAL_SHRINK`, all of whose pages were there when it was mapped.
//! 2. Nobody in this process makes a reference to the bytes, other than to an atomic. All accesses are atomic, so what a peer does at the same
//!    time is a value we may read and never a data race.
//! 3. Offsets are checked against `len` at every access, and `base` is aligned to a page.

use core::ptr::NonNull;
use std::os::fd::AsFd;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sync_core::primitive::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::error::Result;

#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is accessed by atomics only (invariant 2), and stays mapped until the last owner drops it (invariant 1).
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a sealed memfd, whose size the caller has checked.
    pub(crate) fn new(memfd: impl AsFd, len: usize) -> Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else is there.
        let base = unsafe { mmap(core::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memfd, 0)? };
        let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { base, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn at<A>(&self, offset: usize) -> &A {
        let size = size_of::<A>();
        assert!(offset.is_multiple_of(size) && offset <= self.len && size <= self.len - offset, "offset {offset} of {} bytes", self.len);
        // SAFETY: in bounds and aligned (invariant 3), mapped for as long as the borrow of `self` (invariant 1), and `A` is one of the
        // atomics below, for which every bit pattern is valid and shared writes are no race (invariant 2).
        unsafe { self.base.add(offset).cast().as_ref() }
    }

    #[inline(always)]
    fn row<A>(&self, offset: usize, count: usize) -> &[A] {
        let size = size_of::<A>();
        let bytes = count * size;
        assert!(offset.is_multiple_of(size) && offset <= self.len && bytes <= self.len - offset, "{count} words at {offset} of {}", self.len);
        // SAFETY: as in `at`, for each of the words.
        unsafe { core::slice::from_raw_parts(self.base.add(offset).cast().as_ptr(), count) }
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

    /// The atomic word at `offset`. Panics where that is not inside: offsets are ours, never a peer's.
    #[inline(always)]
    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        self.at(offset)
    }

    /// As [`u32`](Self::u32).
    #[inline(always)]
    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        self.at(offset)
    }

    /// As [`u32`](Self::u32).
    #[inline(always)]
    pub(crate) fn u8(&self, offset: usize) -> &AtomicU8 {
        self.at(offset)
    }

    /// Copies `into.len()` bytes out. What a peer writes meanwhile may be there in part.
    #[inline]
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset <= self.len && into.len() <= self.len - offset, "{} bytes at {offset} of {}", into.len(), self.len);
        let mut at = offset;
        let head = into.len().min(offset.wrapping_neg() % 8);
        let (head, rest) = into.split_at_mut(head);
        for byte in head {
            // Relaxed, here and below: bytes carry data; the word that publishes them orders them.
            *byte = self.u8(at).load(Ordering::Relaxed);
            at += 1;
        }
        let mut words = rest.chunks_exact_mut(8);
        for word in &mut words {
            // SAFETY: in bounds by the assertion above, aligned since `at` is a multiple of 8 after the head; else as in `at`.
            let atomic: &AtomicU64 = unsafe { self.base.add(at).cast().as_ref() };
            word.copy_from_slice(&atomic.load(Ordering::Relaxed).to_ne_bytes());
            at += 8;
        }
        for byte in words.into_remainder() {
            *byte = self.u8(at).load(Ordering::Relaxed);
            at += 1;
        }
    }

    /// Copies bytes in.
    #[inline]
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset <= self.len && from.len() <= self.len - offset, "{} bytes at {offset} of {}", from.len(), self.len);
        let mut at = offset;
        let (head, rest) = from.split_at(from.len().min(offset.wrapping_neg() % 8));
        for byte in head {
            // Relaxed, here and below: as in `read`.
            self.u8(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        let words = rest.chunks_exact(8);
        let tail = words.remainder();
        for word in words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            // SAFETY: as in `read`.
            let atomic: &AtomicU64 = unsafe { self.base.add(at).cast().as_ref() };
            atomic.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            at += 8;
        }
        for byte in tail {
            self.u8(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
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
        // SAFETY: ours, and nobody borrows it any more. An error would mean it is not mapped: nothing to undo.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
