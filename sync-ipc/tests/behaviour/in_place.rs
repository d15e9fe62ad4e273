//! Items that are written and read where they lie.

use std::time::Duration;

use sync_ipc::{
    InPlaceQueue, Orphans, Queue, QueueOptions, RecvError, Segment, SendError, TrustedSegment,
};

use crate::processes::{FOR_EVER, fork, until};

const LARGE: usize = 1 << 20;

fn segment(size: usize) -> TrustedSegment {
    let segment = Segment::anonymous(size).expect("a segment");
    // SAFETY: the segment's other processes are this test's forks, which use it by this crate
    // alone, and no loan or lease of their parent.
    unsafe { segment.trusting_peers() }
}

#[test]
fn large_items_are_written_and_read_where_they_lie() {
    let segment = segment(4 * LARGE);
    let queue = InPlaceQueue::<[u8; LARGE]>::create(&segment, "queue", 2).expect("room");
    let mut sender = fork(|| {
        for round in 0..20 {
            let mut item = queue.loan().expect("room");
            item.fill(round);
            item.put().expect("open");
        }
        0
    });
    for round in 0..20 {
        let item = queue.get_timeout(FOR_EVER).expect("sent");
        assert!(item.iter().all(|byte| *byte == round));
        item.ack();
    }
    assert_eq!(sender.join(), 0);
}

/// The memory that was just read is in the processor's cache. And what no item needed is untouched.
#[test]
fn a_large_item_lies_where_the_last_one_lay() {
    let segment = segment(5 * LARGE);
    let queue = InPlaceQueue::<[u8; LARGE]>::create(&segment, "queue", 4).expect("room");
    let mut places = Vec::new();
    for _ in 0..10 {
        let loan = queue.loan().expect("room");
        places.push((&raw const *loan).addr());
        loan.put().expect("open");
        queue.get().expect("an item").ack();
    }
    places.dedup();
    assert_eq!(places.len(), 1);
    // With an item under way there are two places.
    queue.loan().and_then(|loan| loan.put()).expect("room");
    for _ in 0..10 {
        let loan = queue.loan().expect("room");
        places.push((&raw const *loan).addr());
        loan.put().expect("open");
        queue.get().expect("an item").ack();
    }
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 2);
}

#[test]
fn it_is_the_same_queue_as_the_one_that_copies() {
    let segment = segment(4096);
    let copies = Queue::<[u64; 4]>::create(segment.segment(), "queue", 3).expect("room");
    let in_place = InPlaceQueue::<[u64; 4]>::open(&segment, "queue").expect("it is there");
    copies.put([1; 4]).expect("room");
    let mut loan = in_place.try_loan().expect("room");
    *loan = [2; 4];
    loan.put().expect("open");
    in_place.as_queue().put([3; 4]).expect("room");
    assert_eq!(in_place.try_loan().map(drop), Err(SendError::Full(())));
    let timed = in_place.loan_timeout(Duration::from_millis(1)).map(drop);
    assert_eq!(timed, Err(SendError::TimedOut(())));
    let lease = in_place.try_get().expect("an item");
    assert_eq!(*lease, [1; 4]);
    lease.ack();
    assert_eq!(copies.get(), Ok([2; 4]));
    assert_eq!(in_place.get().map(|lease| (*lease, lease.ack()).0), Ok([3; 4]));
    assert_eq!(in_place.try_get().map(drop), Err(RecvError::Empty));
}

#[test]
fn a_loan_that_is_dropped_sends_nothing_and_gives_its_room_back() {
    let segment = segment(4096);
    let queue = InPlaceQueue::<u64>::create(&segment, "queue", 1).expect("room");
    for _ in 0..3 {
        let mut loan = queue.loan().expect("room");
        *loan = 7;
    }
    assert!(queue.as_queue().is_empty());
    // A sender that waits for the room is woken.
    let loan = queue.loan().expect("room");
    let mut sender = fork(|| {
        let mut loan = queue.loan_timeout(FOR_EVER).expect("room comes");
        *loan = 8;
        i32::from(loan.put().is_err())
    });
    std::thread::sleep(Duration::from_millis(5));
    drop(loan);
    assert_eq!(sender.join(), 0);
    assert_eq!(queue.get().map(|lease| (*lease, lease.ack()).0), Ok(8));
}

