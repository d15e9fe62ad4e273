//! Creating, opening and removing objects next to a map of names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use proptest::prelude::*;
use sync_ipc::{Error, Mutex, RawValue, Segment};

#[derive(Clone, Copy, Debug)]
enum Step {
    Create(u8, u64),
    CreateOther(u8, u32),
    Open(u8),
    Remove(u8),
    Set(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0_u8..6;
    prop_oneof![
        6 => (name(), any::<u64>()).prop_map(|(name, value)| Step::Create(name, value)),
        2 => (name(), any::<u32>()).prop_map(|(name, value)| Step::CreateOther(name, value)),
        4 => name().prop_map(Step::Open),
        4 => name().prop_map(Step::Remove),
        4 => (any::<usize>(), any::<u64>()).prop_map(|(which, value)| Step::Set(which, value)),
    ]
}

/// The meaning of a name: the number of the object, or a value of the other type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Named {
    Numbered(usize),
    Other(u32),
}

proptest! {
    /// Objects that were removed are used on by those who have them open, and share no memory with
    /// later ones.
    #[test]
    fn as_a_map_of_names(steps in prop::collection::vec(step(), 1..80)) {
        let segment = Segment::anonymous(16384).expect("a segment");
        let mut names = HashMap::<u8, Named>::new();
        // All objects ever made, with their values.
        let mut objects = Vec::<(RawValue<u64>, u64)>::new();
        for step in steps {
            match step {
                Step::Create(name, value) => {
                    let made = RawValue::create(&segment, &name.to_string(), value);
                    if let Entry::Vacant(free) = names.entry(name) {
                        free.insert(Named::Numbered(objects.len()));
                        objects.push((made.expect("room"), value));
                    } else {
                        prop_assert!(matches!(made, Err(Error::AlreadyExists)));
                    }
                }
                Step::CreateOther(name, value) => {
                    let made = Mutex::create(&segment, &name.to_string(), value);
                    prop_assert_eq!(made.is_ok(), !names.contains_key(&name));
                    names.entry(name).or_insert(Named::Other(value));
                }
                Step::Open(name) => {
                    let opened = RawValue::<u64>::open(&segment, &name.to_string());
                    let other = Mutex::<u32>::open(&segment, &name.to_string());
                    match names.get(&name) {
                        None => {
                            prop_assert!(matches!(opened, Err(Error::NotFound)));
                            prop_assert!(matches!(other, Err(Error::NotFound)));
                        }
                        Some(Named::Numbered(number)) => {
                            prop_assert_eq!(opened.expect("there").get(), objects[*number].1);
                            prop_assert!(matches!(other, Err(Error::WrongType)));
                        }
                        Some(Named::Other(value)) => {
                            prop_assert!(matches!(opened, Err(Error::WrongType)));
                            let other = other.expect("there");
                            prop_assert_eq!(other.lock().expect("free").get(), *value);
                        }
                    }
                }
                Step::Remove(name) => {
                    let removed = segment.remove(&name.to_string());
                    match names.remove(&name) {
                        Some(_) => removed.expect("it is there"),
                        None => prop_assert!(matches!(removed, Err(Error::NotFound))),
                    }
                }
                Step::Set(which, value) if !objects.is_empty() => {
                    let which = which % objects.len();
                    let (object, expected) = &mut objects[which];
                    object.set(value);
                    *expected = value;
                }
                Step::Set(..) => {}
            }
            for (object, value) in &objects {
                prop_assert_eq!(object.get(), *value);
            }
        }
    }
}
