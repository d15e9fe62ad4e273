//! The hash of the address of a word, for the tables of what waits.

/// A checker needs one bucket: with several, whether two words share one depends on addresses.
pub(super) const BUCKETS: usize = if crate::primitive::MODELLED { 1 } else { 128 };

/// Returns the number of the bucket of an address.
pub(super) fn bucket_of(address: usize) -> usize {
    // Fibonacci hashing; words are four bytes apart, so the low bits carry no information.
    let hash = (address >> 2).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    (hash >> (usize::BITS - 7)) % BUCKETS
}