#[test]
fn a_dropped_lease_in_place_goes_to_another_receiver() {
    for orphans in [Orphans::Redeliver, Orphans::Drop] {
        let segment = segment(4096);
        let options = QueueOptions { capacity: 2, orphans };
        let queue = InPlaceQueue::<u64>::with_options(&segment, "queue", options).expect("room");
        queue.as_queue().put(5).expect("room");
        drop(queue.get().expect("an item"));
        let again = queue.try_get().map(|lease| (*lease, lease.ack()).0);
        let expected = if orphans == Orphans::Drop { Err(RecvError::Empty) } else { Ok(5) };
        assert_eq!(again, expected);
    }
}

#[test]
fn a_killed_holder_of_a_loan_or_a_lease_in_place_is_recovered() {
    let segment = segment(4096);
    let queue = InPlaceQueue::<u64>::create(&segment, "queue", 2).expect("room");
    queue.as_queue().put(5).expect("room");
    let mut holder = fork(|| {
        let lease = queue.get().expect("an item");
        let mut loan = queue.loan().expect("room");
        *loan = 6;
        core::mem::forget((lease, loan));
        std::thread::sleep(FOR_EVER);
        0
    });
    until("it holds both", || queue.try_loan().is_err());
    holder.kill();
    let lease = queue.get_timeout(FOR_EVER).expect("the item of the dead receiver");
    assert_eq!(*lease, 5);
    let loan = queue.loan_timeout(FOR_EVER).expect("the room of the dead sender");
    drop(loan);
    lease.ack();
    assert_eq!(queue.try_get().map(drop), Err(RecvError::Empty));
}

#[test]
fn a_forked_childs_copies_of_a_loan_and_a_lease_in_place_are_nothing() {
    let segment = segment(4096);
    let queue = InPlaceQueue::<u64>::create(&segment, "queue", 2).expect("room");
    queue.as_queue().put(5).expect("room");
    let mut lease = Some(queue.get().expect("an item"));
    let mut loan = Some(queue.loan().expect("room"));
    let mut child = fork(|| {
        lease.take().expect("a copy").ack();
        let sent = loan.take().expect("a copy").put();
        i32::from(sent != Err(SendError::NotAttached(())) || queue.try_loan().is_ok())
    });
    assert_eq!(child.join(), 0);
    drop(loan);
    drop(lease);
    assert_eq!(queue.try_get().map(|lease| (*lease, lease.ack()).0), Ok(5), "given back, once");
    assert_eq!(queue.try_get().map(drop), Err(RecvError::Empty));
}

/// Loans and leases: each place is one item's, with all of its bytes, at an address that is aligned
/// for it.
#[test]
fn no_two_places_overlap_and_each_is_aligned() {
    fn check<T: sync_ipc::Plain + PartialEq + Copy>(value: [T; 3]) {
        let segment = segment(65536);
        for capacity in [3, 4, 5, 7] {
            let name = format!("{capacity}");
            let queue = InPlaceQueue::<T>::create(&segment, &name, capacity).expect("room");
            for _ in 0..2 * capacity {
                let mut loans = [0, 1, 2].map(|_| queue.try_loan().expect("room"));
                let places = loans.each_ref().map(|loan| core::ptr::from_ref::<T>(loan).addr());
                for (at, place) in places.iter().enumerate() {
                    assert_eq!(place % align_of::<T>(), 0);
                    for other in &places[..at] {
                        assert!(size_of::<T>() == 0 || place.abs_diff(*other) >= size_of::<T>());
                    }
                }
                for (loan, value) in loans.iter_mut().zip(value) {
                    **loan = value;
                }
                let [one, two, three] = loans;
                // In the order of the sends, not of the loans.
                for loan in [two, three, one] {
                    loan.put().expect("open");
                }
                let leases = [0, 1, 2].map(|_| queue.try_get().expect("sent"));
                for (lease, at) in leases.iter().zip([1, 2, 0]) {
                    assert!(**lease == value[at]);
                }
                for lease in leases {
                    lease.ack();
                }
            }
        }
    }
    check([1_u8, 2, 3]);
    check([1_u64, 2, 3]);
    check([[1_u8; 9], [2; 9], [3; 9]]);
    check([[1_u16; 37], [2; 37], [3; 37]]);
    check([(), (), ()]);
    check([[0_u64; 0]; 3]);
}

