//! A segment's directory next to a map, and its memory next to the written bytes: objects never
//! overlap, whatever their sizes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sync_ipc::{Error, RawArray, Segment};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn objects_are_apart_and_are_found(
        size in 1_usize..20_000,
        asked in prop::collection::vec((0_u8..40, 1_usize..3000), 1..160),
    ) {
        let segment = Segment::anonymous(size).expect("a segment");
        let theirs =
            Segment::from_fd(segment.try_clone_fd().expect("a descriptor")).expect("a segment");
        let mut objects: BTreeMap<u8, (RawArray<u8>, usize)> = BTreeMap::new();
        let mut used = 0_usize;
        for (at, (key, len)) in asked.into_iter().enumerate() {
            let name = format!("object {key}");
            let (maker, finder) =
                if at % 2 == 0 { (&segment, &theirs) } else { (&theirs, &segment) };
            let offset = used.next_multiple_of(64);
            match RawArray::<u8>::zeroed(maker, &name, len) {
                Ok(array) => {
                    prop_assert!(!objects.contains_key(&key));
                    prop_assert!(offset + len <= segment.size(), "it does not fit");
                    let is_zero = array.to_vec().iter().all(|byte| *byte == 0);
                    prop_assert!(is_zero, "fresh memory is zero");
                    array.write(0, &vec![key + 1; len]).expect("inside");
                    used = offset + len;
                    objects.insert(key, (RawArray::open(finder, &name).expect("it is there"), len));
                }
                Err(Error::AlreadyExists) => prop_assert!(objects.contains_key(&key)),
                Err(Error::Full) => prop_assert!(
                    !objects.contains_key(&key) && offset + len > segment.size(),
                    "there was room"
                ),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        for (key, (array, len)) in &objects {
            prop_assert_eq!(array.len(), *len);
            prop_assert!(
                array.to_vec().iter().all(|byte| *byte == key + 1),
                "another object wrote into it"
            );
            let name = format!("object {key}");
            prop_assert!(RawArray::<u8>::open(&segment, &name).is_ok());
            prop_assert!(matches!(RawArray::<i8>::open(&segment, &name), Err(Error::WrongType)));
        }
    }
}
