//! Random numbers for choices that only have to be fair.

use core::cell::Cell;

use sync_core::primitive::thread;

/// A number below `limit`: fast, and different on each thread.
pub(crate) fn random_below(limit: usize) -> usize {
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
        // The upper half of a product is below the limit.
        ((u128::from(mixed ^ (mixed >> 31)) * limit as u128) >> 64) as usize
    })
}
