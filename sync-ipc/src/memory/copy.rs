//! Copies to and from memory that others write to at the same time.
//!
//! Small copies go word by word, by relaxed atomics of 8 bytes, which the compiler unrolls where it
//! knows the length. The first and the last bytes of a copy that begins or ends within a word are
//! read out of that word, and written by exchanging it: the standard library's atomics must not
//! access the same memory in different sizes at the same time, so the only size here is 8 bytes.
//!
//! Large copies go by the processor's own copying instruction where there is one: an instruction in
//! inline assembly is opaque to the compiler, so what a peer does meanwhile makes the bytes that
//! arrive a mixture of old and new, and nothing worse, in whatever sizes the processor copies;
//! `copy_nonoverlapping` on the same memory would be a data race.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use sync_core::primitive::atomic::{AtomicU64, Ordering};

/// From how many bytes on the processor's own copying is faster: it takes some thirty cycles to
/// begin.
const LARGE: usize = 256;

/// Copies `into.len()` bytes from `from`, whose next multiple of 8 is `head` bytes further on: all
/// of `into` is initialised then.
///
/// # Safety
///
/// All words of 8 bytes that the bytes lie in are mapped, and this process accesses them by atomics
/// of 8 bytes and by this file only.
#[inline(always)]
pub(super) unsafe fn out(from: NonNull<u8>, head: usize, into: &mut [MaybeUninit<u8>]) {
    if into.len() >= LARGE && by_processor(from.as_ptr(), into.as_mut_ptr().cast(), into.len()) {
        return;
    }
    let (front, rest) = into.split_at_mut(into.len().min(head));
    if !front.is_empty() {
        let skip = 8 - head;
        // SAFETY: the word that `from` lies in, by the caller's promise.
        let word = unsafe { from.sub(skip).cast::<AtomicU64>().as_ref() };
        // Relaxed, here and below: bytes carry data; the word that publishes them orders them.
        let seen = word.load(Ordering::Relaxed).to_ne_bytes();
        fill(front, &seen[skip..]);
    }
    let mut at = front.len();
    let mut words = rest.chunks_exact_mut(8);
    for part in &mut words {
        // SAFETY: as above, and aligned after the head.
        let word = unsafe { from.add(at).cast::<AtomicU64>().as_ref() };
        let seen = word.load(Ordering::Relaxed).to_ne_bytes();
        // SAFETY: 8 bytes, which may be written unaligned and are initialised then.
        unsafe { part.as_mut_ptr().cast::<[u8; 8]>().write(seen) };
        at += 8;
    }
    let tail = words.into_remainder();
    if !tail.is_empty() {
        // SAFETY: as above.
        let word = unsafe { from.add(at).cast::<AtomicU64>().as_ref() };
        fill(tail, &word.load(Ordering::Relaxed).to_ne_bytes());
    }
}

/// Initialises all of `into` with the first bytes of `from`, which has at least as many.
#[inline(always)]
fn fill(into: &mut [MaybeUninit<u8>], from: &[u8]) {
    for (byte, value) in into.iter_mut().zip(from) {
        byte.write(*value);
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
    let (front, rest) = from.split_at(from.len().min(head));
    if !front.is_empty() {
        let skip = 8 - head;
        // SAFETY: the word that `into` lies in, by the caller's promise.
        write_part(unsafe { into.sub(skip).cast().as_ref() }, skip, front);
    }
    let mut at = front.len();
    let words = rest.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        // SAFETY: as above, and aligned after the head.
        let place = unsafe { into.add(at).cast::<AtomicU64>().as_ref() };
        // Relaxed: as in `out`.
        place.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        at += 8;
    }
    if !tail.is_empty() {
        // SAFETY: as above.
        write_part(unsafe { into.add(at).cast().as_ref() }, 0, tail);
    }
}

/// Writes some bytes of a word, from byte `at` on, and leaves the others as they are, whatever
/// other threads write to them meanwhile.
#[inline]
fn write_part(word: &AtomicU64, at: usize, bytes: &[u8]) {
    // Relaxed: as in `out`.
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let mut new = seen.to_ne_bytes();
        new[at..at + bytes.len()].copy_from_slice(bytes);
        let new = u64::from_ne_bytes(new);
        match word.compare_exchange_weak(seen, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// Copies by the processor's own instruction; `false` if there is none. The callers' words
/// hold for it too.
#[cfg(target_arch = "x86_64")]
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

/// There is no such instruction that is known to be faster.
#[cfg(not(target_arch = "x86_64"))]
fn by_processor(_: *const u8, _: *mut u8, _: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every distance within a page that matters, every length around the blocks: what was there
    /// arrives, and no other byte changes.
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
                // SAFETY: `len` bytes are there at both ends, and nobody else has them. The lengths
                // of the heads are right for the alignments.
                unsafe { into(to, to.addr().get().wrapping_neg() % 8, &source[8..8 + len]) };
                assert!(target[shift..shift + len] == source[8..8 + len], "in: {distance}, {len}");
                assert!(
                    target[..shift].iter().chain(&target[shift + len..]).all(|byte| *byte == 0),
                    "in: {distance}, {len}"
                );
                let mut back = vec![MaybeUninit::new(0); len + 1];
                // SAFETY: as above.
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

    /// Two threads write different bytes of the same words: each finds its own bytes again.
    #[test]
    fn a_part_of_a_word_is_written_without_the_other_parts() {
        let words: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for (first, len) in [(0_usize, 3), (3, 10), (13, 3), (16, 1), (17, 15)] {
                let (head, words) = (first.wrapping_neg() % 8, &words[..]);
                scope.spawn(move || {
                    let at = NonNull::from(words).cast::<u8>();
                    // SAFETY: inside the words, which are accessed by atomics of 8 bytes only.
                    let at = unsafe { at.add(first) };
                    for turn in 1..=200_u8 {
                        let bytes = vec![turn; len];
                        // SAFETY: as above.
                        unsafe { into(at, head, &bytes) };
                        let mut seen = vec![MaybeUninit::new(0); len];
                        // SAFETY: as above.
                        unsafe { out(at, head, &mut seen) };
                        // SAFETY: initialised from the start.
                        assert!(seen.iter().all(|byte| unsafe { byte.assume_init() } == turn));
                    }
                });
            }
        });
    }
}
