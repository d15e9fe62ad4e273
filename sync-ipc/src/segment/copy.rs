//! Copies to and from memory that others write to at the same time.
//!
//! Small copies go word by word, by relaxed atomics, which the compiler unrolls where it knows the length. Large ones go by the processor's own
//! copying instruction where there is one: an instruction in inline assembly is opaque to the compiler, so what a peer does meanwhile makes the
//! bytes that arrive a mixture of old and new, and nothing worse; `copy_nonoverlapping` on the same memory would be a data race.

use core::ptr::NonNull;

use sync_core::primitive::atomic::{AtomicU8, AtomicU64, Ordering};

/// From how many bytes on the processor's own copying is faster: it takes some thirty cycles to begin.
const LARGE: usize = 256;

/// Copies `into.len()` bytes from `from`, whose next multiple of 8 is `head` bytes further on.
///
/// # Safety
///
/// All of them are mapped, and accessed by nobody in this process but by atomics and by this file.
#[inline(always)]
pub(super) unsafe fn out(from: NonNull<u8>, head: usize, into: &mut [u8]) {
    if into.len() >= LARGE && by_processor(from.as_ptr(), into.as_mut_ptr(), into.len()) {
        return;
    }
    let (head, rest) = into.split_at_mut(into.len().min(head));
    let mut at = 0;
    for byte in head {
        // SAFETY: inside, by the caller's word. Relaxed, here and below: bytes carry data; the word that publishes them orders them.
        *byte = unsafe { from.add(at).cast::<AtomicU8>().as_ref() }.load(Ordering::Relaxed);
        at += 1;
    }
    let mut words = rest.chunks_exact_mut(8);
    for word in &mut words {
        // SAFETY: as above, and aligned after the head.
        word.copy_from_slice(&unsafe { from.add(at).cast::<AtomicU64>().as_ref() }.load(Ordering::Relaxed).to_ne_bytes());
        at += 8;
    }
    for byte in words.into_remainder() {
        // SAFETY: as above.
        *byte = unsafe { from.add(at).cast::<AtomicU8>().as_ref() }.load(Ordering::Relaxed);
        at += 1;
    }
}

/// Copies `from` to `into`, whose next multiple of 8 is `head` bytes further on.
///
/// # Safety
///
/// As for [`out`].
#[inline(always)]
pub(super) unsafe fn into(into: NonNull<u8>, head: usize, from: &[u8]) {
    if from.len() >= LARGE && by_processor(from.as_ptr(), into.as_ptr(), from.len()) {
        return;
    }
    let (head, rest) = from.split_at(from.len().min(head));
    let mut at = 0;
    for byte in head {
        // SAFETY: inside, by the caller's word. Relaxed, here and below: as in `out`.
        unsafe { into.add(at).cast::<AtomicU8>().as_ref() }.store(*byte, Ordering::Relaxed);
        at += 1;
    }
    let words = rest.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        // SAFETY: as above, and aligned after the head.
        unsafe { into.add(at).cast::<AtomicU64>().as_ref() }.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        at += 8;
    }
    for byte in tail {
        // SAFETY: as above.
        unsafe { into.add(at).cast::<AtomicU8>().as_ref() }.store(*byte, Ordering::Relaxed);
        at += 1;
    }
}

cfg_select! {
    target_arch = "x86_64" => {
        /// Copies by the processor's own instruction; `false` if there is none. The callers' words hold for it too.
        #[inline(always)]
        fn by_processor(from: *const u8, into: *mut u8, count: usize) -> bool {
            // SAFETY: the callers vouch for both ends; the direction flag is clear, as the calling convention says.
            unsafe {
                core::arch::asm!(
                    "rep movsb",
                    inout("rcx") count => _,
                    inout("rsi") from => _,
                    inout("rdi") into => _,
                    options(nostack, preserves_flags),
                );
            }
            true
        }
    }
    _ => {
        fn by_processor(_: *const u8, _: *mut u8, _: usize) -> bool {
            false
        }
    }
}
