//! Becoming a participant, creating a named segment, placing an object.

use std::cell::RefCell;

use sync_ipc::{Array, Error, Mutex, Segment};

use crate::harness::{Case, every, every_effect, every_system_call};

/// An object is placed.
struct Place;

impl Case for Place {
    type World = (Segment, Mutex<u64>);
    fn world(&self) -> Self::World {
        let segment = Segment::anonymous(4096).expect("a segment");
        let mutex = Mutex::create(&segment, "before", 1).expect("a mutex");
        (segment, mutex)
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        drop(world.1.lock());
        // The allocator has what placing needs: else its ways differ from child to child.
        Mutex::create(&world.0, "first", 6_u64).expect("room");
    }
    fn act(&self, world: &Self::World) {
        Mutex::create(&world.0, "new", 7_u64).expect("room");
    }
    fn check(&self, world: &Self::World, finished: bool) {
        match Mutex::<u64>::open(&world.0, "new") {
            Ok(mutex) => assert_eq!(mutex.lock().expect("free").get(), 7),
            Err(Error::NotFound) if !finished => {
                let again = Mutex::create(&world.0, "new", 8_u64)
                    .expect("the name is free and so is the room");
                assert_eq!(again.lock().expect("free").get(), 8);
            }
            Err(other) => panic!("{other}"),
        }
        let last = Mutex::create(&world.0, "last", [9_u64; 32]).expect("room");
        assert_eq!(last.lock().expect("free").get(), [9; 32]);
        assert_eq!(world.1.lock().expect("free").get(), 1);
    }
}

#[test]
fn placing_an_object_at_every_instruction() {
    every("place", &Place);
}

/// An object is removed, and a new one gets its name and its entry.
struct Remove;

impl Case for Remove {
    type World = (Segment, Mutex<u64>);
    fn world(&self) -> Self::World {
        let world = Place.world();
        Mutex::create(&world.0, "name", [3_u64; 4]).expect("room");
        world
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        Place.prepare(world);
    }
    fn act(&self, world: &Self::World) {
        world.0.remove("name").expect("it is there");
        Mutex::create(&world.0, "name", 7_u64).expect("the name is free");
    }
    fn check(&self, world: &Self::World, finished: bool) {
        let old = Mutex::<[u64; 4]>::open(&world.0, "name");
        match Mutex::<u64>::open(&world.0, "name") {
            Ok(mutex) => assert_eq!(mutex.lock().expect("free").get(), 7),
            Err(Error::NotFound) if !finished => {}
            Err(Error::WrongType) if !finished => {
                let old = old.expect("not removed yet");
                assert_eq!(old.lock().expect("free").get(), [3; 4]);
                world.0.remove("name").expect("it is there");
            }
            Err(other) => panic!("{other}"),
        }
        if Mutex::<u64>::open(&world.0, "name").is_err() {
            Mutex::create(&world.0, "name", 8_u64).expect("free");
        }
        Mutex::create(&world.0, "last", [9_u64; 32]).expect("room");
        assert_eq!(world.1.lock().expect("free").get(), 1);
    }
}

#[test]
fn removing_an_object_at_every_instruction() {
    every("remove", &Remove);
}

/// A fork becomes a participant and locks.
struct Join;

