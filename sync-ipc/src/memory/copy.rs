//! Copies to and from memory that other threads and processes write to at the same time.
//!
//! **Which accesses meet.** The bytes of one value may be copied by two threads of this process at
//! the same time, at other offsets and lengths: `write(0, 8 bytes)` and `read(1, 3 bytes)`. The
//! language defines concurrent atomic accesses to the same bytes only if they have the same size.
//! So a copy is either made of accesses that the language does not see, or of bytes alone:
//!
//! * On x86-64 and AArch64, every access is one machine instruction in inline assembly. To the
//!   compiler it is an opaque call that fills registers or memory, like a `pread` or `pwrite` on
//!   the segment's memfd: what happens at the other end is no access of this program. The processor
//!   defines what mixed sizes return: each byte is one that was written, old or new. An aligned
//!   word of 8 bytes is read and written whole.
//! * Elsewhere, every access is a relaxed atomic access of one byte.
//!
//! The words of the algorithms are not copied: they lie outside of all values, and each is accessed
//! as one size. An element of an array that is borrowed as an atomic (`RawArray::as_atomic`) may be
//! copied at the same time, as it may be by a peer: the copy is an access of the kind above.
//!
//! Large copies go by the processor's own copying instruction where there is one.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// From how many bytes on the processor's own copying is faster: it takes some thirty cycles to
/// begin.
const LARGE: usize = 256;

/// Copies `into.len()` bytes from `from`, whose next multiple of 8 is `head` bytes further on.
/// Afterwards all of `into` is initialised.
///
/// # Safety
///
/// All these bytes are mapped, and this process accesses them only by atomics and by this file.
#[inline(always)]
pub(super) unsafe fn out(from: NonNull<u8>, head: usize, into: &mut [MaybeUninit<u8>]) {
    // SAFETY: the caller's words about `from`, and `into` is a local slice of that length.
    let copied = into.len() >= LARGE
        && unsafe { by_processor(from.as_ptr(), into.as_mut_ptr().cast(), into.len()) };
    if copied {
        return;
    }
    let (head, rest) = into.split_at_mut(into.len().min(head));
    let mut at = 0;
    for byte in head {
        // SAFETY: inside, by the caller's word.
        byte.write(unsafe { load_byte(from.add(at)) });
        at += 1;
    }
    let mut words = rest.chunks_exact_mut(8);
    for word in &mut words {
        // SAFETY: inside, by the caller's word, and aligned after the head.
        let seen = unsafe { load_word(from.add(at)) };
        for (byte, seen) in word.iter_mut().zip(seen) {
            byte.write(seen);
        }
        at += 8;
    }
    for byte in words.into_remainder() {
        // SAFETY: inside, by the caller's word.
        byte.write(unsafe { load_byte(from.add(at)) });
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
    // SAFETY: the caller's words about `into`, and `from` is a slice of that length.
    let copied =
        from.len() >= LARGE && unsafe { by_processor(from.as_ptr(), into.as_ptr(), from.len()) };
    if copied {
        return;
    }
    let (head, rest) = from.split_at(from.len().min(head));
    let mut at = 0;
    for byte in head {
        // SAFETY: inside, by the caller's word.
        unsafe { store_byte(into.add(at), *byte) };
        at += 1;
    }
    let words = rest.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        // SAFETY: inside, by the caller's word, and aligned after the head.
        unsafe { store_word(into.add(at), bytes) };
        at += 8;
    }
    for byte in tail {
        // SAFETY: inside, by the caller's word.
        unsafe { store_byte(into.add(at), *byte) };
        at += 1;
    }
}

/// One instruction each. `load_word` and `store_word` want an address that is a multiple of 8.
///
/// # Safety
///
/// For all: the bytes are mapped, and accessed by this process only through atomics and this file.
#[cfg(target_arch = "x86_64")]
mod access {
    use core::arch::asm;
    use core::ptr::NonNull;

    #[inline(always)]
    pub(super) unsafe fn load_byte(from: NonNull<u8>) -> u8 {
        let byte: u8;
        // SAFETY: by the caller's word.
        unsafe {
            asm!("mov {byte}, byte ptr [{from}]", byte = out(reg_byte) byte,
                from = in(reg) from.as_ptr(), options(nostack, preserves_flags, readonly));
        }
        byte
    }

    #[inline(always)]
    pub(super) unsafe fn load_word(from: NonNull<u8>) -> [u8; 8] {
        let word: u64;
        // SAFETY: by the caller's word.
        unsafe {
            asm!("mov {word}, qword ptr [{from}]", word = out(reg) word,
                from = in(reg) from.as_ptr(), options(nostack, preserves_flags, readonly));
        }
        word.to_ne_bytes()
    }

