use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use sync_ipc::{
    Connection, ConnectionError, Listener, MAX_FDS, Mutex, Segment, one_way_pipe, pipe, wait,
};

use crate::processes::{FOR_EVER, Stepped, alone, fork};

#[test]
fn duplex_echo() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let mut child = fork(|| {
            while let Ok(message) = theirs.recv_bytes(1 << 30) {
                if message == b"end" {
                    return 0;
                }
                theirs.send_bytes(&message).expect("sent");
            }
            1
        });
        assert!(!ours.poll(Duration::ZERO).expect("readable"));
        let started = Instant::now();
        assert!(!ours.poll(Duration::from_millis(30)).expect("readable"));
        assert!(started.elapsed() >= Duration::from_millis(30));
        let value = (1_u8, "two".to_owned(), vec![3.0_f64, 4.0]);
        ours.send(&value).expect("sent");
        assert!(ours.poll(FOR_EVER).expect("readable"));
        assert_eq!(ours.recv::<(u8, String, Vec<f64>)>().expect("the same"), value);
        let large: Vec<u8> = (0..16 << 20).map(|at| at as u8).collect();
        ours.send_bytes(&large).expect("sent");
        assert!(ours.recv_bytes(large.len()).expect("the same") == large);
        let mut buffer = [0; 4];
        ours.send_bytes(b"abc").expect("sent");
        assert_eq!(ours.recv_bytes_into(&mut buffer).expect("fits"), 3);
        ours.send_bytes(b"abcdef").expect("sent");
        assert!(matches!(
            ours.recv_bytes_into(&mut buffer),
            Err(ConnectionError::BufferTooShort(message)) if message == b"abcdef"
        ));
        ours.send_bytes(b"end").expect("sent");
        assert_eq!(child.join(), 0);
        drop(theirs);
        assert!(ours.poll(Duration::ZERO).expect("readable"), "the end is something to receive");
        assert!(matches!(ours.recv::<u8>(), Err(ConnectionError::Closed)));
        assert!(matches!(ours.recv_bytes(1), Err(ConnectionError::Closed)));
    });
}

#[test]
fn one_way() {
    alone(|| {
        let (reader, writer) = one_way_pipe().expect("descriptors");
        assert!(
            reader.is_readable()
                && !reader.is_writable()
                && writer.is_writable()
                && !writer.is_readable()
        );
        writer.send(&1_u32).expect("sent");
        assert_eq!(reader.recv::<u32>().expect("sent"), 1);
        assert!(matches!(reader.send(&1_u32), Err(ConnectionError::NotWritable)));
        assert!(matches!(writer.recv::<u32>(), Err(ConnectionError::NotReadable)));
        assert!(matches!(writer.poll(Duration::ZERO), Err(ConnectionError::NotReadable)));
    });
}

#[test]
fn descriptors_travel() {
    let (ours, theirs) = pipe().expect("descriptors");
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "m", 1_u32).expect("room");
    let mut child = fork(|| {
        let segment = theirs.recv_segment().expect("a segment");
        Mutex::<u32>::open(&segment, "m").expect("it is there").lock().expect("free").set(2);
        0
    });
    ours.send_segment(&segment).expect("sent");
    assert_eq!(child.join(), 0);
    assert_eq!(mutex.lock().expect("free").get(), 2);
    ours.send_bytes(b"no descriptors").expect("sent");
    assert!(matches!(theirs.recv_fds(), Err(ConnectionError::MissingDescriptors)));
    ours.send_bytes(b"fds:\0\0\0\x01").expect("sent");
    assert!(matches!(theirs.recv_fds(), Err(ConnectionError::MissingDescriptors)));
}