impl Case for Join {
    type World = (Segment, Mutex<u64>);
    fn world(&self) -> Self::World {
        Place.world()
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn act(&self, world: &Self::World) {
        world.1.lock().expect("free").set(2);
    }
    fn check(&self, world: &Self::World, _: bool) {
        let mut guard = world
            .1
            .lock()
            .or_else(|error| error.into_guard().ok_or("refused"))
            .expect("free or recoverable");
        guard.mark_consistent();
        guard.set(3);
        drop(guard);
        assert_eq!(world.1.lock().expect("free").get(), 3);
    }
}

#[test]
fn joining_at_every_effect() {
    every_effect("join", &Join, 20);
}

/// A named segment is created.
struct Create;

impl Create {
    fn name() -> String {
        format!("kill-create-{}-{:?}", std::process::id(), std::thread::current().id())
            .replace(['(', ')'], "")
    }
}

impl Case for Create {
    type World = (Segment, String);
    fn world(&self) -> Self::World {
        (Segment::anonymous(1).expect("a segment"), Self::name())
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, _: &Self::World) {
        // As in `Place`.
        drop(Segment::anonymous(1));
    }
    fn act(&self, (_, name): &Self::World) {
        core::mem::forget(Segment::create(name, 4096).expect("a new name"));
    }
    fn check(&self, (_, name): &Self::World, _: bool) {
        // Its only holder is dead: no process finds the segment, and none waits for it (Boost waits
        // forever, #128).
        assert!(matches!(Segment::open(name), Err(Error::NotFound)));
        let ours = Segment::create(name, 4096).expect("a dead creator's name is free");
        drop(Segment::open(name).expect("a living creator's name is found"));
        drop(ours);
        assert!(
            matches!(Segment::unlink(name), Err(Error::NotFound)),
            "the last holder takes the name with it"
        );
    }
}

/// The segment's memory is known to no other process before it has a name, so all that a survivor
/// can see of the creation are the effects of system calls.
#[test]
fn creating_a_named_segment_at_every_system_call() {
    every_system_call("create", &Create, 200);
}

/// An array is removed, and a new one gets its name.
struct RemoveArray;

impl Case for RemoveArray {
    type World = (Segment, Mutex<u64>);
    fn world(&self) -> Self::World {
        let world = Place.world();
        Array::create(&world.0, "array", &[3_u32; 4]).expect("room");
        world
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        Place.prepare(world);
    }
    fn act(&self, world: &Self::World) {
        Array::<u32>::remove(&world.0, "array").expect("it is there");
        Array::create(&world.0, "array", &[7_u64; 2]).expect("the name is free");
    }
    fn check(&self, world: &Self::World, finished: bool) {
        match Array::<u64>::open(&world.0, "array") {
            Ok(array) => assert_eq!(array.lock().expect("free").to_vec(), [7; 2]),
            Err(Error::NotFound) if !finished => {
                // Both are gone, or one of the two.
                let removed = Array::<u32>::remove(&world.0, "array");
                assert!(matches!(removed, Ok(()) | Err(Error::NotFound)), "{removed:?}");
            }
            Err(Error::WrongType) if !finished => {
                if let Ok(old) = Array::<u32>::open(&world.0, "array") {
                    assert_eq!(old.lock().expect("free").to_vec(), [3; 4]);
                }
                Array::<u32>::remove(&world.0, "array").expect("all of it, or the rest");
            }
            Err(other) => panic!("{other}"),
        }
        if Array::<u64>::open(&world.0, "array").is_err() {
            let new = Array::create(&world.0, "array", &[8_u64]).expect("free");
            assert_eq!(new.lock().expect("free").to_vec(), [8]);
        }
        assert_eq!(world.1.lock().expect("free").get(), 1);
    }
}

#[test]
fn removing_an_array_at_every_effect() {
    every_effect("remove array", &RemoveArray, 30);
}

/// A named segment that this process holds is opened by another one.
struct Open;

impl Case for Open {
    type World = (Segment, String);
    fn world(&self) -> Self::World {
        let name = Create::name().replace("create", "open");
        let segment = Segment::create(&name, 4096).expect("a new name");
        Mutex::create(&segment, "value", 1_u64).expect("room");
        (segment, name)
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        Create.prepare(world);
    }
    fn act(&self, (_, name): &Self::World) {
        let opened = Segment::open(name).expect("it has a holder");
        let value = Mutex::<u64>::open(&opened, "value").expect("it is there");
        core::mem::forget((value, opened));
    }
    fn check(&self, (segment, name): &Self::World, _: bool) {
        let again = Segment::open(name).expect("the holder lives");
        Mutex::<u64>::open(&again, "value").expect("the same segment").lock().expect("free").set(2);
        let ours = Mutex::<u64>::open(segment, "value").expect("it is there");
        assert_eq!(ours.lock().expect("free").get(), 2);
        drop(again);
        drop(Segment::open(name).expect("the holder lives"));
    }
}

#[test]
fn opening_a_named_segment_at_every_system_call() {
    every_system_call("open", &Open, 20);
}

/// A process drops its last handle of a named segment, which another process holds too, or does
/// not.
struct Leave {
    alone: bool,
}

impl Case for Leave {
    type World = (Segment, String, RefCell<Option<Segment>>);
    fn world(&self) -> Self::World {
        let name = Create::name().replace("create", "leave");
        let segment = if self.alone {
            Segment::anonymous(4096).expect("a segment")
        } else {
            Segment::create(&name, 4096).expect("a new name")
        };
        (segment, name, RefCell::default())
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, (_, name, theirs): &Self::World) {
        let segment = Segment::open_or_create(name, 4096).expect("a name");
        theirs.replace(Some(segment));
    }
    fn act(&self, (_, _, theirs): &Self::World) {
        drop(theirs.take());
    }
    fn check(&self, (_, name, _): &Self::World, _: bool) {
        match Segment::open(name) {
            Ok(_) => assert!(!self.alone, "the name of a dead process"),
            Err(Error::NotFound) => assert!(self.alone, "the holder lives"),
            Err(other) => panic!("{other}"),
        }
        if self.alone {
            let new = Segment::create(name, 8192).expect("the name is free");
            assert_eq!(Segment::open(name).expect("it has a holder").size(), new.size());
        }
    }
}

#[test]
fn dropping_a_named_segment_at_every_system_call() {
    every_system_call("drop, the last holder", &Leave { alone: true }, 20);
    every_system_call("drop beside a holder", &Leave { alone: false }, 20);
}

/// The name of a segment is removed, and another segment gets it.
struct Unlink;

impl Case for Unlink {
    type World = (Segment, String);
    fn world(&self) -> Self::World {
        let name = Create::name().replace("create", "unlink");
        (Segment::create(&name, 4096).expect("a new name"), name)
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        Create.prepare(world);
    }
    fn act(&self, (_, name): &Self::World) {
        Segment::unlink(name).expect("it is there");
    }
    fn check(&self, (segment, name): &Self::World, finished: bool) {
        match Segment::open(name) {
            Ok(opened) if !finished => {
                drop(opened);
                Segment::unlink(name).expect("it is there");
            }
            Err(Error::NotFound) => {}
            other => panic!("{other:?}"),
        }
        let new = Segment::create(name, 8192).expect("the name is free");
        assert_eq!(segment.size(), 4096);
        assert_eq!(Segment::open(name).expect("it has a holder").size(), new.size());
    }
}

#[test]
fn removing_a_name_at_every_system_call() {
    every_system_call("unlink", &Unlink, 20);
}
