//! Dictionaries, sequences and cells.
//!
//! A key is compared by its bytes: equal values of one type have equal bytes, with the exception of
//! types that serialise in an order of their own, such as `HashMap`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::super::wire::{Call, CellCall, Data, MapCall, Refusal, Reply, SequenceCall};
use super::monitor::{Caller, Monitor};
use super::store::{Item, Registry, Served};

/// A dictionary that keeps the order of insertion: dictionary, set, counter, namespace.
pub(super) struct Map {
    registry: Arc<Registry>,
    state: Arc<Monitor<Pairs>>,
}

#[derive(Default)]
struct Pairs {
    /// The place in the order, the key as a stored value, and the value.
    items: HashMap<Vec<u8>, (u64, Item, Item)>,
    order: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

impl Pairs {
    fn insert(&mut self, key: Item, value: Item) -> Option<Item> {
        if let Some((_, _, present)) = self.items.get_mut(key.bytes()) {
            return Some(core::mem::replace(present, value));
        }
        let place = self.next;
        self.next += 1;
        self.order.insert(place, key.bytes().to_vec());
        self.items.insert(key.bytes().to_vec(), (place, key, value));
        None
    }

    fn remove(&mut self, key: &[u8]) -> Option<Item> {
        let (place, _, value) = self.items.remove(key)?;
        self.order.remove(&place);
        Some(value)
    }

    fn in_order(&self) -> impl Iterator<Item = (&Vec<u8>, &Item)> {
        self.order.values().filter_map(|key| Some((key, &self.items.get(key)?.2)))
    }
}

impl Map {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self { registry: Arc::clone(registry), state: Monitor::new(Pairs::default()) }
    }

    fn key(&self, bytes: crate::process::Bytes) -> Result<Item, Refusal> {
        self.registry.item(Data { bytes, objects: Vec::new() })
    }
}

fn maybe(item: Option<Item>) -> Reply {
    Reply::Maybe(item.as_ref().map(Item::data))
}

impl Served for Map {
    fn call(&self, _caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Map(call) = call else { return Err(Refusal::WrongType) };
        let mut state = self.state.lock();
        let state = &mut *state;
        Ok(match call {
            MapCall::Get(key) => {
                Reply::Maybe(state.items.get(&key[..]).map(|(_, _, value)| value.data()))
            }
            MapCall::Insert(key, value) => {
                let (key, value) = (self.key(key)?, self.registry.item(value)?);
                maybe(state.insert(key, value))
            }
            MapCall::InsertNew(key, value) => match state.items.get(&key[..]) {
                Some((_, _, value)) => Reply::Maybe(Some(value.data())),
                None => {
                    let (key, value) = (self.key(key)?, self.registry.item(value)?);
                    state.insert(key, value);
                    Reply::Maybe(None)
                }
            },
            MapCall::Remove(key) => maybe(state.remove(&key)),
            MapCall::Contains(key) => Reply::Flag(state.items.contains_key(&key[..])),
            MapCall::Len => Reply::Number(state.items.len() as u64),
            MapCall::Keys => {
                let key = |key: &Vec<u8>| Data { bytes: key.clone().into(), objects: Vec::new() };
                Reply::All(0, state.order.values().map(key).collect())
            }
            MapCall::Values => Reply::All(0, state.in_order().map(|pair| pair.1.data()).collect()),
            MapCall::Items => {
                let pair = |(key, value): (&Vec<u8>, &Item)| (key.clone().into(), value.data());
                Reply::Pairs(state.in_order().map(pair).collect())
            }
            MapCall::Clear => {
                state.order.clear();
                state.items.clear();
                Reply::Done
            }
            MapCall::Extend(pairs) => {
                let stored = pairs
                    .into_iter()
                    .map(|(key, value)| Ok((self.key(key)?, self.registry.item(value)?)));
                // All or nothing.
                for (key, value) in stored.collect::<Result<Vec<_>, Refusal>>()? {
                    state.insert(key, value);
                }
                Reply::Done
            }
            MapCall::PopLast => {
                let last = state.order.last_key_value().map(|(_, key)| key.clone());
                let pair = last.and_then(|key| Some((state.remove(&key)?, key)));
                Reply::Pairs(
                    pair.map(|(value, key)| (key.into(), value.data())).into_iter().collect(),
                )
            }
            MapCall::Replace { key, expected, new } => {
                let present = state.items.get(&key[..]).map(|(_, _, value)| value.bytes());
                if present != expected.as_deref() {
                    return Ok(Reply::Flag(false));
                }
                match new {
                    Some(new) => {
                        let (key, new) = (self.key(key)?, self.registry.item(new)?);
                        state.insert(key, new);
                    }
                    None => {
                        state.remove(&key);
                    }
                }
                Reply::Flag(true)
            }
            MapCall::Add(key, by) => {
                let present = match state.items.get(&key[..]) {
                    None => 0,
                    Some((_, _, value)) => postcard::from_bytes::<i64>(value.bytes())
                        .map_err(|error| Refusal::BadValue(error.to_string()))?,
                };
                let sum = present.saturating_add(by);
                let bytes = postcard::to_stdvec(&sum)
                    .map_err(|error| Refusal::BadValue(error.to_string()))?;
                let value = Data { bytes: bytes.into(), objects: Vec::new() };
                let (key, value) = (self.key(key)?, self.registry.item(value)?);
                state.insert(key, value);
                Reply::Signed(sum)
            }
            MapCall::Next { from, length } => {
                let now = state.items.len() as u64;
                if length.is_some_and(|length| length != now) {
                    return Err(Refusal::Changed);
                }
                let next = state.order.range(from..).next().and_then(|(place, key)| {
                    Some((*place, key.clone().into(), state.items.get(key)?.2.data()))
                });
                Reply::Next(next, now)
            }
        })
    }
}