#[test]
fn more_descriptors_than_others_survive() {
    // ipc-channel panics above 64 (#395).
    let (ours, theirs) = pipe().expect("descriptors");
    let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
    for count in [0, 1, 65, MAX_FDS] {
        ours.send_fds(&vec![null.as_fd(); count]).expect("sent");
        assert_eq!(theirs.recv_fds().expect("received").len(), count);
    }
    assert!(matches!(
        ours.send_fds(&vec![null.as_fd(); MAX_FDS + 1]),
        Err(ConnectionError::TooManyDescriptors)
    ));
    ours.send(&7_u8).expect("nothing of the refused message was sent");
    assert_eq!(theirs.recv::<u8>().expect("received"), 7);
}

#[test]
fn descriptors_no_thread_asked_for_are_closed() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let (reader, writer) = one_way_pipe().expect("descriptors");
        ours.send_fds(&[writer.as_fd()]).expect("sent");
        drop(writer);
        assert!(theirs.recv_bytes(100).is_ok());
        assert!(
            matches!(reader.recv_bytes(1), Err(ConnectionError::Closed)),
            "its last writer is gone"
        );
    });
}

#[test]
fn listener() {
    alone(|| {
        let path = std::env::temp_dir().join(format!("sync-ipc-listener-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("a new path");
        assert_eq!(Listener::bind(&path).expect_err("taken").kind(), std::io::ErrorKind::AddrInUse);
        assert!(listener.accept_timeout(Duration::ZERO).expect("works").is_none());
        assert!(listener.accept_deadline(Instant::now()).expect("works").is_none());
        // Connects, writes and closes before we accept.
        let mut child =
            fork(|| Connection::connect(&path).expect("listens").send(&5_u8).is_err().into());
        assert_eq!(child.join(), 0);
        let accepted = listener.accept().expect("one came");
        assert!(accepted.poll(FOR_EVER).expect("readable"));
        assert_eq!(accepted.recv::<u8>().expect("sent"), 5);
        drop(listener);
        assert!(!path.exists());
        assert!(Connection::connect(&path).is_err());
    });
}

#[test]
fn messages_are_not_merged_and_poll_takes_nothing() {
    let (ours, theirs) = pipe().expect("descriptors");
    for message in [&b"hello"[..], b"", b"a", b"", b"world"] {
        ours.send_bytes(message).expect("sent");
    }
    for message in [&b"hello"[..], b"", b"a", b"", b"world"] {
        assert!(
            theirs.poll(Duration::ZERO).expect("readable")
                && theirs.poll(Duration::ZERO).expect("readable")
        );
        assert_eq!(theirs.recv_bytes(5).expect("sent"), message);
    }
    assert!(!theirs.poll(Duration::ZERO).expect("readable"));
}

#[test]
fn what_is_no_socket_is_refused() {
    assert!(
        Connection::from_fd(std::fs::File::open("/dev/null").expect("a device").into()).is_err()
    );
}

#[test]
fn wait_for_several() {
    alone(|| {
        let pipes = [(); 4].map(|()| one_way_pipe().expect("descriptors"));
        let readers = pipes.each_ref().map(|(reader, _)| reader.as_fd());
        let started = Instant::now();
        assert!(wait(&readers, Some(Duration::from_millis(30))).expect("open").is_empty());
        assert!(started.elapsed() >= Duration::from_millis(30));
        assert!(wait(&readers, Some(Duration::ZERO)).expect("open").is_empty());
        pipes[2].1.send(&1_u8).expect("sent");
        assert_eq!(wait(&readers, None).expect("open"), [2]);
        let [_, (reader, writer), ..] = pipes;
        drop(writer);
        assert_eq!(wait(&[reader.as_fd()], None).expect("open"), [0], "the end counts as ready");
    });
}

#[test]
fn the_other_side_is_gone() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        drop(theirs);
        // SIGPIPE would end this test.
        assert!(matches!(ours.send_bytes(b"x"), Err(ConnectionError::Closed)));
    });
}

