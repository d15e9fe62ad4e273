//! Proxies of data: dictionary, set, counter, namespace, list, deque, array, value.
//!
//! A value that is read is a copy. To change a part of a value, read it, change it and write it
//! back (`insert`, `set`), or use `update`, which does so in one step.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::error::{ManagerError, Result};
use super::super::link::{Link, decode, encode};
use super::super::wire::{Call, CellCall, Data, MapCall, Reply, SequenceCall};
use super::{done, flag, length, number, proxy, unexpected};
use crate::process::Bytes;

fn key<K: Serialize + ?Sized>(link: &Link, key: &K) -> Result<Bytes> {
    let data = encode(link, key)?;
    if data.objects.is_empty() {
        Ok(data.bytes)
    } else {
        Err(ManagerError::BadValue("a proxy cannot be a key".into()))
    }
}

/// A value that may be there.
pub(in crate::manager) fn maybe<T: DeserializeOwned>(
    link: &Arc<Link>,
    reply: &Reply,
) -> Result<Option<T>> {
    match reply {
        Reply::Maybe(None) => Ok(None),
        Reply::Maybe(Some(data)) => decode(link, &data.bytes).map(Some),
        _ => Err(unexpected()),
    }
}

fn all<T: DeserializeOwned>(link: &Arc<Link>, reply: &Reply) -> Result<(u64, Vec<T>)> {
    let Reply::All(version, items) = reply else { return Err(unexpected()) };
    let items = items.iter().map(|data| decode(link, &data.bytes)).collect::<Result<_>>()?;
    Ok((*version, items))
}

fn pairs<K: DeserializeOwned, V: DeserializeOwned>(
    link: &Arc<Link>,
    reply: &Reply,
) -> Result<Vec<(K, V)>> {
    let Reply::Pairs(pairs) = reply else { return Err(unexpected()) };
    pairs.iter().map(|(k, v)| Ok((decode(link, k)?, decode(link, &v.bytes)?))).collect()
}

proxy! {
    /// A dictionary in a manager, in the order of insertion. Python's `Manager().dict()`.
    ///
    /// Keys are equal if their serialised forms are. Do not use keys with an order of their own,
    /// such as `HashMap`.
    #[doc(alias = "DictProxy")]
    Dict<K, V>
}

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Dict<K, V> {
    pub(super) fn map(&self, call: MapCall) -> Result<Reply> {
        self.core.now(Call::Map(call))
    }

    fn key(&self, k: &K) -> Result<Bytes> {
        key(&self.core.link, k)
    }

    pub(in crate::manager) fn call_insert(&self, k: &K, v: &V) -> Result<Call> {
        Ok(Call::Map(MapCall::Insert(self.key(k)?, encode(&self.core.link, v)?)))
    }

    pub(in crate::manager) fn call_get(&self, k: &K) -> Result<Call> {
        Ok(Call::Map(MapCall::Get(self.key(k)?)))
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn get(&self, k: &K) -> Result<Option<V>> {
        maybe(&self.core.link, &self.core.now(self.call_get(k)?)?)
    }

    /// Sets the value of a key, and returns the one before.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn insert(&self, k: &K, v: &V) -> Result<Option<V>> {
        maybe(&self.core.link, &self.core.now(self.call_insert(k, v)?)?)
    }

    /// The value of a key, which is `v` from now on if there is none. Python's `setdefault`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "setdefault")]
    pub fn get_or_insert(&self, k: &K, v: V) -> Result<V> {
        let call = MapCall::InsertNew(self.key(k)?, encode(&self.core.link, &v)?);
        Ok(maybe(&self.core.link, &self.map(call)?)?.unwrap_or(v))
    }

    /// Removes a key, and returns its value.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "pop")]
    pub fn remove(&self, k: &K) -> Result<Option<V>> {
        maybe(&self.core.link, &self.map(MapCall::Remove(self.key(k)?))?)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn contains(&self, k: &K) -> Result<bool> {
        flag(&self.map(MapCall::Contains(self.key(k)?))?)
    }

    /// Changes the value of a key in one step: `change` gets the present value and returns the new
    /// one, or `None` to remove the key. It is called again if another client was faster.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn update(&self, k: &K, mut change: impl FnMut(Option<V>) -> Option<V>) -> Result<()> {
        let link = &self.core.link;
        loop {
            let present = match self.core.now(self.call_get(k)?)? {
                Reply::Maybe(present) => present.map(|data| data.bytes),
                _ => return Err(unexpected()),
            };
            let value = present.as_ref().map(|bytes| decode(link, bytes)).transpose()?;
            let new = change(value).map(|new| encode(link, &new)).transpose()?;
            let call = MapCall::Replace { key: self.key(k)?, expected: present, new };
            if flag(&self.map(call)?)? {
                return Ok(());
            }
        }
    }

    /// Returns the number of keys.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn len(&self) -> Result<usize> {
        length(&self.map(MapCall::Len)?)
    }

    /// Whether there is no key.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// A copy of all keys, in the order of insertion.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn keys(&self) -> Result<Vec<K>> {
        Ok(all(&self.core.link, &self.map(MapCall::Keys)?)?.1)
    }

    /// A copy of all values, in the order of insertion.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn values(&self) -> Result<Vec<V>> {
        Ok(all(&self.core.link, &self.map(MapCall::Values)?)?.1)
    }

    /// A copy of all pairs, in the order of insertion, as they are at one moment.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "copy")]
    pub fn items(&self) -> Result<Vec<(K, V)>> {
        pairs(&self.core.link, &self.map(MapCall::Items)?)
    }

    /// Removes and returns the pair that was inserted last.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "popitem")]
    pub fn pop_last(&self) -> Result<Option<(K, V)>> {
        Ok(pairs(&self.core.link, &self.map(MapCall::PopLast)?)?.pop())
    }

    /// Inserts several pairs in one step.
    ///
    /// # Errors
    ///
    /// [`ManagerError`]; then none is inserted.
    pub fn extend<'a>(&self, pairs: impl IntoIterator<Item = (&'a K, &'a V)>) -> Result<()>
    where
        K: 'a,
        V: 'a,
    {
        let pair = |(k, v)| Ok((self.key(k)?, encode(&self.core.link, v)?));
        done(&self.map(MapCall::Extend(pairs.into_iter().map(pair).collect::<Result<_>>()?))?)
    }

    /// Removes all keys.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn clear(&self) -> Result<()> {
        done(&self.map(MapCall::Clear)?)
    }
}