/// An item whose type has a destructor. It is any bytes, so a destructor may run for an item that
/// no code made. Sending and receiving in place run none.
#[test]
fn sending_and_receiving_in_place_drop_no_item() {
    use std::sync::atomic::{AtomicU32, Ordering};

    static DROPS: AtomicU32 = AtomicU32::new(0);

    #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
    #[repr(transparent)]
    struct Noisy(u64);

    impl Drop for Noisy {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }

    let segment = segment(4096);
    let queue = InPlaceQueue::<Noisy>::create(&segment, "queue", 2).expect("room");
    let mut loan = queue.loan().expect("room");
    loan.0 = 7;
    loan.put().expect("open");
    drop(queue.loan().expect("room"));
    let lease = queue.get().expect("sent");
    assert_eq!(lease.0, 7);
    drop(lease);
    queue.get().expect("given back").ack();
    assert_eq!(DROPS.load(Ordering::Relaxed), 0);
}

/// Loans and leases that are forgotten cost their room, for as long as this participant lives, and
/// nothing else; the handles to the segment may go before them.
#[test]
fn forgotten_loans_cost_their_room_until_the_participant_ends() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let fd = segment.try_clone_fd().expect("a descriptor");
    // SAFETY: the segment's other participant is another handle of this test, which uses it by this
    // crate alone.
    let trusted = unsafe { segment.trusting_peers() };
    let queue = InPlaceQueue::<u64>::create(&trusted, "queue", 2).expect("room");
    drop(trusted);
    queue.as_queue().put(1).expect("room");
    core::mem::forget(queue.loan().expect("room"));
    core::mem::forget(queue.get().expect("an item"));
    assert_eq!(queue.try_loan().map(drop), Err(SendError::Full(())));
    let other = Segment::from_fd(fd).expect("a segment");
    // SAFETY: the other participant is a handle of this test.
    let other = unsafe { other.trusting_peers() };
    let theirs = InPlaceQueue::<u64>::open(&other, "queue").expect("it is there");
    let soon = Duration::from_millis(1);
    assert_eq!(theirs.loan_timeout(soon).map(drop), Err(SendError::TimedOut(())), "it lives");
    // The last handle of the participant.
    drop(queue);
    let lease = theirs.get_timeout(FOR_EVER).expect("the item of the participant that left");
    assert_eq!(*lease, 1);
    lease.ack();
    drop([0, 1].map(|_| theirs.loan_timeout(FOR_EVER)));
}

/// A closed queue is over only when the last loan has ended.
#[test]
fn a_loan_holds_up_the_end_of_a_closed_queue() {
    let segment = segment(4096);
    let queue = InPlaceQueue::<u64>::create(&segment, "queue", 2).expect("room");
    let [mut sent, dropped] = [0, 1].map(|_| queue.loan().expect("room"));
    queue.as_queue().shutdown();
    assert_eq!(queue.try_loan().map(drop), Err(SendError::Closed(())));
    assert_eq!(queue.try_get().map(drop), Err(RecvError::Empty));
    *sent = 5;
    sent.put().expect("it was there before the end");
    assert_eq!(queue.get().map(|lease| (*lease, lease.ack()).0), Ok(5));
    assert_eq!(queue.try_get().map(drop), Err(RecvError::Empty));
    let mut waits =
        fork(|| i32::from(queue.get_timeout(FOR_EVER).map(drop) != Err(RecvError::Closed)));
    std::thread::sleep(Duration::from_millis(2));
    drop(dropped);
    assert_eq!(waits.join(), 0, "it is told of the end");
    assert_eq!(queue.get().map(drop), Err(RecvError::Closed));
}
