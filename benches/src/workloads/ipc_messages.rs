//! The messages of the workloads between processes: a number that is repeated in every word.

use std::thread;

use crate::compare::subject::Length;

/// The number of operations of a round.
pub(super) fn ops(length: Length) -> Result<u64, String> {
    match length {
        Length::Ops(n) => Ok(n),
        Length::Time(_) => Err("a stream is measured in operations".into()),
    }
}

/// The capacity of a queue of messages of `len` bytes: all of them together have some 16 MiB at
/// most.
pub(super) fn capacity(len: usize) -> usize {
    ((1 << 24) / len).clamp(1, 256)
}

/// Memory for a message. Not on the stack: a large one does not fit there.
pub(super) fn place<const N: usize>() -> Box<[u8; N]> {
    vec![0; N].into_boxed_slice().try_into().expect("N bytes")
}

/// The number, in every word.
pub(super) fn message<const N: usize>(number: u64) -> [u8; N] {
    let mut message = [0; N];
    fill(&mut message, number);
    message
}

/// Puts the number into every word.
pub(super) fn fill(message: &mut [u8], number: u64) {
    message.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&number.to_ne_bytes()));
}

/// The number in every word, or a number that was never sent if they differ.
pub(super) fn number(message: &[u8]) -> u64 {
    let mut words =
        message.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes")));
    let first = words.next().expect("at least one word");
    // Without an early end, so that it is quick.
    if words.fold(0, |differ, word| differ | (word ^ first)) == 0 { first } else { u64::MAX }
}

/// Asks until there is something; gives the processor away now and then, for the other side may
/// need it.
pub(super) fn ask<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        for _ in 0..1000 {
            if let Some(answer) = ask() {
                return answer;
            }
            std::hint::spin_loop();
        }
        thread::yield_now();
    }
}
