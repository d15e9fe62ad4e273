//! Loans and leases in place, and messages of different lengths.

use sync_ipc::{ByteQueue, InPlaceQueue, Segment, TrustedSegment};

use crate::harness::{Case, every};
use crate::processes::FOR_EVER;
use crate::queue;

/// The segment, whose peers the tests trust.
pub(crate) fn trusting(segment: &Segment) -> TrustedSegment {
    // SAFETY: the segment's other processes are the forks of a test, which use it by this crate
    // alone, and no loan or lease of their parent.
    unsafe { segment.clone().trusting_peers() }
}

/// `act` is killed at every instruction; then the survivor finds the items that `check` allows, and
/// no room is lost.
macro_rules! killed {
    (
        $name:ident: $object:ty, world: $world:expr, act: $act:expr, drain: $drain:expr,
        check: $check:expr
    ) => {
        #[test]
        fn $name() {
            struct This;

            impl Case for This {
                type World = (Segment, $object);
                fn world(&self) -> Self::World {
                    let segment = Segment::anonymous(4096).expect("a segment");
                    let make: fn(&Segment) -> $object = $world;
                    let object = make(&segment);
                    (segment, object)
                }
                fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
                    &world.0
                }
                fn prepare(&self, world: &Self::World) {
                    // Becomes a participant.
                    let touch = sync_ipc::Event::create(&world.0, "touch").expect("room");
                    touch.set();
                    assert!(
                        !sync_ipc::Mutex::create(&world.0, "me", 0_u8)
                            .expect("room")
                            .is_locked_by_us()
                    );
                }
                fn act(&self, world: &Self::World) {
                    let act: fn(&$object) = $act;
                    act(&world.1);
                }
                fn check(&self, world: &Self::World, finished: bool) {
                    let drain: fn(&$object) -> Vec<u64> = $drain;
                    let check: fn(&[u64], bool) -> bool = $check;
                    let items = drain(&world.1);
                    assert!(check(&items, finished), "{items:?}, finished: {finished}");
                }
            }

            every(stringify!($name), &This);
        }
    };
}

/// A queue of two with 1 in it.
fn one_of_two(segment: &Segment) -> InPlaceQueue<u64> {
    let queue = InPlaceQueue::create(&trusting(segment), "queue", 2).expect("room");
    queue.as_queue().put(1).expect("room");
    queue
}

/// Everything that can be received; and no room is lost: two fit, and not three.
fn drain(queue: &InPlaceQueue<u64>) -> Vec<u64> {
    let items = queue::drain(queue.as_queue());
    let loans = [0, 1].map(|_| queue.loan_timeout(FOR_EVER).expect("room for two"));
    assert!(queue.try_loan().is_err());
    drop(loans);
    assert!(queue.as_queue().is_empty());
    items
}

killed!(a_loan_at_every_instruction: InPlaceQueue<u64>,
    world: one_of_two,
    act: |queue| {
        let mut loan = queue.loan().expect("room");
        *loan = 2;
        loan.put().expect("open");
    },
    drain: drain,
    check: |items, finished| items == [1, 2] || (items == [1] && !finished)
);

killed!(a_dropped_loan_at_every_instruction: InPlaceQueue<u64>,
    world: one_of_two,
    act: |queue| *queue.loan().expect("room") = 2,
    drain: drain,
    check: |items, _| items == [1]
);

killed!(a_lease_in_place_at_every_instruction: InPlaceQueue<u64>,
    world: one_of_two,
    act: |queue| {
        let lease = queue.get().expect("an item");
        assert_eq!(*lease, 1);
        lease.ack();
    },
    drain: drain,
    check: |items, finished| items.is_empty() || (items == [1] && !finished)
);

killed!(a_lease_in_place_that_is_given_back_at_every_instruction: InPlaceQueue<u64>,
    world: one_of_two,
    act: |queue| drop(queue.get().expect("an item")),
    drain: drain,
    check: |items, _| items == [1]
);

/// A queue of two with a message in it.
fn one_message(segment: &Segment) -> ByteQueue {
    let queue = ByteQueue::create(segment, "queue", 2, 32).expect("room");
    queue.put(&[1; 20]).expect("room");
    queue
}

/// The first byte of each message, all of whose bytes are the same, and as many as they must be;
/// and no room is lost.
fn drain_messages(queue: &ByteQueue) -> Vec<u64> {
    let mut items = Vec::new();
    while let Ok(message) = queue.get_timeout(std::time::Duration::from_millis(1)) {
        let expected = if message.first() == Some(&1) { vec![1; 20] } else { vec![2; 30] };
        assert_eq!(message, expected, "whole");
        items.push(u64::from(message[0]));
    }
    for message in [[1; 20], [1; 20]] {
        queue.put_timeout(&message, FOR_EVER).expect("room for two");
    }
    assert!(queue.try_put(&[]).is_err());
    items
}

killed!(a_sent_message_at_every_instruction: ByteQueue,
    world: one_message,
    act: |queue| queue.put(&[2; 30]).expect("room"),
    drain: drain_messages,
    check: |items, finished| items == [1, 2] || (items == [1] && !finished)
);

killed!(a_received_message_at_every_instruction: ByteQueue,
    world: one_message,
    act: |queue| {
        let mut message = Vec::new();
        queue.get_into(&mut message).expect("a message");
        assert_eq!(message, [1; 20]);
    },
    drain: drain_messages,
    check: |items, finished| items.is_empty() || (items == [1] && !finished)
);
