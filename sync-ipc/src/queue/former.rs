//! The former names of the methods of the queues, which forward. Kept until 0.2.

use core::time::Duration;
use std::time::Instant;

use super::bytes::ByteQueue;
use super::in_place::{InPlaceLease, InPlaceQueue, Loan};
use super::{Lease, Queue};
use crate::error::{RecvError, SendError};
use crate::plain::Plain;

impl<T: Plain> Queue<T> {
    /// The former name of [`put`](Self::put), kept until 0.2.
    #[doc(hidden)]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.put(item)
    }

    /// The former name of [`put_timeout`](Self::put_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.put_timeout(item, timeout)
    }

    /// The former name of [`put_deadline`](Self::put_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.put_deadline(item, deadline)
    }

    /// The former name of [`try_put`](Self::try_put), kept until 0.2.
    #[doc(hidden)]
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.try_put(item)
    }

    /// The former name of [`put_ref`](Self::put_ref), kept until 0.2.
    #[doc(hidden)]
    pub fn send_ref(&self, item: &T) -> Result<(), SendError<()>> {
        self.put_ref(item)
    }

    /// The former name of [`get`](Self::get), kept until 0.2.
    #[doc(hidden)]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.get()
    }

    /// The former name of [`get_timeout`](Self::get_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.get_timeout(timeout)
    }

    /// The former name of [`get_deadline`](Self::get_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvError> {
        self.get_deadline(deadline)
    }

    /// The former name of [`try_get`](Self::try_get), kept until 0.2.
    #[doc(hidden)]
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.try_get()
    }

    /// The former name of [`get_into`](Self::get_into), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_into(&self, item: &mut T) -> Result<(), RecvError> {
        self.get_into(item)
    }

    /// The former name of [`get_lease`](Self::get_lease), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        self.get_lease()
    }

    /// The former name of [`get_lease_timeout`](Self::get_lease_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_lease_timeout(&self, timeout: Duration) -> Result<Lease<'_, T>, RecvError> {
        self.get_lease_timeout(timeout)
    }

    /// The former name of [`try_get_lease`](Self::try_get_lease), kept until 0.2.
    #[doc(hidden)]
    pub fn try_recv_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        self.try_get_lease()
    }
}

impl<T> Queue<T> {
    /// The former name of [`shutdown`](Self::shutdown), kept until 0.2.
    #[doc(hidden)]
    pub fn close(&self) {
        self.shutdown()
    }

    /// The former name of [`is_shutdown`](Self::is_shutdown), kept until 0.2.
    #[doc(hidden)]
    pub fn is_closed(&self) -> bool {
        self.is_shutdown()
    }
}

impl ByteQueue {
    /// The former name of [`put`](Self::put), kept until 0.2.
    #[doc(hidden)]
    pub fn send(&self, message: &[u8]) -> Result<(), SendError<()>> {
        self.put(message)
    }

    /// The former name of [`try_put`](Self::try_put), kept until 0.2.
    #[doc(hidden)]
    pub fn try_send(&self, message: &[u8]) -> Result<(), SendError<()>> {
        self.try_put(message)
    }

    /// The former name of [`put_timeout`](Self::put_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), SendError<()>> {
        self.put_timeout(message, timeout)
    }

    /// The former name of [`put_deadline`](Self::put_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn send_deadline(&self, message: &[u8], deadline: Instant) -> Result<(), SendError<()>> {
        self.put_deadline(message, deadline)
    }

    /// The former name of [`get`](Self::get), kept until 0.2.
    #[doc(hidden)]
    pub fn recv(&self) -> Result<Vec<u8>, RecvError> {
        self.get()
    }

    /// The former name of [`try_get`](Self::try_get), kept until 0.2.
    #[doc(hidden)]
    pub fn try_recv(&self) -> Result<Vec<u8>, RecvError> {
        self.try_get()
    }

    /// The former name of [`get_timeout`](Self::get_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Vec<u8>, RecvError> {
        self.get_timeout(timeout)
    }

    /// The former name of [`get_deadline`](Self::get_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Vec<u8>, RecvError> {
        self.get_deadline(deadline)
    }

    /// The former name of [`get_async`](Self::get_async), kept until 0.2.
    #[doc(hidden)]
    pub async fn recv_async(&self) -> Result<Vec<u8>, RecvError> {
        self.get_async().await
    }

    /// The former name of [`get_into`](Self::get_into), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_into(&self, message: &mut Vec<u8>) -> Result<(), RecvError> {
        self.get_into(message)
    }

    /// The former name of [`shutdown`](Self::shutdown), kept until 0.2.
    #[doc(hidden)]
    pub fn close(&self) {
        self.shutdown();
    }

    /// The former name of [`is_shutdown`](Self::is_shutdown), kept until 0.2.
    #[doc(hidden)]
    pub fn is_closed(&self) -> bool {
        self.is_shutdown()
    }
}

impl<T: Plain> InPlaceQueue<T> {
    /// The former name of [`get`](Self::get), kept until 0.2.
    #[doc(hidden)]
    pub fn recv(&self) -> Result<InPlaceLease<'_, T>, RecvError> {
        self.get()
    }

    /// The former name of [`try_get`](Self::try_get), kept until 0.2.
    #[doc(hidden)]
    pub fn try_recv(&self) -> Result<InPlaceLease<'_, T>, RecvError> {
        self.try_get()
    }

    /// The former name of [`get_timeout`](Self::get_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<InPlaceLease<'_, T>, RecvError> {
        self.get_timeout(timeout)
    }

    /// The former name of [`get_deadline`](Self::get_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<InPlaceLease<'_, T>, RecvError> {
        self.get_deadline(deadline)
    }
}

impl<T: Plain> Loan<'_, T> {
    /// The former name of [`put`](Self::put), kept until 0.2.
    #[doc(hidden)]
    pub fn send(self) -> Result<(), SendError<()>> {
        self.put()
    }
}