proxy! {
    /// A set in a manager. Keys as in a [`Dict`].
    #[doc(alias = "SetProxy")]
    Set<T>
}

impl<T: Serialize + DeserializeOwned> Set<T> {
    fn map(&self, call: MapCall) -> Result<Reply> {
        self.core.now(Call::Map(call))
    }

    fn key(&self, item: &T) -> Result<Bytes> {
        key(&self.core.link, item)
    }

    /// Adds an item. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "add")]
    pub fn insert(&self, item: &T) -> Result<bool> {
        let call = MapCall::InsertNew(self.key(item)?, Data::default());
        Ok(matches!(self.map(call)?, Reply::Maybe(None)))
    }

    /// Removes an item. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "discard")]
    pub fn remove(&self, item: &T) -> Result<bool> {
        Ok(matches!(self.map(MapCall::Remove(self.key(item)?))?, Reply::Maybe(Some(_))))
    }

    /// Whether an item is there.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn contains(&self, item: &T) -> Result<bool> {
        flag(&self.map(MapCall::Contains(self.key(item)?))?)
    }

    /// Returns the number of items.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn len(&self) -> Result<usize> {
        length(&self.map(MapCall::Len)?)
    }

    /// Whether there is no item.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// A copy of all items, in the order of insertion.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        Ok(all(&self.core.link, &self.map(MapCall::Keys)?)?.1)
    }

    /// Removes all items.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn clear(&self) -> Result<()> {
        done(&self.map(MapCall::Clear)?)
    }
}

proxy! {
    /// Numbers by key, 0 where there is none. Python's `collections.Counter`. Numbers stop at the
    /// ends of `i64`.
    Counter<K>
}

impl<K: Serialize + DeserializeOwned> Counter<K> {
    fn map(&self, call: MapCall) -> Result<Reply> {
        self.core.now(Call::Map(call))
    }

    pub(in crate::manager) fn call_add(&self, k: &K, by: i64) -> Result<Call> {
        Ok(Call::Map(MapCall::Add(key(&self.core.link, k)?, by)))
    }

    /// Adds to the number of a key, in one step, and returns the sum.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn add(&self, k: &K, by: i64) -> Result<i64> {
        signed(&self.core.now(self.call_add(k, by)?)?)
    }

    /// The number of a key.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn get(&self, k: &K) -> Result<i64> {
        let reply = self.map(MapCall::Get(key(&self.core.link, k)?))?;
        Ok(maybe(&self.core.link, &reply)?.unwrap_or(0))
    }

    /// Removes a key, and returns its number.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn remove(&self, k: &K) -> Result<i64> {
        let reply = self.map(MapCall::Remove(key(&self.core.link, k)?))?;
        Ok(maybe(&self.core.link, &reply)?.unwrap_or(0))
    }

    /// A copy of all numbers, in the order of insertion.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn items(&self) -> Result<Vec<(K, i64)>> {
        pairs(&self.core.link, &self.map(MapCall::Items)?)
    }

    /// The keys with the largest numbers, largest first; of equal ones the older first.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn most_common(&self, count: usize) -> Result<Vec<(K, i64)>> {
        let mut items = self.items()?;
        items.sort_by_key(|(_, number)| core::cmp::Reverse(*number));
        items.truncate(count);
        Ok(items)
    }

    /// The sum of all numbers.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn total(&self) -> Result<i64> {
        Ok(self.items()?.iter().fold(0, |sum: i64, (_, number)| sum.saturating_add(*number)))
    }

    /// Removes all keys.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn clear(&self) -> Result<()> {
        done(&self.map(MapCall::Clear)?)
    }
}

