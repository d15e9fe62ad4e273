//! Several calls on their way at once.

use core::fmt;
use core::marker::PhantomData;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ManagerError, Result};
use super::link::{Channel, Core, Link, Takes, decode, request};
use super::proxy::containers::{Counter, Deque, Dict, List, maybe, signed};
use super::proxy::special::SharedProxy;
use super::proxy::waits::Queue;
use super::shared::Shared;
use super::wire::{Call, Reply};

/// The most requests without an answer, and their most bytes: the server stops reading when its
/// answers are not read, so requests must fit into the connection.
const WINDOW: usize = 64;
const WINDOW_BYTES: usize = 1 << 15;

/// Calls that are sent without waiting for the answers of those before. They run one after another,
/// in the order in which they were added. From [`ManagerClient::pipeline`].
///
/// [`ManagerClient::pipeline`]: super::ManagerClient::pipeline
///
/// ```
/// use sync_ipc::manager::Manager;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # sync_ipc::init();
/// let manager = Manager::start()?;
/// let squares = manager.dict::<u64, u64>()?;
/// let mut pipeline = manager.pipeline()?;
/// for n in 0..1000 {
///     pipeline.insert(&squares, &n, &(n * n))?;
/// }
/// let twelve = pipeline.get(&squares, &12)?;
/// assert_eq!(pipeline.finish()?.take(twelve)?, Some(144));
/// # Ok(())
/// # }
/// ```
pub struct Pipeline {
    link: Arc<Link>,
    /// `None` after an error.
    channel: Option<Channel>,
    replies: Vec<Option<Reply>>,
    /// The lengths of the requests without an answer.
    pending: VecDeque<usize>,
    pending_bytes: usize,
}

/// The result of a call in a [`Pipeline`], to be taken from its [`Answers`].
pub struct Later<T> {
    at: usize,
    read: fn(&Arc<Link>, &Reply) -> Result<T>,
    result: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Later").field(&self.at).finish()
    }
}

/// The answers of a [`Pipeline`].
#[derive(Debug)]
pub struct Answers {
    link: Arc<Link>,
    replies: Vec<Option<Reply>>,
}

impl Answers {
    /// The result of a call.
    ///
    /// # Errors
    ///
    /// [`ManagerError`], of this call.
    pub fn take<T>(&mut self, later: Later<T>) -> Result<T> {
        let reply = self.replies.get_mut(later.at).and_then(Option::take);
        match reply.ok_or_else(|| ManagerError::BadValue("of another pipeline".into()))? {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => (later.read)(&self.link, &reply),
        }
    }
}

impl Pipeline {
    pub(super) fn new(link: &Arc<Link>) -> Result<Self> {
        Ok(Self {
            link: Arc::clone(link),
            channel: Some(link.take_channel()?),
            replies: Vec::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
        })
    }

    fn fail<T>(&mut self, error: ManagerError) -> Result<T> {
        if let Some(channel) = self.channel.take() {
            self.link.give_up(channel);
        }
        Err(error)
    }

    fn receive(&mut self) -> Result<()> {
        let Some(channel) = &self.channel else { return Err(ManagerError::Gone) };
        match channel.receive(Takes::Unknown) {
            Ok(reply) => {
                self.replies.push(Some(reply));
                self.pending_bytes -= self.pending.pop_front().unwrap_or(0);
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    fn add<T>(
        &mut self,
        core: &Core,
        call: Call,
        read: fn(&Arc<Link>, &Reply) -> Result<T>,
    ) -> Result<Later<T>> {
        if !Arc::ptr_eq(&core.link, &self.link) {
            return Err(ManagerError::BadValue("a proxy of another manager".into()));
        }
        let request = request(core.id, call)?;
        let length = request.len();
        // A request that does not fit goes alone: the server may be waiting for this thread to take
        // an answer, and not read.
        let is_full = |this: &Self| {
            this.pending.len() >= WINDOW || this.pending_bytes + length > WINDOW_BYTES
        };
        while !self.pending.is_empty() && is_full(self) {
            self.receive()?;
        }
        let Some(channel) = &self.channel else { return Err(ManagerError::Gone) };
        if let Err(error) = channel.send_request(&request) {
            return self.fail(error);
        }
        let at = self.replies.len() + self.pending.len();
        self.pending.push_back(length);
        self.pending_bytes += length;
        Ok(Later { at, read, result: PhantomData })
    }

    /// Adds a [`Dict::insert`].
    ///
    /// # Errors
    ///
    /// [`ManagerError`], of the connection; the errors of the call itself are in the answers. Also
    /// for the other methods.
    pub fn insert<K, V>(&mut self, dict: &Dict<K, V>, k: &K, v: &V) -> Result<Later<Option<V>>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.add(&dict.core, dict.call_insert(k, v)?, maybe)
    }

    /// Adds a [`Dict::get`].
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn get<K, V>(&mut self, dict: &Dict<K, V>, k: &K) -> Result<Later<Option<V>>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.add(&dict.core, dict.call_get(k)?, maybe)
    }

    /// Adds a [`Counter::add`].
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn count<K>(&mut self, counter: &Counter<K>, k: &K, by: i64) -> Result<Later<i64>>
    where
        K: Serialize + DeserializeOwned,
    {
        self.add(&counter.core, counter.call_add(k, by)?, |_, reply| signed(reply))
    }

    /// Adds a [`List::push`].
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn push<T: Serialize + DeserializeOwned>(
        &mut self,
        list: &List<T>,
        value: &T,
    ) -> Result<Later<()>> {
        self.add(&list.core, list.call_push(value)?, |_, reply| super::proxy::done(reply))
    }

    /// Adds a [`Deque::push`].
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn push_back<T: Serialize + DeserializeOwned>(
        &mut self,
        deque: &Deque<T>,
        value: &T,
    ) -> Result<Later<()>> {
        self.add(&deque.core, deque.call_push(value)?, |_, reply| super::proxy::done(reply))
    }

    /// Adds a [`Queue::try_put`].
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn try_put<T: Serialize + DeserializeOwned>(
        &mut self,
        queue: &Queue<T>,
        item: &T,
    ) -> Result<Later<bool>> {
        self.add(&queue.core, queue.call_put(item)?, |_, reply| super::proxy::flag(reply))
    }

    /// Adds a call of a method of the program's own type.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn call<T: Shared, A: Serialize + ?Sized, R: DeserializeOwned>(
        &mut self,
        proxy: &SharedProxy<T>,
        method: &str,
        arguments: &A,
    ) -> Result<Later<R>> {
        let call = SharedProxy::<T>::request(method, arguments)?;
        self.add(&proxy.core, call, |link, reply| match reply {
            Reply::Outcome(result) => decode(link, result),
            _ => Err(ManagerError::BadValue("the answer is of another kind".into())),
        })
    }

    /// Waits for all answers.
    ///
    /// # Errors
    ///
    /// [`ManagerError`], of the connection: it is not known which of the calls were run.
    pub fn finish(mut self) -> Result<Answers> {
        while !self.pending.is_empty() {
            self.receive()?;
        }
        if let Some(channel) = self.channel.take() {
            self.link.return_channel(channel);
        }
        Ok(Answers { link: Arc::clone(&self.link), replies: core::mem::take(&mut self.replies) })
    }
}

impl Drop for Pipeline {
    /// Waits for the answers, and gives them up.
    fn drop(&mut self) {
        while !self.pending.is_empty() && self.channel.is_some() {
            // An error gives up the connection.
            let _ = self.receive();
        }
        if let Some(channel) = self.channel.take() {
            self.link.return_channel(channel);
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}
