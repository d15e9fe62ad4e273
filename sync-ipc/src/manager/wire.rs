//! The messages between a client and the server of a manager.
//!
//! A frame of a [`Connection`](crate::Connection) is one value by postcard. The server knows no
//! type of its clients: a value is bytes, with the numbers of the objects whose proxies are in it.
//! A client names a method by a number of these enumerations, or, for a type of the program's own,
//! by a name that this type registered. No message names a type to be made by name, except one
//! that the server's program has put into its list of shared types.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::process::Bytes;

/// The version of these messages.
pub(super) const VERSION: u32 = 1;

/// Bytes of a client's token.
pub(super) const TOKEN: usize = 16;

/// The first message of a connection, after the authentication.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Join {
    pub(super) version: u32,
    /// Of the client whose connection this is; `None`: of a new client.
    pub(super) token: Option<[u8; TOKEN]>,
}

/// The answer to [`Join`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Joined {
    Welcome { server: u64, token: [u8; TOKEN] },
    Refused(Refusal),
}

/// One call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The calling thread, by a number of its process.
    pub(super) thread: u64,
    /// The object; 0 for a call of the server itself.
    pub(super) object: u64,
    pub(super) call: Call,
}

/// A value of a client, and the objects whose proxies are in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Data {
    pub(super) bytes: Bytes,
    pub(super) objects: Vec<u64>,
}

/// How long to wait; `None` without limit.
pub(super) type Limit = Option<Duration>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    Ping,
    Create {
        kind: Kind,
        tag: String,
        name: Option<String>,
    },
    /// Removes a name.
    Remove(String),
    /// One more proxy in this client.
    Retain,
    /// One proxy less. It has no answer.
    Release,
    /// Keeps the object for a while: a proxy of it is on its way to another process.
    Hold,
    Shutdown,
    Stats,
    Map(MapCall),
    Sequence(SequenceCall),
    Cell(CellCall),
    Lock(LockCall),
    Semaphore(SemaphoreCall),
    Event(EventCall),
    Condition(ConditionCall),
    Barrier(BarrierCall),
    Queue(QueueCall),
    /// A call of an entry point in a pool: its name and its arguments.
    Apply(String, Bytes, Limit),
    /// A method of a type of the program's own: its name and its arguments.
    Method(String, Bytes),
    /// The name of a block of shared memory.
    MemoryName,
}