#[test]
fn a_message_that_is_too_long_ends_the_receiving() {
    let (ours, theirs) = pipe().expect("descriptors");
    ours.send_bytes(&[0; 100]).expect("sent");
    assert!(matches!(theirs.recv_bytes(99), Err(ConnectionError::TooLong { length: 100 })));
    assert!(matches!(theirs.recv_bytes(1000), Err(ConnectionError::Closed)));
    theirs.send_bytes(b"still sends").expect("sent");
    assert_eq!(ours.recv_bytes(100).expect("sent"), b"still sends");
}

#[test]
fn half_a_message_is_not_an_end() {
    alone(|| {
        use std::io::Write;
        let (mut raw, theirs) = std::os::unix::net::UnixStream::pair().expect("descriptors");
        let theirs = Connection::from_fd(theirs.into()).expect("a socket");
        raw.write_all(&[0, 0, 0, 9, 1, 2]).expect("sent");
        assert!(matches!(
            theirs.recv_bytes_timeout(9, Duration::from_millis(10)),
            Err(ConnectionError::TimedOut)
        ));
        raw.write_all(&[3, 4, 5, 6, 7, 8, 9]).expect("sent");
        assert_eq!(theirs.recv_bytes(9).expect("the rest"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        // Lengths that lie cost no memory and no panic.
        raw.write_all(&[0x7f, 0xff, 0xff, 0xff, 1]).expect("sent");
        drop(raw);
        assert!(matches!(theirs.recv_bytes(usize::MAX), Err(ConnectionError::Interrupted)));
        for header in [
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x80, 0, 0, 0],
        ] {
            let (mut raw, theirs) = std::os::unix::net::UnixStream::pair().expect("descriptors");
            raw.write_all(header).expect("sent");
            let theirs = Connection::from_fd(theirs.into()).expect("a socket");
            assert!(matches!(theirs.recv_bytes(1 << 30), Err(ConnectionError::TooLong { .. })));
        }
    });
}

#[test]
fn what_is_no_value_is_an_error_and_the_next_message_arrives() {
    let (ours, theirs) = pipe().expect("descriptors");
    ours.send_bytes(b"\xff\xff\xff\xff\xff\xff").expect("sent");
    assert!(matches!(theirs.recv::<String>(), Err(ConnectionError::Format(_))));
    ours.send("text").expect("sent");
    assert_eq!(theirs.recv::<String>().expect("sent"), "text");
}

#[test]
fn a_peer_that_does_not_read_costs_time_and_nothing_is_lost() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let large = vec![7; 4 << 20];
        let short = Duration::from_millis(20);
        assert!(matches!(ours.send_bytes_timeout(&large, short), Err(ConnectionError::SentInPart)));
        // Of this message nothing is sent, and nothing is kept.
        assert!(matches!(ours.send_bytes_timeout(b"no", short), Err(ConnectionError::TimedOut)));
        let soon = || Instant::now() + short;
        assert!(matches!(ours.send_bytes_deadline(b"no", soon()), Err(ConnectionError::TimedOut)));
        assert!(matches!(ours.recv_bytes_deadline(9, soon()), Err(ConnectionError::TimedOut)));
        assert!(matches!(ours.recv_deadline::<u8>(soon()), Err(ConnectionError::TimedOut)));
        let mut child = fork(|| {
            let first = theirs.recv_bytes(8 << 20).expect("all of it").len();
            i32::from(first == 4 << 20 && theirs.recv_bytes(10).expect("the next") == b"next")
        });
        ours.send_bytes(b"next").expect("the rest and this");
        assert_eq!(child.join(), 1);
    });
}

#[test]
fn the_other_end_works_after_our_copy_of_it_is_closed() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let mut child = fork(|| i32::from(theirs.recv::<u16>().expect("sent") + 1));
        drop(theirs);
        ours.send(&41_u16).expect("the child has its own copy");
        assert_eq!(child.join(), 42);
    });
}

