//! Frames of a [`Connection`]: their bytes on the way out and in.

use core::mem::MaybeUninit;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::poll::poll_until;
use super::state::Incoming;
#[cfg(feature = "tls")]
use super::tls::Arrived;
use super::{Connection, Result};
use crate::error::{ConnectionError, MAX_FDS};

impl Connection {
    pub(super) fn send_frame(
        &self,
        message: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<()> {
        let outgoing = self.outgoing.as_ref().ok_or(ConnectionError::NotWritable)?;
        let mut rest = outgoing.lock(deadline)?;
        self.flush(&mut rest, deadline)?;
        let mut frame = Vec::with_capacity(12 + message.len());
        match i32::try_from(message.len()) {
            Ok(length) => frame.extend_from_slice(&length.to_be_bytes()),
            Err(_) => {
                frame.extend_from_slice(&(-1_i32).to_be_bytes());
                frame.extend_from_slice(&(message.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(message);
        let mut sent = 0;
        while sent < frame.len() {
            match self.send_some(&frame[sent..], descriptors, deadline) {
                Ok(some) => {
                    sent += some;
                    // They went with the first byte.
                    descriptors = &[];
                }
                Err(error) if sent == 0 => return Err(error),
                Err(error) => {
                    *rest = frame.split_off(sent);
                    return Err(in_part(error));
                }
            }
        }
        self.send_records(deadline).map_err(in_part)
    }

    /// Waits until the socket has all that TLS has made of the bytes before.
    fn send_records(&self, deadline: Option<Instant>) -> Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls() {
            while !tls.flush()? {
                self.ready(PollFlags::OUT, deadline)?;
            }
        }
        let _ = deadline;
        Ok(())
    }

    /// Sends the rest.
    fn flush(&self, rest: &mut Vec<u8>, deadline: Option<Instant>) -> Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == rest.len() {
                break Ok(());
            }
            match self.send_some(&rest[sent..], &[], deadline) {
                Ok(some) => sent += some,
                Err(error) => break Err(error),
            }
        };
        rest.drain(..sent);
        outcome
    }

    fn send_some(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls() {
            if !descriptors.is_empty() {
                return Err(ConnectionError::Io(std::io::ErrorKind::Unsupported.into()));
            }
            loop {
                match tls.send(bytes)? {
                    0 => self.ready(PollFlags::OUT, deadline)?,
                    some => return Ok(some),
                }
            }
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty()
                && !control.push(SendAncillaryMessage::ScmRights(descriptors))
            {
                return Err(ConnectionError::TooManyDescriptors);
            }
            match sendmsg(
                &self.socket,
                &[IoSlice::new(bytes)],
                &mut control,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::OUT, deadline)?,
                Err(error) => return Err(ConnectionError::of_socket(error)),
            }
        }
    }

    /// Receives a message of at most `max` bytes and at most `wanted` descriptors.
    pub(super) fn recv_frame(
        &self,
        max: usize,
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
        let incoming = self.incoming.as_ref().ok_or(ConnectionError::NotReadable)?;
        let incoming = &mut *incoming.lock(deadline)?;
        if incoming.ended {
            return Err(ConnectionError::Closed);
        }
        self.fill(incoming, 4, wanted, deadline)?;
        let short = i32::from_be_bytes([
            incoming.bytes[0],
            incoming.bytes[1],
            incoming.bytes[2],
            incoming.bytes[3],
        ]);
        let (header, length) = if short == -1 {
            self.fill(incoming, 12, wanted, deadline)?;
            let mut long = [0; 8];
            long.copy_from_slice(&incoming.bytes[4..12]);
            (12, u64::from_be_bytes(long))
        } else {
            // Another negative length is nonsense; as unsigned it is longer than any maximum.
            (4, u64::try_from(short).unwrap_or(u64::MAX))
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= max) else {
            *incoming = Incoming { ended: true, ..Incoming::default() };
            return Err(ConnectionError::TooLong { length });
        };
        self.fill(incoming, header + length, wanted, deadline)?;
        let Incoming { mut bytes, descriptors, lost, .. } = core::mem::take(incoming);
        if wanted > 0 && lost {
            return Err(ConnectionError::MissingDescriptors);
        }
        bytes.drain(..header);
        Ok((bytes, descriptors))
    }

    /// Receives until there are `want` bytes, and never more.
    fn fill(
        &self,
        incoming: &mut Incoming,
        want: usize,
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Result<()> {
        let mut have = incoming.bytes.len();
        let result = self.fill_from(&mut have, incoming, want, wanted, deadline);
        incoming.bytes.truncate(have);
        result
    }

    /// As [`fill`](Self::fill), where the first `filled` bytes are received, and the bytes behind
    /// them are room. The room is made once for as many bytes as there are, and not for each piece
    /// that arrives: a long message in short pieces would take the square of its length.
    fn fill_from(
        &self,
        filled: &mut usize,
        incoming: &mut Incoming,
        want: usize,
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Result<()> {
        /// The memory that is allocated in advance for a length that a peer claims.
        const STEP: usize = 1 << 16;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        #[cfg(feature = "manager")]
        let mut asking = self.eager.as_ref().map(|eager| eager.begin());
        while *filled < want {
            let have = *filled;
            if have == incoming.bytes.len() {
                incoming.bytes.resize(have + STEP.max(have).min(want - have), 0);
            }
            #[cfg(feature = "tls")]
            if let Some(tls) = self.tls() {
                let received = tls.receive(&mut incoming.bytes[have..]);
                match received? {
                    Arrived::Bytes(count) => *filled += count,
                    Arrived::End if have == 0 => return Err(ConnectionError::Closed),
                    Arrived::End => return Err(ConnectionError::Interrupted),
                    Arrived::Nothing => self.ready(PollFlags::IN, deadline)?,
                }
                continue;
            }
            // With the first byte only. The kernel closes descriptors for which there is no space.
            let wanted = if have == 0 { wanted.min(MAX_FDS) } else { 0 };
            let room = if wanted == 0 { 0 } else { rustix::cmsg_space!(ScmRights(wanted)) };
            let mut control = RecvAncillaryBuffer::new(&mut space[..room]);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let mut parts = [IoSliceMut::new(&mut incoming.bytes[have..])];
            let received = recvmsg(&self.socket, &mut parts, &mut control, flags);
            *filled += received.as_ref().map_or(0, |received| received.bytes);
            match received {
                Ok(received) => {
                    #[cfg(feature = "manager")]
                    if let Some(asking) = &asking {
                        asking.helped();
                    }
                    incoming.lost |= received.flags.contains(ReturnFlags::CTRUNC);
                    for message in control.drain() {
                        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                            for descriptor in descriptors {
                                if incoming.descriptors.len() < wanted {
                                    incoming.descriptors.push(descriptor);
                                } else {
                                    incoming.lost = true;
                                }
                            }
                        }
                    }
                    if incoming.lost {
                        incoming.descriptors.clear();
                    }
                    match (received.bytes, have) {
                        (0, 0) => return Err(ConnectionError::Closed),
                        (0, _) => return Err(ConnectionError::Interrupted),
                        _ => {}
                    }
                }
                Err(Errno::INTR) => {}
                #[cfg(feature = "manager")]
                Err(Errno::AGAIN) if asking.as_mut().is_some_and(|asking| asking.turn()) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::IN, deadline)?,
                // The other end died with bytes of ours unread: this counts as its end too.
                Err(Errno::CONNRESET) if have > 0 => return Err(ConnectionError::Interrupted),
                Err(error) => return Err(ConnectionError::of_socket(error)),
            }
        }
        Ok(())
    }

    fn ready(&self, what: PollFlags, deadline: Option<Instant>) -> Result<()> {
        match poll_until(&mut [PollFd::new(&self.socket, what)], deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ConnectionError::TimedOut),
            Err(error) => Err(ConnectionError::of_socket(error)),
        }
    }
}

/// The error of a message that was sent in part.
fn in_part(error: ConnectionError) -> ConnectionError {
    match error {
        ConnectionError::TimedOut => ConnectionError::SentInPart,
        other => other,
    }
}
