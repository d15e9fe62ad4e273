//! Copies to and from memory that others write to at the same time.
//!
//! Small copies go word by word, by relaxed atomics, which the compiler unrolls where it knows the
//! length. Large ones go by the processor's own copying instruction where there is one: an
//! instruction in inline assembly is opaque to the compiler, so what a peer does meanwhile makes
//! the bytes that arrive a mixture of old and new, and nothing worse; `copy_nonoverlapping` on the
//! same memory would be a data race.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use sync_core::primitive::atomic::{AtomicU8, AtomicU64, Ordering};

/// From how many bytes on the processor's own copying is faster: it takes some thirty cycles to
/// begin.
const LARGE: usize = 256;

/// Copies `into.len()` bytes from `from`, whose next multiple of 8 is `head` bytes further on: all
/// of `into` is initialised then.
///
/// # Safety
///
/// All of them are mapped, and accessed by nobody in this process but by atomics and by this file.
#[inline(always)]
pub(super) unsafe fn out(from: NonNull<u8>, head: usize, into: &mut [MaybeUninit<u8>]) {
    if into.len() >= LARGE && by_processor(from.as_ptr(), into.as_mut_ptr().cast(), into.len()) {
        return;
    }
    let (head, rest) = into.split_at_mut(into.len().min(head));
    let mut at = 0;
    for byte in head {
        // SAFETY: inside, by the caller's word. Relaxed, here and below: bytes carry data; the word
        // that publishes them orders them.
        byte.write(unsafe { from.add(at).cast::<AtomicU8>().as_ref() }.load(Ordering::Relaxed));
        at += 1;
    }
    let mut words = rest.chunks_exact_mut(8);
    for word in &mut words {
        // SAFETY: as above, and aligned after the head.
        let seen = unsafe { from.add(at).cast::<AtomicU64>().as_ref() }.load(Ordering::Relaxed);
        word.write_copy_of_slice(&seen.to_ne_bytes());
        at += 8;
    }
    for byte in words.into_remainder() {
        // SAFETY: as above.
        byte.write(unsafe { from.add(at).cast::<AtomicU8>().as_ref() }.load(Ordering::Relaxed));
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
        /// Copies by the processor's own instruction; `false` if there is none. The callers' words
        /// hold for it too.
        #[inline(always)]
        fn by_processor(from: *const u8, into: *mut u8, count: usize) -> bool {
            // Less than a line further on within a page: the instruction takes each byte that it
            // reads for one that it has just written, and is twenty times as slow (measured on an
            // EPYC: 1151 ns for 40 ns, at 8 bytes). From the end to the beginning, nothing is read
            // behind a write.
            let behind = into.addr().wrapping_sub(from.addr()) % 4096;
            let blocks = if (1..64).contains(&behind) { count - count % 64 } else { 0 };
            // SAFETY: the callers vouch for both ends, and `blocks` is not beyond them; the
            // direction flag is clear, as the calling convention says.
            unsafe {
                core::arch::asm!(
                    "rep movsb",
                    inout("rcx") count - blocks => _,
                    inout("rsi") from.add(blocks) => _,
                    inout("rdi") into.add(blocks) => _,
                    options(nostack, preserves_flags),
                );
                if blocks > 0 {
                    backwards(from, into, blocks);
                }
            }
            true
        }

        /// Copies `count` bytes, a multiple of 64 and not 0, from the end to the beginning.
        ///
        /// # Safety
        ///
        /// Both ends are mapped; nobody in this process accesses them but by atomics and by this
        /// file.
        unsafe fn backwards(from: *const u8, into: *mut u8, count: usize) {
            // SAFETY: by the caller's word; every access is at `left - 64` to `left` with `left`
            // from `count` down to 64.
            unsafe {
                core::arch::asm!(
                    "2:",
                    "movups {a}, [{from} + {left} - 64]",
                    "movups {b}, [{from} + {left} - 48]",
                    "movups {c}, [{from} + {left} - 32]",
                    "movups {d}, [{from} + {left} - 16]",
                    "movups [{into} + {left} - 64], {a}",
                    "movups [{into} + {left} - 48], {b}",
                    "movups [{into} + {left} - 32], {c}",
                    "movups [{into} + {left} - 16], {d}",
                    "sub {left}, 64",
                    "jnz 2b",
                    left = inout(reg) count => _,
                    from = in(reg) from,
                    into = in(reg) into,
                    a = out(xmm_reg) _,
                    b = out(xmm_reg) _,
                    c = out(xmm_reg) _,
                    d = out(xmm_reg) _,
                    options(nostack),
                );
            }
        }
    }
    _ => {
        fn by_processor(_: *const u8, _: *mut u8, _: usize) -> bool {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every distance within a page that matters, every length around the blocks: what was there
    /// arrives, and nothing beside it changes.
    #[test]
    fn copies_at_every_distance_and_length() {
        let source: Vec<u8> = (0..3 * 4096).map(|at| (at % 251) as u8 + 1).collect();
        for distance in [0, 1, 8, 16, 63, 64, 320, 4095] {
            for len in [0, 1, 7, 255, 256, 257, 319, 320, 1000, 4096, 4100] {
                let mut target = vec![0_u8; 4 * 4096];
                // So that the copy begins `distance` bytes further on within its page than the
                // source within its own.
                let shift = (source.as_ptr().addr() + 8 + distance).wrapping_sub(target.as_ptr().addr()) % 4096;
                let (from, to) = (NonNull::from(&source[8]), NonNull::from(&mut target[shift]));
                // SAFETY: `len` bytes are there at both ends, and nobody else has them. The lengths
                // of the heads are right for the alignments.
                unsafe { into(to, to.addr().get().wrapping_neg() % 8, &source[8..8 + len]) };
                assert!(target[shift..shift + len] == source[8..8 + len], "in: {distance}, {len}");
                assert!(target[..shift].iter().chain(&target[shift + len..]).all(|byte| *byte == 0), "in: {distance}, {len}");
                let mut back = vec![MaybeUninit::new(0); len + 1];
                // SAFETY: as above.
                unsafe { out(from, from.addr().get().wrapping_neg() % 8, &mut back[..len]) };
                // SAFETY: initialised from the start.
                let seen: Vec<u8> = back.iter().map(|byte| unsafe { byte.assume_init() }).collect();
                assert!(seen[..len] == source[8..8 + len] && seen[len] == 0, "out: {distance}, {len}");
            }
        }
    }
}
