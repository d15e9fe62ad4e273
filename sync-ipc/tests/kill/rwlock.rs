//! Readers and writers of a readers-writer lock.

use sync_ipc::{LockError, Mutex, RwLock, Segment};

use crate::harness::{Case, every};
use crate::processes::FOR_EVER;

/// `act` is killed at every instruction; then a reader and a writer find what is whole, or are
/// told.
macro_rules! killed {
    ($name:ident: $value:ty, prepare: $prepare:expr, act: $act:expr, whole: $whole:expr) => {
        #[test]
        fn $name() {
            struct This;

            impl Case for This {
                type World = (Segment, RwLock<$value>);
                fn world(&self) -> Self::World {
                    let segment = Segment::anonymous(4096).expect("a segment");
                    Mutex::create(&segment, "touch", 0_u32).expect("room");
                    let lock = RwLock::create(&segment, "lock", 1).expect("room");
                    let prepare: fn(&RwLock<u64>) = $prepare;
                    prepare(&lock);
                    (segment, lock)
                }
                fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
                    &world.0
                }
                fn prepare(&self, world: &Self::World) {
                    // Becomes a participant.
                    drop(Mutex::<u32>::open(&world.0, "touch").expect("it is there").lock());
                }
                fn act(&self, world: &Self::World) {
                    let act: fn(&RwLock<u64>) = $act;
                    act(&world.1);
                }
                fn check(&self, world: &Self::World, finished: bool) {
                    let whole: fn(u64, bool) -> bool = $whole;
                    survivor(&world.1, |value| whole(value, finished));
                }
            }

            every(stringify!($name), &This);
        }
    };
}

pub(crate) fn survivor(lock: &RwLock<u64>, whole: impl Fn(u64) -> bool) {
    match lock.try_read_for(FOR_EVER) {
        Ok(guard) => assert!(whole(guard.get()), "clean, but {}", guard.get()),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.set(9);
            guard.mark_consistent();
        }
        Err(other) => panic!("{other}"),
    }
    lock.try_write_for(FOR_EVER).expect("free and consistent").set(9);
    assert_eq!(lock.try_read().expect("free").get(), 9);
}

killed!(a_writer_at_every_instruction: u64,
    prepare: |_| {},
    act: |lock| lock.write().expect("free").set(2),
    whole: |value, finished| value == 2 || (value == 1 && !finished)
);

killed!(a_reader_at_every_instruction: u64,
    prepare: |_| {},
    act: |lock| assert_eq!(lock.read().expect("free").get(), 1),
    whole: |value, _| value == 1
);

killed!(the_successor_of_a_writer_at_every_instruction: u64,
    prepare: |lock| {
        let mut dies = crate::processes::fork(|| {
            core::mem::forget(lock.write());
            0
        });
        assert_eq!(dies.join(), 0);
    },
    act: |lock| {
        let Err(LockError::OwnerDied(mut guard)) = lock.try_write() else {
            panic!("the writer is dead")
        };
        guard.set(3);
        guard.mark_consistent();
    },
    whole: |value, _| value == 3
);