    #[inline(always)]
    pub(super) unsafe fn store_byte(into: NonNull<u8>, byte: u8) {
        // SAFETY: by the caller's word.
        unsafe {
            asm!("mov byte ptr [{into}], {byte}", byte = in(reg_byte) byte,
                into = in(reg) into.as_ptr(), options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    pub(super) unsafe fn store_word(into: NonNull<u8>, word: [u8; 8]) {
        // SAFETY: by the caller's word.
        unsafe {
            asm!("mov qword ptr [{into}], {word}", word = in(reg) u64::from_ne_bytes(word),
                into = in(reg) into.as_ptr(), options(nostack, preserves_flags));
        }
    }
}

/// The moves of aarch64, with the same contract.
#[cfg(target_arch = "aarch64")]
mod access {
    use core::arch::asm;
    use core::ptr::NonNull;

    #[inline(always)]
    pub(super) unsafe fn load_byte(from: NonNull<u8>) -> u8 {
        let byte: u32;
        // SAFETY: by the caller's word.
        unsafe {
            asm!("ldrb {byte:w}, [{from}]", byte = out(reg) byte, from = in(reg) from.as_ptr(),
                options(nostack, preserves_flags, readonly));
        }
        byte as u8
    }

    #[inline(always)]
    pub(super) unsafe fn load_word(from: NonNull<u8>) -> [u8; 8] {
        let word: u64;
        // SAFETY: by the caller's word.
        unsafe {
            asm!("ldr {word}, [{from}]", word = out(reg) word, from = in(reg) from.as_ptr(),
                options(nostack, preserves_flags, readonly));
        }
        word.to_ne_bytes()
    }

    #[inline(always)]
    pub(super) unsafe fn store_byte(into: NonNull<u8>, byte: u8) {
        // SAFETY: by the caller's word.
        unsafe {
            asm!("strb {byte:w}, [{into}]", byte = in(reg) u32::from(byte),
                into = in(reg) into.as_ptr(), options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    pub(super) unsafe fn store_word(into: NonNull<u8>, word: [u8; 8]) {
        // SAFETY: by the caller's word.
        unsafe {
            asm!("str {word}, [{into}]", word = in(reg) u64::from_ne_bytes(word),
                into = in(reg) into.as_ptr(), options(nostack, preserves_flags));
        }
    }
}

/// Moves of bytes alone, with the same contract.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod access {
    use core::ptr::NonNull;

    use sync_core::primitive::atomic::{AtomicU8, Ordering};

    #[inline(always)]
    pub(super) unsafe fn load_byte(from: NonNull<u8>) -> u8 {
        // SAFETY: by the caller's word. Relaxed, here and below: bytes carry data; the word that
        // publishes them orders them.
        unsafe { from.cast::<AtomicU8>().as_ref() }.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) unsafe fn load_word(from: NonNull<u8>) -> [u8; 8] {
        // SAFETY: by the caller's word, for each of the bytes.
        core::array::from_fn(|at| unsafe { load_byte(from.add(at)) })
    }

    #[inline(always)]
    pub(super) unsafe fn store_byte(into: NonNull<u8>, byte: u8) {
        // Relaxed: the lock or the queue that the bytes belong to orders them. SAFETY: by the
        // caller's word.
        unsafe { into.cast::<AtomicU8>().as_ref() }.store(byte, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) unsafe fn store_word(into: NonNull<u8>, word: [u8; 8]) {
        for (at, byte) in word.into_iter().enumerate() {
            // SAFETY: by the caller's word, for each of the bytes.
            unsafe { store_byte(into.add(at), byte) };
        }
    }
}

use access::{load_byte, load_word, store_byte, store_word};

/// Copies by the processor's own instruction; `false` if there is none.
///
/// # Safety
///
/// As for [`backwards`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn by_processor(from: *const u8, into: *mut u8, count: usize) -> bool {
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
/// Both ends are mapped; this process accesses them only by atomics and by this file.
#[cfg(target_arch = "x86_64")]
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

/// # Safety
///
/// None: it copies nothing.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn by_processor(_: *const u8, _: *mut u8, _: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every distance within a page that matters, every length around the blocks: the bytes
    /// arrive, and no byte next to them changes.
    #[test]
    fn copies_at_every_distance_and_length() {
        let source: Vec<u8> = (0..3 * 4096).map(|at| (at % 251) as u8 + 1).collect();
        for distance in [0, 1, 8, 16, 63, 64, 320, 4095] {
            for len in [0, 1, 7, 255, 256, 257, 319, 320, 1000, 4096, 4100] {
                let mut target = vec![0_u8; 4 * 4096];
                // So that the copy begins `distance` bytes further on within its page than the
                // source within its own.
                let shift = (source.as_ptr().addr() + 8 + distance)
                    .wrapping_sub(target.as_ptr().addr())
                    % 4096;
                let (from, to) = (NonNull::from(&source[8]), NonNull::from(&mut target[shift]));
                // SAFETY: both ends have `len` bytes, which this function owns alone. The lengths
                // of the heads are right for the alignments.
                unsafe { into(to, to.addr().get().wrapping_neg() % 8, &source[8..8 + len]) };
                assert!(target[shift..shift + len] == source[8..8 + len], "in: {distance}, {len}");
                assert!(
                    target[..shift].iter().chain(&target[shift + len..]).all(|byte| *byte == 0),
                    "in: {distance}, {len}"
                );
                let mut back = vec![MaybeUninit::new(0); len + 1];
                // SAFETY: both ends have `len` bytes, which this function owns alone.
                unsafe { out(from, from.addr().get().wrapping_neg() % 8, &mut back[..len]) };
                // SAFETY: initialised from the start.
                let seen: Vec<u8> = back.iter().map(|byte| unsafe { byte.assume_init() }).collect();
                assert!(
                    seen[..len] == source[8..8 + len] && seen[len] == 0,
                    "out: {distance}, {len}"
                );
            }
        }
    }
}