pub(in crate::manager) fn signed(reply: &Reply) -> Result<i64> {
    if let Reply::Signed(number) = reply { Ok(*number) } else { Err(unexpected()) }
}

proxy! {
    /// Values of any type by name. Python's `Manager().Namespace()`.
    Namespace
}

impl Namespace {
    fn map(&self, call: MapCall) -> Result<Reply> {
        self.core.now(Call::Map(call))
    }

    fn key(&self, name: &str) -> Result<Bytes> {
        key(&self.core.link, name)
    }

    /// The value of a name.
    ///
    /// # Errors
    ///
    /// [`ManagerError::BadValue`] if it is of another type; other variants.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        maybe(&self.core.link, &self.map(MapCall::Get(self.key(name)?))?)
    }

    /// Sets the value of a name.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        let call = MapCall::Insert(self.key(name)?, encode(&self.core.link, value)?);
        self.map(call).map(drop)
    }

    /// Removes a name. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn delete(&self, name: &str) -> Result<bool> {
        Ok(matches!(self.map(MapCall::Remove(self.key(name)?))?, Reply::Maybe(Some(_))))
    }

    /// All names, in the order of insertion.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn names(&self) -> Result<Vec<String>> {
        Ok(all(&self.core.link, &self.map(MapCall::Keys)?)?.1)
    }
}

/// Methods that lists, deques and arrays share.
macro_rules! sequence {
    ($name:ident) => {
        impl<T: Serialize + DeserializeOwned> $name<T> {
            fn sequence(&self, call: SequenceCall) -> Result<Reply> {
                self.core.now(Call::Sequence(call))
            }

            fn data(&self, value: &T) -> Result<Data> {
                encode(&self.core.link, value)
            }

            /// The item at this index; `None` beyond the end.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn get(&self, index: usize) -> Result<Option<T>> {
                maybe(&self.core.link, &self.sequence(SequenceCall::Get(index as u64))?)
            }

            /// Sets an item, and returns the one before.
            ///
            /// # Errors
            ///
            /// [`Refusal::OutOfRange`](crate::manager::Refusal::OutOfRange); other variants.
            pub fn set(&self, index: usize, value: &T) -> Result<T> {
                let reply = self.sequence(SequenceCall::Set(index as u64, self.data(value)?))?;
                maybe(&self.core.link, &reply)?.ok_or_else(unexpected)
            }

            /// Returns the number of items.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn len(&self) -> Result<usize> {
                length(&self.sequence(SequenceCall::Len)?)
            }

            /// Whether there is no item.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn is_empty(&self) -> Result<bool> {
                Ok(self.len()? == 0)
            }

            /// A copy of all items, as they are at one moment.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            #[doc(alias = "copy")]
            pub fn to_vec(&self) -> Result<Vec<T>> {
                Ok(all(&self.core.link, &self.sequence(SequenceCall::All)?)?.1)
            }

            /// Reverses the order of the items.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn reverse(&self) -> Result<()> {
                done(&self.sequence(SequenceCall::Reverse)?)
            }

            /// The first index of an equal item.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn index_of(&self, value: &T) -> Result<Option<usize>> {
                let bytes = self.data(value)?.bytes;
                let place = number(&self.sequence(SequenceCall::Find(bytes))?)?;
                Ok(usize::try_from(place).ok().filter(|_| place != u64::MAX))
            }

            /// Returns the number of equal items.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn count(&self, value: &T) -> Result<usize> {
                length(&self.sequence(SequenceCall::Count(self.data(value)?.bytes))?)
            }

            /// Changes all items in one step, to sort them for example. `change` is called again
            /// if another client was faster.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn update(&self, mut change: impl FnMut(&mut Vec<T>)) -> Result<()> {
                loop {
                    let snapshot = self.sequence(SequenceCall::Snapshot)?;
                    let (version, mut items) = all(&self.core.link, &snapshot)?;
                    change(&mut items);
                    let items = items.iter().map(|item| self.data(item)).collect::<Result<_>>()?;
                    if flag(&self.sequence(SequenceCall::Replace { version, items })?)? {
                        return Ok(());
                    }
                }
            }
        }
    };
}

