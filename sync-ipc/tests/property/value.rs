//! Values and arrays next to a variable and a vector.

use proptest::prelude::*;
use sync_ipc::{Array, OutOfRange, RawArray, RawValue, Segment, SharedMemory, Value};

fn segment() -> Segment {
    Segment::anonymous(1 << 16).expect("a segment")
}

/// Items of every way in which they are copied: bytes, words, words that lie crooked, by the
/// processor's own instruction.
fn arrays_agree<const N: usize>(len: usize, writes: &[(usize, u8)]) -> Result<(), TestCaseError> {
    let array = RawArray::<[u8; N]>::zeroed(&segment(), "array", len).expect("room");
    let mut oracle = vec![[0_u8; N]; len];
    for &(at, byte) in writes {
        let item = core::array::from_fn(|index| byte.wrapping_add(index as u8));
        let inside = at < len;
        prop_assert_eq!(array.set(at, item), if inside { Ok(()) } else { Err(OutOfRange) });
        if inside {
            oracle[at] = item;
        }
        prop_assert_eq!(array.get(at), oracle.get(at).copied());
    }
    prop_assert_eq!(array.to_vec(), oracle);
    Ok(())
}

proptest! {
    #[test]
    fn as_a_vector(
        len in 1_usize..12,
        writes in prop::collection::vec((0_usize..14, any::<u8>()), 1..30),
    ) {
        arrays_agree::<1>(len, &writes)?;
        arrays_agree::<4>(len, &writes)?;
        arrays_agree::<7>(len, &writes)?;
        arrays_agree::<8>(len, &writes)?;
        arrays_agree::<20>(len, &writes)?;
        arrays_agree::<255>(len, &writes)?;
        arrays_agree::<256>(len, &writes)?;
        arrays_agree::<1025>(len, &writes)?;
    }

    #[test]
    fn ranges_as_slices(
        items in prop::collection::vec(any::<u32>(), 1..40),
        from in 0_usize..45,
        to in 0_usize..45,
        new in prop::collection::vec(any::<u32>(), 0..45),
    ) {
        let array = Array::create(&segment(), "array", &items).expect("room");
        prop_assert_eq!(array.raw().read(from..to).ok(), items.get(from..to).map(<[u32]>::to_vec));
        let mut oracle = items.clone();
        let written = array.raw().write(from, &new);
        match oracle.get_mut(from..from + new.len()) {
            Some(place) => place.copy_from_slice(&new),
            None => prop_assert_eq!(written, Err(OutOfRange)),
        }
        prop_assert_eq!(array.lock().expect("free").to_vec(), oracle);
    }

    #[test]
    fn bytes_as_a_slice(
        size in 1_usize..3000,
        writes in prop::collection::vec(
            (0_usize..3000, prop::collection::vec(any::<u8>(), 0..700)),
            1..12,
        ),
    ) {
        let memory = SharedMemory::anonymous(size).expect("memory");
        let mut oracle = vec![0; size];
        for (at, bytes) in writes {
            let written = memory.write(at, &bytes);
            match oracle.get_mut(at..at + bytes.len()) {
                Some(place) => {
                    prop_assert_eq!(written, Ok(()));
                    place.copy_from_slice(&bytes);
                }
                None => prop_assert_eq!(written, Err(OutOfRange)),
            }
            prop_assert_eq!(
                memory.to_vec(at..at + bytes.len()).ok(),
                oracle.get(at..at + bytes.len()).map(<[u8]>::to_vec)
            );
        }
        prop_assert_eq!(memory.to_vec(0..size).ok(), Some(oracle));
    }

    #[test]
    fn values_as_variables(values in prop::collection::vec(any::<(i64, u16, u128)>(), 1..10)) {
        let segment = segment();
        let long = Value::create(&segment, "long", 0_i64).expect("room");
        let short = RawValue::create(&segment, "short", 0_u16).expect("room");
        let wide = RawValue::create(&segment, "wide", 0_u128).expect("room");
        for (a, b, c) in values {
            long.set(a).expect("free");
            short.set(b);
            wide.set(c);
            prop_assert_eq!((long.get().expect("free"), short.get(), wide.get()), (a, b, c));
        }
    }
}
