//! The list next to a `Vec<Item>` whose places remember how much room they began with.

use proptest::prelude::*;
use sync_ipc::{Item, ListError, Segment, ShareableList};

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        Just(Item::None),
        any::<bool>().prop_map(Item::Bool),
        any::<i64>().prop_map(Item::Int),
        any::<i32>().prop_map(|number| Item::Float(f64::from(number) / 8.0)),
        ".{0,20}".prop_map(Item::Str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Item::Bytes),
    ]
}

fn length(item: &Item) -> usize {
    match item {
        Item::None => 0,
        Item::Bool(_) => 1,
        Item::Int(_) | Item::Float(_) => 8,
        Item::Str(text) => text.len(),
        Item::Bytes(bytes) => bytes.len(),
    }
}

proptest! {
    #[test]
    fn as_a_vector_with_room(
        begin in prop::collection::vec(item(), 1..12),
        sets in prop::collection::vec((0_usize..14, item()), 0..40),
    ) {
        let segment = Segment::anonymous(8192).expect("a segment");
        let list = ShareableList::create(&segment, "list", &begin).expect("room");
        let theirs = ShareableList::open(&segment, "list").expect("it is there");
        let room: Vec<usize> =
            begin.iter().map(|item| length(item).max(8).next_multiple_of(8)).collect();
        let mut oracle = begin;
        for (turn, (at, item)) in sets.into_iter().enumerate() {
            let expected = match room.get(at) {
                None => Err(ListError::OutOfRange),
                Some(room) if *room < length(&item) => Err(ListError::TooLong),
                Some(_) => Ok(()),
            };
            prop_assert_eq!(if turn % 2 == 0 { &list } else { &theirs }.set(at, &item), expected);
            if expected.is_ok() {
                oracle[at] = item;
            }
            prop_assert_eq!(theirs.get(at).ok(), oracle.get(at).cloned());
        }
        prop_assert_eq!(list.to_vec(), Ok(oracle));
    }
}