/// A sequence: list, deque, array.
pub(super) struct Sequence {
    registry: Arc<Registry>,
    most: Option<u64>,
    /// Whether its length never changes.
    fixed: bool,
    state: Arc<Monitor<Row>>,
}

struct Row {
    items: VecDeque<Item>,
    /// Counts changes.
    version: u64,
}

impl Row {
    fn at(&self, index: u64) -> Result<usize, Refusal> {
        let index = usize::try_from(index).ok().filter(|index| *index < self.items.len());
        index.ok_or(Refusal::OutOfRange)
    }

    fn place_of(&self, bytes: &[u8]) -> Option<usize> {
        self.items.iter().position(|item| item.bytes() == bytes)
    }
}

impl Sequence {
    pub(super) fn new(
        registry: &Arc<Registry>,
        most: Option<u64>,
        fixed: bool,
        items: Vec<Data>,
    ) -> Result<Self, Refusal> {
        let items: VecDeque<Item> = registry.items(items)?.into();
        let mut row = Row { items, version: 0 };
        trim(&mut row, most, true);
        let registry = Arc::clone(registry);
        Ok(Self { registry, most, fixed, state: Monitor::new(row) })
    }
}

/// Removes items beyond the most, at the front or at the back.
fn trim(row: &mut Row, most: Option<u64>, front: bool) {
    while most.is_some_and(|most| row.items.len() as u64 > most) {
        if front {
            row.items.pop_front()
        } else {
            row.items.pop_back()
        };
    }
}