#[test]
fn slices_are_messages() {
    // Python's offset and size: a slice is checked where it is made.
    let (ours, theirs) = pipe().expect("descriptors");
    let bytes = b"0123456789";
    for range in [0..10, 3..7, 4..4, 10..10] {
        ours.send_bytes(&bytes[range.clone()]).expect("sent");
        assert_eq!(theirs.recv_bytes(10).expect("sent"), &bytes[range]);
    }
    assert_eq!(bytes.get(4..11), None);
}

#[test]
fn written_and_closed_before_any_thread_accepts() {
    alone(|| {
        let path = std::env::temp_dir().join(format!("sync-ipc-early-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("a new path");
        let client = Connection::connect(&path).expect("listens");
        client.send(&"hello".to_owned()).expect("room");
        drop(client);
        let served = listener.accept().expect("it waits");
        assert!(served.poll(FOR_EVER).expect("readable"));
        assert_eq!(served.recv::<String>().expect("sent"), "hello");
        assert!(matches!(served.recv::<String>(), Err(ConnectionError::Closed)));
    });
}

#[test]
fn polls_of_other_processes_take_nothing() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let sent: [&[u8]; 5] = [b"hello", b"", b"a", b"", b"last"];
        let mut child = fork(|| {
            sent.iter().for_each(|message| ours.send_bytes(message).expect("sent"));
            0
        });
        for message in sent {
            for _ in 0..3 {
                assert!(theirs.poll(FOR_EVER).expect("readable"));
            }
            // Another process's poll takes nothing either.
            assert_eq!(fork(|| theirs.poll(Duration::ZERO).expect("readable").into()).join(), 1);
            assert_eq!(theirs.recv_bytes(100).expect("sent"), message);
        }
        assert_eq!(child.join(), 0);
        assert!(!theirs.poll(Duration::ZERO).expect("readable"));
    });
}

#[test]
fn wait_for_several_by_time() {
    let pipes: Vec<_> = (0..3).map(|_| pipe().expect("descriptors")).collect();
    let sources: Vec<_> = pipes.iter().map(|(ours, _)| ours.as_fd()).collect();
    let started = Instant::now();
    assert!(wait(&sources, Some(Duration::from_millis(50))).expect("open").is_empty());
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert!(wait(&sources, Some(Duration::ZERO)).expect("open").is_empty());
    pipes[1].1.send(&1_u8).expect("sent");
    assert_eq!(wait(&sources, None).expect("open"), [1]);
}

#[test]
fn wait_for_connections_and_the_end_of_a_process() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let mut child = fork(|| {
            std::thread::sleep(Duration::from_millis(20));
            7
        });
        let pid = rustix::process::Pid::from_raw(child.pid()).expect("a pid");
        let sentinel = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .expect("it is ours");
        let sources = [ours.as_fd(), sentinel.as_fd()];
        assert_eq!(
            wait(&sources, Some(FOR_EVER)).expect("open"),
            [1],
            "the process ended, nothing was sent"
        );
        theirs.send(&1_u8).expect("sent");
        assert_eq!(wait(&sources, Some(FOR_EVER)).expect("open"), [0, 1]);
        assert_eq!(child.join(), 7);
    });
}

#[test]
fn threads_of_one_process_may_share_an_end() {
    // Python: data may be corrupted. Here an end has a lock for each direction, within its process.
    let (ours, theirs) = pipe().expect("descriptors");
    std::thread::scope(|scope| {
        for who in 0..4_u8 {
            let ours = &ours;
            scope.spawn(move || (0..200).for_each(|_| ours.send_bytes(&[who; 300]).expect("sent")));
        }
        let (theirs, counts) = (&theirs, std::sync::Mutex::new([0; 4]));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..400 {
                        let message = theirs.recv_bytes(300).expect("sent");
                        assert!(
                            message.len() == 300 && message.iter().all(|byte| *byte == message[0])
                        );
                        counts.lock().expect("no panic")[usize::from(message[0])] += 1;
                    }
                });
            }
        });
        assert_eq!(counts.into_inner().expect("no panic"), [200; 4]);
    });
}

