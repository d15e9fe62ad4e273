//! The queue of messages of different lengths.

use std::time::Duration;

use sync_ipc::{ByteQueue, Error, RecvError, Segment, SendError};

use crate::processes::{FOR_EVER, fork};

fn queue(capacity: usize, max_len: usize) -> ByteQueue {
    let segment = Segment::anonymous(1 << 20).expect("a segment");
    ByteQueue::create(&segment, "queue", capacity, max_len).expect("room")
}

#[test]
fn messages_of_all_lengths_arrive_as_they_were_sent() {
    let queue = queue(3, 1000);
    let mut message = Vec::new();
    for len in (0..=1000).rev() {
        let sent: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        queue.put(&sent).expect("room");
        queue.get_into(&mut message).expect("a message");
        assert_eq!(message, sent);
    }
}

#[test]
fn a_message_that_is_too_long_is_refused() {
    let queue = queue(2, 10);
    assert_eq!((queue.max_len(), queue.capacity()), (16, 2));
    assert_eq!(queue.put(&[1; 17]), Err(SendError::TooLong(())));
    assert_eq!(queue.try_put(&[1; 17]), Err(SendError::TooLong(())));
    assert!(queue.is_empty());
    queue.try_put(&[1; 16]).expect("room");
    queue.try_put(&[]).expect("room");
    assert_eq!(queue.try_put(&[]), Err(SendError::Full(())));
    assert_eq!(queue.put_timeout(&[], Duration::from_millis(1)), Err(SendError::TimedOut(())));
    assert_eq!((queue.get().expect("one"), queue.try_get().expect("two")), (vec![1; 16], vec![]));
    assert_eq!(queue.try_get(), Err(RecvError::Empty));
    assert_eq!(queue.get_timeout(Duration::from_millis(1)), Err(RecvError::TimedOut));
    queue.shutdown();
    assert!(queue.is_shutdown());
    assert_eq!(queue.get(), Err(RecvError::Closed));
    assert_eq!(queue.put(&[]), Err(SendError::Closed(())));
}

#[test]
fn it_is_opened_with_the_length_that_it_was_created_with() {
    let segment = Segment::anonymous(1 << 20).expect("a segment");
    for (name, capacity, max_len) in [("a", 1, 0), ("b", 7, 3), ("c", 64, 4096)] {
        ByteQueue::create(&segment, name, capacity, max_len).expect("room");
        let opened = ByteQueue::open(&segment, name).expect("it is there");
        assert_eq!(opened.capacity(), capacity);
        assert_eq!(opened.max_len(), max_len.next_multiple_of(8));
    }
    assert!(matches!(ByteQueue::create(&segment, "d", 0, 1), Err(Error::BadSize)));
    assert!(matches!(ByteQueue::create(&segment, "d", 1, usize::MAX), Err(Error::BadSize)));
    assert!(matches!(sync_ipc::Queue::<u64>::open(&segment, "a"), Err(Error::WrongType)));
}

#[test]
fn lengths_at_the_ends_are_messages_or_errors() {
    let segment = Segment::anonymous(1 << 20).expect("a segment");
    // No room in the segment, whatever the product of the numbers is.
    for (capacity, max_len) in [
        (1, u32::MAX as usize),
        (16_384, u32::MAX as usize),
        (1, 1 << 20),
        (1, isize::MAX as usize),
        (2, usize::MAX / 2 - 8),
        (1, usize::MAX - 15),
        (16_384, usize::MAX / 16_384),
    ] {
        let made = ByteQueue::create(&segment, "large", capacity, max_len).map(drop);
        assert!(matches!(made, Err(Error::Full | Error::BadSize)), "{made:?}");
    }
    for capacity in [0, 16_385, usize::MAX] {
        let made = ByteQueue::create(&segment, "none", capacity, 1).map(drop);
        assert!(matches!(made, Err(Error::BadSize)), "{made:?}");
    }
    // Messages without bytes only.
    let empty = ByteQueue::create(&segment, "empty", 2, 0).expect("room");
    assert_eq!(empty.max_len(), 0);
    empty.try_put(&[]).expect("room");
    assert_eq!(empty.try_put(&[1]), Err(SendError::TooLong(())));
    assert_eq!(empty.try_get().expect("one"), []);
    // The longest, and one more, in a queue that fills its segment.
    let full = Segment::anonymous(4096).expect("a segment");
    let most = full.size() - 320 - 3 * (24 + 8);
    let most = most / 3 / 8 * 8;
    let queue = ByteQueue::create(&full, "full", 3, most).expect("just so");
    let longest = vec![5; most];
    for _ in 0..3 {
        queue.try_put(&longest).expect("room");
    }
    assert_eq!(queue.try_put(&[]), Err(SendError::Full(())));
    let too_long = vec![5; most + 1];
    assert_eq!(queue.try_put(&too_long), Err(SendError::TooLong(())));
    for _ in 0..3 {
        assert_eq!(queue.try_get().expect("sent"), longest);
    }
}

#[test]
fn a_vector_that_is_received_into_is_unchanged_by_an_error() {
    let queue = queue(1, 64);
    let mut message = vec![1, 2, 3];
    queue.shutdown();
    assert_eq!(queue.get_into(&mut message), Err(RecvError::Closed));
    assert_eq!(message, [1, 2, 3]);
}

#[test]
fn what_a_killed_sender_sent_arrives_and_the_rest_leaves_nothing() {
    let queue = queue(2, 64);
    let mut sender = fork(|| {
        queue.put(b"sent").expect("room");
        std::thread::sleep(FOR_EVER);
        0
    });
    assert_eq!(queue.get_timeout(FOR_EVER).expect("sent"), b"sent");
    sender.kill();
    for round in 0..10_u8 {
        queue.put(&[round]).expect("room");
        queue.put(&[round, round]).expect("room");
        assert_eq!(queue.get().expect("one"), [round]);
        assert_eq!(queue.get().expect("two"), [round, round]);
    }
}

#[test]
fn a_length_that_a_peer_wrote_is_an_error() {
    use std::os::fd::AsFd;

    let queue = queue(1, 64);
    let before = bytes(&queue);
    queue.put(&[7; 50]).expect("room");
    let after = bytes(&queue);
    // The place of the length: the word that became 50.
    let word =
        |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let at = (0..before.len())
        .step_by(8)
        .find(|at| word(&before, *at) == 0 && word(&after, *at) == 50)
        .expect("it is somewhere");
    let lie = u64::MAX.to_ne_bytes();
    rustix::io::pwrite(queue.segment().as_fd(), &lie, at as u64).expect("it can be written");
    assert_eq!(queue.get(), Err(RecvError::Corrupted));
    assert_eq!(queue.try_get(), Err(RecvError::Empty), "the message is gone");
    queue.put(&[1]).expect("room");
    assert_eq!(queue.get().expect("one"), [1]);
}

fn bytes(queue: &ByteQueue) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 17];
    let read = rustix::io::pread(queue.segment(), &mut bytes, 0).expect("it can be read");
    bytes.truncate(read / 8 * 8);
    bytes
}
