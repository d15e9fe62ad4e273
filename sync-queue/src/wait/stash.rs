//! A value whose type is known at both ends of its way, and not in between.

use core::mem::{ManuallyDrop, MaybeUninit, align_of, size_of};

/// Values of this many words stay inside; larger values are boxed.
const WORDS: usize = 4;

/// A value without its type. It has no destructor: a stash that is dropped leaks its value. So a
/// stash may be dropped on any thread, whatever is inside.
pub(crate) struct Stash {
    words: [MaybeUninit<usize>; WORDS],
}

const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<[usize; WORDS]>() && align_of::<T>() <= align_of::<usize>()
}

impl Stash {
    pub(crate) fn new<T>(value: T) -> Self {
        let mut words = [MaybeUninit::uninit(); WORDS];
        if fits::<T>() {
            // SAFETY: the value fits, and its alignment is that of a word at most. A value that is
            // not aligned more strictly than `usize` may be written at the address of a `usize`.
            unsafe { words.as_mut_ptr().cast::<T>().write(value) };
        } else {
            words[0].write(Box::into_raw(Box::new(value)).expose_provenance());
        }
        Self { words }
    }

    /// Takes the value out.
    ///
    /// # Safety
    ///
    /// The stash was made of a `T`.
    pub(crate) unsafe fn into_inner<T>(self) -> T {
        let this = ManuallyDrop::new(self);
        if fits::<T>() {
            // SAFETY: `new` wrote a `T` there (`# Safety`), and the stash is used up.
            unsafe { this.words.as_ptr().cast::<T>().read() }
        } else {
            // SAFETY: `new` wrote the address of a boxed `T` there, and the stash is used up.
            let address = unsafe { this.words[0].assume_init() };
            // SAFETY: the box was made by `new`, and is this stash's alone.
            *unsafe { Box::from_raw(core::ptr::with_exposed_provenance_mut::<T>(address)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_size_come_out_as_they_went_in() {
        #[repr(align(64))]
        #[derive(Debug, PartialEq)]
        struct Aligned(u8);
        // SAFETY: in each line, the type of the value that went in.
        unsafe {
            Stash::new(()).into_inner::<()>();
            assert_eq!(Stash::new(7_u8).into_inner::<u8>(), 7);
            assert_eq!(Stash::new([7_u64; 4]).into_inner::<[u64; 4]>(), [7; 4]);
            assert_eq!(Stash::new([7_u64; 5]).into_inner::<[u64; 5]>(), [7; 5]);
            assert_eq!(Stash::new(Aligned(7)).into_inner::<Aligned>(), Aligned(7));
            assert_eq!(Stash::new(String::from("seven")).into_inner::<String>(), "seven");
        }
    }
}