/// Returns the result of `act`, run in a thread of its own, within a minute.
fn in_time<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(sender.send(act())));
    receiver.recv_timeout(FOR_EVER).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Lets threads that were started before reach their system call.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn a_timeout_holds_while_another_thread_is_in_the_same_call() {
    alone(|| {
        let short = Duration::from_millis(20);
        let (ours, theirs) = pipe().expect("descriptors");
        let ours = std::sync::Arc::new(ours);
        let (receiving, sending) = (ours.clone(), ours.clone());
        std::thread::spawn(move || receiving.recv_bytes(10));
        std::thread::spawn(move || sending.send_bytes(&vec![0; 10 << 20]));
        settle();
        let (receiving, sending) = (ours.clone(), ours.clone());
        let received =
            in_time("recv_bytes_timeout", move || receiving.recv_bytes_timeout(10, short));
        assert!(matches!(received, Err(ConnectionError::TimedOut)));
        let sent = in_time("send_bytes_timeout", move || sending.send_bytes_timeout(b"x", short));
        assert!(matches!(sent, Err(ConnectionError::TimedOut)));
        drop(theirs);
    });
}

#[test]
fn a_child_that_was_forked_while_a_thread_was_inside_uses_the_end() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let mut parent = fork(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| ours.recv_bytes(10));
                settle();
                core::mem::forget(fork(|| {
                    ours.send_bytes(b"from the child").expect("sent");
                    ours.send_bytes(&ours.recv_bytes(10).expect("sent")).expect("sent");
                    0
                }));
                // SAFETY: ends this process with its thread inside; its child stays.
                unsafe { libc::_exit(0) }
            })
        });
        assert_eq!(parent.join(), 0);
        assert_eq!(theirs.recv_bytes(100).expect("sent"), b"from the child");
        theirs.send_bytes(b"back").expect("sent");
        let echo = theirs.recv_bytes_timeout(100, Duration::from_secs(20));
        assert_eq!(echo.expect("the child is not stuck"), b"back");
    });
}

#[test]
fn accept_timeout_holds_while_others_accept() {
    alone(|| {
        let path = std::env::temp_dir().join(format!("sync-ipc-crowd-{}", std::process::id()));
        let listener = std::sync::Arc::new(Listener::bind(&path).expect("a new path"));
        for _ in 0..30 {
            let crowd: Vec<_> = (0..16)
                .map(|_| {
                    let listener = listener.clone();
                    let (sender, receiver) = std::sync::mpsc::channel();
                    std::thread::spawn(move || {
                        let accepted = listener.accept_timeout(Duration::from_millis(30));
                        sender.send(accepted.expect("works").is_some()).expect("awaited");
                    });
                    receiver
                })
                .collect();
            let client = Connection::connect(&path).expect("listens");
            let accepted = crowd.iter().map(|one| one.recv_timeout(FOR_EVER).expect("in time"));
            // None, if all were late to listen: then the next round's get it.
            assert!(accepted.filter(|accepted| *accepted).count() <= 2);
            drop(client);
        }
    });
}

