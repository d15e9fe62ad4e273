//! Random numbers for choices that only have to be fair.

use core::cell::Cell;

use sync_core::primitive::thread;

/// The upper half of a product is below the limit, and the lower half is the rest.
fn divide(number: u64, limit: usize) -> (usize, u64) {
    let product = u128::from(number) * limit as u128;
    ((product >> 64) as usize, product as u64)
}

/// Random numbers for one shuffle: of a few, all come out of one number of 64 bits, digit by digit
/// in a base that changes (Lemire's reduction, applied to its own rest). With [`FEW`](Self::FEW)
/// the probabilities of two orders differ by a millionth of themselves at most.
pub(crate) struct Draws {
    rest: u64,
    few: bool,
}

impl Draws {
    /// 16! is less than 2^45.
    const FEW: usize = 16;

    /// The numbers for a shuffle of `len` values.
    pub(crate) fn new(len: usize) -> Self {
        Self { rest: random(), few: len <= Self::FEW }
    }

    /// A number below `limit`, which is at most the length of the shuffle.
    #[inline]
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let number = if self.few { self.rest } else { random() };
        let (digit, rest) = divide(number, limit);
        self.rest = rest;
        digit
    }
}

/// A random number: fast, and different on each thread.
fn random() -> u64 {
    thread_local! {
        /// No destructor: usable in the destructors of other thread-locals.
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    STATE.with(|state| {
        // splitmix64 (Steele, Lea, Flood 2014), begun at the thread's number.
        let next = match state.get() {
            0 => thread::id().get().wrapping_mul(ODD),
            state => state.wrapping_add(ODD),
        };
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shuffles of three and of a hundred values: each value comes first about equally often.
    #[test]
    fn each_value_comes_first_as_often() {
        for (len, times) in [(3, 30_000), (100, 100_000)] {
            let mut first = vec![0_u32; len];
            for _ in 0..times {
                let mut values: Vec<_> = (0..len).collect();
                let mut draws = Draws::new(len);
                for at in 1..len {
                    values.swap(at, draws.below(at + 1));
                }
                first[values[0]] += 1;
            }
            // Nine standard deviations: fewer than one failure in 10^17 runs.
            let mean = f64::from(times) / len as f64;
            let far = 9.0 * mean.sqrt();
            assert!(first.iter().all(|&n| (f64::from(n) - mean).abs() < far), "{first:?}");
        }
    }
}