/// The kind of an object, with what it is made of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    Map,
    Sequence {
        most: Option<u64>,
        fixed: bool,
        items: Vec<Data>,
    },
    Cell(Data),
    Lock {
        reentrant: bool,
    },
    Semaphore {
        permits: u64,
        most: Option<u64>,
    },
    Event,
    Condition,
    Barrier {
        parties: u64,
    },
    Queue {
        capacity: Option<u64>,
    },
    Pool {
        workers: u64,
    },
    /// A type of the program's own: its registered name, and the arguments of its constructor.
    User {
        name: String,
        arguments: Bytes,
    },
    Memory {
        size: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum MapCall {
    Get(Bytes),
    Insert(Bytes, Data),
    /// Inserts unless the key is there; returns the value that is there now, if it was.
    InsertNew(Bytes, Data),
    Remove(Bytes),
    Contains(Bytes),
    Len,
    Keys,
    Values,
    Items,
    Clear,
    Extend(Vec<(Bytes, Data)>),
    /// Removes and returns the pair that was inserted last.
    PopLast,
    /// Replaces the value, or its absence, if it is still the expected one.
    Replace {
        key: Bytes,
        expected: Option<Bytes>,
        new: Option<Data>,
    },
    /// Adds to a number, which is 0 if it is not there.
    Add(Bytes, i64),
    /// The first pair whose place in the order is not before `from`.
    Next {
        from: u64,
        /// The number of keys, which must not have changed; `None` for the first pair.
        length: Option<u64>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SequenceCall {
    Get(u64),
    Set(u64, Data),
    Insert(u64, Data),
    PushBack(Vec<Data>),
    PushFront(Data),
    PopBack,
    PopFront,
    Remove(u64),
    Len,
    All,
    Clear,
    Reverse,
    /// Moves the last items to the front; a negative number moves the first ones to the end.
    Rotate(i64),
    Find(Bytes),
    Count(Bytes),
    RemoveValue(Bytes),
    /// All items, and the version.
    Snapshot,
    /// Replaces all items if the version is still this one.
    Replace {
        version: u64,
        items: Vec<Data>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum CellCall {
    /// The value, and the version.
    Get,
    Set(Data),
    /// Replaces the value if the version is still this one.
    Replace {
        version: u64,
        new: Data,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum LockCall {
    Acquire(Limit),
    Release,
    /// It belongs to no client any more: any may release it.
    HandOver,
    IsLocked,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SemaphoreCall {
    Acquire(Limit),
    Release(u64),
    /// A permit of this client is no client's any more.
    Forget,
    Count,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum EventCall {
    Set,
    Clear,
    IsSet,
    Wait(Limit),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ConditionCall {
    Acquire(Limit),
    Release,
    Wait(Limit),
    /// `u64::MAX` for all.
    Notify(u64),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum BarrierCall {
    Wait(Limit),
    Abort,
    Reset,
    /// Parties, waiting, whether it is broken.
    State,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum QueueCall {
    Put(Data, Limit),
    Get(Limit),
    /// As `Get`, and the item comes back if the client ends before `Acknowledge`.
    Lease(Limit),
    Acknowledge(u64),
    /// Returns a leased item to the front.
    Return(u64),
    Len,
    TaskDone,
    Join(Limit),
}

/// The answer to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done,
    Flag(bool),
    Number(u64),
    Signed(i64),
    Maybe(Option<Data>),
    /// A value, and a version or a lease.
    Versioned(u64, Data),
    All(u64, Vec<Data>),
    Pairs(Vec<(Bytes, Data)>),
    /// The outcome of a call, as a pool's worker writes it.
    Outcome(Bytes),
    Text(String),
    State(u64, u64, bool),
    Opened(u64),
    Stats(Stats),
    Refused(Refusal),
    /// The place of a pair, and the pair; and the number of keys.
    Next(Option<(u64, Bytes, Data)>, u64),
}

/// The numbers of a server. See [`ManagerClient::stats`](super::ManagerClient::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Clients: processes, or more exactly handles of processes.
    pub clients: u64,
    /// Connections of all clients.
    pub connections: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of the values that are stored.
    pub bytes: u64,
}

/// Why a server did not do what a client requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The object is not there any more, or was another server's.
    NoSuchObject,
    /// The object of that name has another type.
    WrongType,
    /// No shared type and no method is registered under this name.
    NotRegistered(String),
    /// The lock is not this client's, or it is free.
    NotOwner,
    /// The barrier is broken.
    Broken,
    /// A limit of the server: which one.
    Limit(String),
    /// The index is not inside.
    OutOfRange,
    /// The number of items of an array does not change.
    FixedLength,
    /// A semaphore was released too often, or more tasks were finished than there were.
    TooManyReleases,
    /// A method panicked: its message.
    Panicked(String),
    /// The arguments, or the result, cannot be passed on: why.
    BadValue(String),
    /// The client's connection ended, or the server stops.
    Interrupted,
    /// The client or the server is of another version.
    Version,
    /// A worker of the server's pool did not finish the job: why.
    Job(String),
    /// The server's system refused: why.
    System(String),
    /// The number of keys of a dictionary changed while it was iterated over.
    Changed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchObject => f.write_str("the manager has no such object any more"),
            Self::WrongType => f.write_str("the object of that name has another type"),
            Self::NotRegistered(name) => write!(f, "`{name}` is not registered with the manager"),
            Self::NotOwner => f.write_str("the lock is not held by this client"),
            Self::Broken => f.write_str("the barrier is broken"),
            Self::Limit(which) => write!(f, "a limit of the manager: {which}"),
            Self::OutOfRange => f.write_str("the index is out of range"),
            Self::FixedLength => f.write_str("an array keeps its length"),
            Self::TooManyReleases => f.write_str("released too often"),
            Self::Panicked(message) => write!(f, "the method panicked: {message}"),
            Self::BadValue(why) => write!(f, "the value cannot be passed on: {why}"),
            Self::Interrupted => f.write_str("the connection or the manager ended in the call"),
            Self::Version => f.write_str("the manager is of another version"),
            Self::Job(why) | Self::System(why) => f.write_str(why),
            Self::Changed => f.write_str("the dictionary changed its size in an iteration"),
        }
    }
}

impl std::error::Error for Refusal {}