/// A process that accepts is stopped at each of its system calls, and another one takes the
/// connection.
#[test]
fn accept_timeout_holds_wherever_another_process_is_faster() {
    alone(|| {
        let path = std::env::temp_dir().join(format!("sync-ipc-faster-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("a new path");
        for calls in 0.. {
            let client = Connection::connect(&path).expect("listens");
            let accepts = |(): &()| drop(listener.accept_timeout(Duration::from_millis(1)));
            let mut slow = Stepped::new(|| (), accepts);
            let inside = (0..calls).all(|_| slow.syscall());
            // Unless the other process had it already.
            drop(listener.accept_timeout(Duration::ZERO));
            slow.finish();
            drop(client);
            if !inside {
                assert!(calls > 3, "{calls} system calls");
                break;
            }
        }
    });
}

#[test]
fn a_forked_childs_copy_of_a_listener_leaves_the_path_alone() {
    alone(|| {
        let path = std::env::temp_dir().join(format!("sync-ipc-forked-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("a new path");
        let mut child = fork(|| {
            // SAFETY: the child's copy, which it does not use again.
            drop(unsafe { core::ptr::read(&listener) });
            0
        });
        assert_eq!(child.join(), 0);
        assert!(path.exists());
        let client = Connection::connect(&path).expect("its parent listens");
        assert!(listener.accept_timeout(FOR_EVER).expect("works").is_some());
        drop((client, listener));
        assert!(!path.exists());
    });
}

#[test]
fn a_listener_removes_no_other_listeners_path() {
    let path = std::env::temp_dir().join(format!("sync-ipc-replaced-{}", std::process::id()));
    let first = Listener::bind(&path).expect("a new path");
    std::fs::remove_file(&path).expect("it is there");
    let second = Listener::bind(&path).expect("a new path");
    drop(first);
    assert!(path.exists());
    drop(second);
}

/// Sends one byte with these descriptors.
fn send_with(socket: &OwnedFd, byte: u8, descriptors: &[std::os::fd::BorrowedFd<'_>]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [core::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    let bytes = [std::io::IoSlice::new(core::slice::from_ref(&byte))];
    sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL).expect("room");
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

#[test]
fn descriptors_with_every_byte_fill_no_table() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let hostile = OwnedFd::from(theirs);
        let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
        let before = open_descriptors();
        // A message of 20 bytes, with 30 descriptors at each byte, received as bytes: none of them
        // arrives.
        for byte in [&20_u32.to_be_bytes()[..], &[7; 19]].concat() {
            send_with(&hostile, byte, &[null.as_fd(); 30]);
        }
        let received = ours.recv_bytes_timeout(100, Duration::from_millis(1));
        assert!(matches!(received, Err(ConnectionError::TimedOut)));
        assert_eq!(open_descriptors(), before);
        send_with(&hostile, 7, &[null.as_fd(); 30]);
        assert_eq!(ours.recv_bytes(100).expect("whole"), [7; 20]);
        assert_eq!(open_descriptors(), before);
        // One is asked for, and more come: none is kept, and the next message arrives.
        for byte in [&8_u32.to_be_bytes()[..], b"fds:\0\0\0\x1e"].concat() {
            send_with(&hostile, byte, &[null.as_fd(); 30]);
        }
        assert!(matches!(ours.recv_segment(), Err(ConnectionError::MissingDescriptors)));
        assert_eq!(open_descriptors(), before);
        send_with(&hostile, 0, &[]);
        for byte in [0, 0, 1, 9] {
            rustix::io::write(&hostile, &[byte]).expect("room");
        }
        assert_eq!(ours.recv_bytes(100).expect("whole"), [9]);
    });
}

#[test]
fn descriptors_without_room_for_them_are_an_error_and_the_next_message_arrives() {
    alone(|| {
        let (ours, theirs) = pipe().expect("descriptors");
        let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
        theirs.send_fds(&[null.as_fd(); 20]).expect("sent");
        theirs.send_bytes(b"next").expect("sent");
        crate::surroundings::leave_descriptors(3);
        assert!(matches!(ours.recv_fds(), Err(ConnectionError::MissingDescriptors)));
        assert_eq!(ours.recv_bytes(10).expect("sent"), b"next");
        // The three are free again.
        assert!(std::fs::File::open("/dev/null").is_ok());
    });
}

#[test]
fn at_most_as_many_descriptors_arrive_as_were_asked_for() {
    let (ours, theirs) = pipe().expect("descriptors");
    let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
    for count in 0..5 {
        theirs.send_fds(&vec![null.as_fd(); count]).expect("sent");
        match ours.recv_fds_up_to(2) {
            Ok(descriptors) => assert_eq!((descriptors.len(), count <= 2), (count, true)),
            Err(ConnectionError::MissingDescriptors) => assert!(count > 2),
            Err(other) => panic!("{other}"),
        }
    }
}
