//! The frames of a pipe next to a plain list of messages, however the bytes arrive.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proptest::prelude::*;
use sync_ipc::{Connection, ConnectionError, pipe};

fn frame(message: &[u8], long: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    if long {
        frame.extend((-1_i32).to_be_bytes());
        frame.extend((message.len() as u64).to_be_bytes());
    } else {
        frame.extend((message.len() as i32).to_be_bytes());
    }
    frame.extend(message);
    frame
}

fn messages() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..12)
}

proptest! {
    #[test]
    fn messages_arrive_one_by_one_however_they_are_cut(
        messages in messages(),
        cuts in prop::collection::vec(1_usize..200, 1..40),
        lost in 0_usize..20,
    ) {
        let (mut raw, theirs) = UnixStream::pair().expect("descriptors");
        let theirs = Connection::from_fd(theirs.into()).expect("a socket");
        let mut bytes: Vec<u8> =
            messages.iter().flat_map(|(message, long)| frame(message, *long)).collect();
        bytes.truncate(bytes.len().saturating_sub(lost));
        let mut received = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().cycle() {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            raw.write_all(now).expect("sent");
            // In the middle of a message, what is there is kept.
            match theirs.recv_bytes_timeout(1000, Duration::ZERO) {
                Ok(message) => received.push(message),
                Err(ConnectionError::TimedOut) => {}
                Err(other) => prop_assert!(false, "{}", other),
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        drop(raw);
        let end = loop {
            match theirs.recv_bytes(1000) {
                Ok(message) => received.push(message),
                Err(error) => break error,
            }
        };
        let mut whole = 0;
        let complete = messages.iter().take_while(|(message, long)| {
            let next = whole + frame(message, *long).len();
            if next <= bytes.len() {
                whole = next;
            }
            next == whole
        });
        let complete: Vec<Vec<u8>> = complete.map(|(message, _)| message.clone()).collect();
        prop_assert_eq!(received, complete);
        let expected_end = if whole == bytes.len() {
            matches!(end, ConnectionError::Closed)
        } else {
            matches!(end, ConnectionError::Interrupted)
        };
        prop_assert!(expected_end, "{}", end);
    }

    #[test]
    fn what_is_sent_is_received(messages in messages()) {
        let (ours, theirs) = pipe().expect("descriptors");
        for (message, _) in &messages {
            ours.send_bytes(message).expect("a few kilobytes fit");
        }
        for (message, _) in &messages {
            prop_assert_eq!(&theirs.recv_bytes(1000).expect("sent"), message);
        }
        prop_assert!(!theirs.poll(Duration::ZERO).expect("readable"));
    }
}
