//! Replacements for `std::hint`.

/// Says that the thread can only go on when another one has done something.
#[track_caller]
pub fn spin_loop() {
    crate::thread::yield_now();
}

/// Says that this point is never reached; reaching it is a failure of the model.
///
/// # Safety
/// As `std::hint::unreachable_unchecked`; here it panics.
#[track_caller]
pub unsafe fn unreachable_unchecked() -> ! {
    unreachable!("unreachable_unchecked was reached");
}
