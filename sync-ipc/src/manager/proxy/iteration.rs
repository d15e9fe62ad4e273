//! Iteration over containers, with a call for each item.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::error::Result;
use super::super::link::decode;
use super::super::wire::{MapCall, Reply};
use super::containers::{Array, Deque, Dict, List};
use super::unexpected;

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Dict<K, V> {
    /// The pairs, in the order of insertion, each as it is when the iterator reaches it. Each step
    /// is a call; [`items`](Self::items) is one call, and shows one moment.
    ///
    /// If another client adds or removes keys meanwhile, so that their number has changed, the next
    /// step is an error ([`Refusal::Changed`](crate::manager::Refusal::Changed), Python's
    /// `RuntimeError`) and the iteration ends. A key that is replaced by another, between two
    /// steps, is not noticed.
    pub fn iter(&self) -> DictIter<'_, K, V> {
        DictIter { dict: self, from: Some(0), length: None }
    }
}

/// The pairs of a [`Dict`], from [`Dict::iter`].
#[derive(Debug)]
pub struct DictIter<'a, K, V> {
    dict: &'a Dict<K, V>,
    /// The place in the order that comes next; `None` at the end.
    from: Option<u64>,
    length: Option<u64>,
}

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Iterator
    for DictIter<'_, K, V>
{
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        // Taken: after an error the iteration has ended.
        let from = self.from.take()?;
        let link = &self.dict.core.link;
        let reply = match self.dict.map(MapCall::Next { from, length: self.length }) {
            Ok(reply) => reply,
            Err(error) => return Some(Err(error)),
        };
        let Reply::Next(pair, length) = reply else { return Some(Err(unexpected())) };
        self.length = Some(length);
        let (place, key, value) = pair?;
        self.from = place.checked_add(1);
        let decoded = decode(link, &key).and_then(|key| Ok((key, decode(link, &value.bytes)?)));
        Some(decoded)
    }
}

macro_rules! iterate {
    ($($type:ident),+) => {$(
        impl<T: Serialize + DeserializeOwned> $type<T> {
            /// The items, from the first to the last, each as it is when the iterator reaches its
            /// place: it shows what other clients change meanwhile, as Python's does. Each step is
            /// a call; `to_vec` is one call, and shows one moment.
            pub fn iter(&self) -> impl Iterator<Item = Result<T>> {
                let mut place = Some(0);
                core::iter::from_fn(move || {
                    // Taken: after the end, or an error, the iteration has ended.
                    let at = place.take()?;
                    let item = self.get(at).transpose()?;
                    if item.is_ok() {
                        place = Some(at + 1);
                    }
                    Some(item)
                })
            }
        }
    )+};
}
iterate!(Array, Deque, List);