/// Methods that lists and deques share.
macro_rules! growing {
    ($name:ident) => {
        impl<T: Serialize + DeserializeOwned> $name<T> {
            pub(in crate::manager) fn call_push(&self, value: &T) -> Result<Call> {
                Ok(Call::Sequence(SequenceCall::PushBack(vec![self.data(value)?])))
            }

            /// Adds an item at the end.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            #[doc(alias = "append")]
            pub fn push(&self, value: &T) -> Result<()> {
                done(&self.core.now(self.call_push(value)?)?)
            }

            /// Adds several items at the end, in one step.
            ///
            /// # Errors
            ///
            /// [`ManagerError`]; then none is added.
            pub fn extend<'a>(&self, values: impl IntoIterator<Item = &'a T>) -> Result<()>
            where
                T: 'a,
            {
                let values = values.into_iter().map(|value| self.data(value));
                done(&self.sequence(SequenceCall::PushBack(values.collect::<Result<_>>()?))?)
            }

            /// Removes and returns the last item.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn pop(&self) -> Result<Option<T>> {
                maybe(&self.core.link, &self.sequence(SequenceCall::PopBack)?)
            }

            /// Inserts an item before the one at this index.
            ///
            /// # Errors
            ///
            /// [`Refusal::OutOfRange`](crate::manager::Refusal::OutOfRange); other variants.
            pub fn insert(&self, index: usize, value: &T) -> Result<()> {
                let call = SequenceCall::Insert(index as u64, self.data(value)?);
                done(&self.sequence(call)?)
            }

            /// Removes and returns the item at this index.
            ///
            /// # Errors
            ///
            /// [`Refusal::OutOfRange`](crate::manager::Refusal::OutOfRange); other variants.
            pub fn remove(&self, index: usize) -> Result<T> {
                let reply = self.sequence(SequenceCall::Remove(index as u64))?;
                maybe(&self.core.link, &reply)?.ok_or_else(unexpected)
            }

            /// Removes the first equal item. Returns whether there was one.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn remove_value(&self, value: &T) -> Result<bool> {
                flag(&self.sequence(SequenceCall::RemoveValue(self.data(value)?.bytes))?)
            }

            /// Removes all items.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn clear(&self) -> Result<()> {
                done(&self.sequence(SequenceCall::Clear)?)
            }
        }
    };
}

proxy! {
    /// A list in a manager. Python's `Manager().list()`.
    #[doc(alias = "ListProxy")]
    List<T>
}
sequence!(List);
growing!(List);

proxy! {
    /// A deque in a manager, with or without a longest length: an item that is added at one end of
    /// a full deque removes one at the other end. Python's `collections.deque`.
    Deque<T>
}
sequence!(Deque);
growing!(Deque);

impl<T: Serialize + DeserializeOwned> Deque<T> {
    /// Adds an item at the front.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "appendleft")]
    pub fn push_front(&self, value: &T) -> Result<()> {
        done(&self.sequence(SequenceCall::PushFront(self.data(value)?))?)
    }

    /// Removes and returns the first item.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    #[doc(alias = "popleft")]
    pub fn pop_front(&self) -> Result<Option<T>> {
        maybe(&self.core.link, &self.sequence(SequenceCall::PopFront)?)
    }

    /// Moves items from the end to the front, or from the front to the end for a negative number.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn rotate(&self, by: i64) -> Result<()> {
        done(&self.sequence(SequenceCall::Rotate(by))?)
    }
}

proxy! {
    /// An array in a manager: its length does not change. Python's `Manager().Array()`.
    Array<T>
}
sequence!(Array);

proxy! {
    /// One value in a manager. Python's `Manager().Value()`.
    Value<T>
}

impl<T: Serialize + DeserializeOwned> Value<T> {
    /// A copy of the value.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn get(&self) -> Result<T> {
        Ok(self.read()?.1)
    }

    fn read(&self) -> Result<(u64, T)> {
        match self.core.now(Call::Cell(CellCall::Get))? {
            Reply::Versioned(version, data) => Ok((version, decode(&self.core.link, &data.bytes)?)),
            _ => Err(unexpected()),
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn set(&self, value: &T) -> Result<()> {
        let data = encode(&self.core.link, value)?;
        done(&self.core.now(Call::Cell(CellCall::Set(data)))?)
    }

    /// Changes the value in one step. `change` is called again if another client was faster.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn update(&self, mut change: impl FnMut(T) -> T) -> Result<()> {
        loop {
            let (version, value) = self.read()?;
            let new = encode(&self.core.link, &change(value))?;
            if flag(&self.core.now(Call::Cell(CellCall::Replace { version, new }))?)? {
                return Ok(());
            }
        }
    }
}