impl Served for Sequence {
    fn call(&self, _caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Sequence(call) = call else { return Err(Refusal::WrongType) };
        let changes_length = !matches!(
            call,
            SequenceCall::Get(_)
                | SequenceCall::Set(..)
                | SequenceCall::Len
                | SequenceCall::All
                | SequenceCall::Reverse
                | SequenceCall::Rotate(_)
                | SequenceCall::Find(_)
                | SequenceCall::Count(_)
                | SequenceCall::Snapshot
                | SequenceCall::Replace { .. }
        );
        if self.fixed && changes_length {
            return Err(Refusal::FixedLength);
        }
        let mut row = self.state.lock();
        let row = &mut *row;
        let reply = match call {
            SequenceCall::Get(index) => {
                return Ok(Reply::Maybe(row.at(index).ok().map(|at| row.items[at].data())));
            }
            SequenceCall::Len => return Ok(Reply::Number(row.items.len() as u64)),
            SequenceCall::All | SequenceCall::Snapshot => {
                return Ok(Reply::All(row.version, row.items.iter().map(Item::data).collect()));
            }
            SequenceCall::Find(bytes) => {
                let place = row.place_of(&bytes).map_or(u64::MAX, |place| place as u64);
                return Ok(Reply::Number(place));
            }
            SequenceCall::Count(bytes) => {
                let equal = row.items.iter().filter(|item| item.bytes() == &bytes[..]);
                return Ok(Reply::Number(equal.count() as u64));
            }
            SequenceCall::Set(index, value) => {
                let at = row.at(index)?;
                let value = self.registry.item(value)?;
                maybe(Some(core::mem::replace(&mut row.items[at], value)))
            }
            SequenceCall::Insert(index, value) => {
                let at = usize::try_from(index).ok().filter(|at| *at <= row.items.len());
                let at = at.ok_or(Refusal::OutOfRange)?;
                if self.most.is_some_and(|most| row.items.len() as u64 >= most) {
                    return Err(Refusal::Limit("items of this deque".into()));
                }
                row.items.insert(at, self.registry.item(value)?);
                Reply::Done
            }
            SequenceCall::PushBack(values) => {
                row.items.extend(self.registry.items(values)?);
                trim(row, self.most, true);
                Reply::Done
            }
            SequenceCall::PushFront(value) => {
                row.items.push_front(self.registry.item(value)?);
                trim(row, self.most, false);
                Reply::Done
            }
            SequenceCall::PopBack => maybe(row.items.pop_back()),
            SequenceCall::PopFront => maybe(row.items.pop_front()),
            SequenceCall::Remove(index) => {
                let at = row.at(index)?;
                maybe(row.items.remove(at))
            }
            SequenceCall::RemoveValue(bytes) => {
                let place = row.place_of(&bytes);
                Reply::Flag(place.is_some_and(|place| row.items.remove(place).is_some()))
            }
            SequenceCall::Clear => {
                row.items.clear();
                Reply::Done
            }
            SequenceCall::Reverse => {
                row.items.make_contiguous().reverse();
                Reply::Done
            }
            SequenceCall::Rotate(by) => {
                let length = i64::try_from(row.items.len()).unwrap_or(i64::MAX);
                if length > 0 {
                    // Inside of 0..length.
                    row.items.rotate_right(by.rem_euclid(length) as usize);
                }
                Reply::Done
            }
            SequenceCall::Replace { version, items } => {
                if version != row.version {
                    return Ok(Reply::Flag(false));
                }
                if self.fixed && items.len() != row.items.len() {
                    return Err(Refusal::FixedLength);
                }
                row.items = self.registry.items(items)?.into();
                trim(row, self.most, true);
                Reply::Flag(true)
            }
        };
        row.version += 1;
        Ok(reply)
    }
}

/// One value.
pub(super) struct Cell {
    registry: Arc<Registry>,
    state: Arc<Monitor<(u64, Item)>>,
}

impl Cell {
    pub(super) fn new(registry: &Arc<Registry>, value: Data) -> Result<Self, Refusal> {
        let state = Monitor::new((0, registry.item(value)?));
        Ok(Self { registry: Arc::clone(registry), state })
    }
}

impl Served for Cell {
    fn call(&self, _caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Cell(call) = call else { return Err(Refusal::WrongType) };
        let mut state = self.state.lock();
        let (present, item) = &mut *state;
        let (new, reply) = match call {
            CellCall::Get => return Ok(Reply::Versioned(*present, item.data())),
            CellCall::Set(new) => (new, Reply::Done),
            CellCall::Replace { version, .. } if version != *present => {
                return Ok(Reply::Flag(false));
            }
            CellCall::Replace { new, .. } => (new, Reply::Flag(true)),
        };
        *item = self.registry.item(new)?;
        *present += 1;
        Ok(reply)
    }
}
