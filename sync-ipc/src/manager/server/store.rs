//! The objects of a server, and what keeps them.
//!
//! An object lives as long as a [`Ref`] of it: in the table of names, in a client that has proxies
//! of it, in a value that is stored in another object, or in the table of holds, which keep an
//! object while a proxy of it is on its way to another process. The registry itself has weak
//! references only. Objects that contain each other in a circle live until the server ends.
//!
//! **Invariant.** A [`Ref`] that is dropped in a [`Deferred`] scope is dropped at the end of the
//! scope. Every call runs in one; so no object, and with it no code of the user's, is dropped under
//! a lock, and a chain of nested objects is dropped without recursion.

use core::cell::RefCell;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::{Mutex, user_code};

use super::super::limits::Limits;
use super::super::wire::{Call, Data, Refusal, Reply};
use super::monitor::Caller;
use crate::process::end_if_forked;

/// How long a proxy may be on its way to another process.
pub(super) const HOLD: Duration = Duration::from_secs(60);

/// The behaviour of an object.
pub(super) trait Served: Send + Sync {
    /// Runs a call. It may block, through the caller's session only.
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal>;

    /// Releases what a client holds that has ended.
    fn client_ended(&self, _client: u64) {}
}

/// An object.
pub(super) struct Object {
    pub(super) id: u64,
    pub(super) tag: String,
    served: Option<Box<dyn Served>>,
    registry: Weak<Registry>,
}

impl Object {
    pub(super) fn served(&self) -> &dyn Served {
        match &self.served {
            Some(served) => &**served,
            None => unreachable!("taken by drop only"),
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.objects.lock().remove(&self.id);
        }
        // User code: a destructor of a shared type.
        user_code::dispose(self.served.take());
    }
}

/// A reference that keeps an object.
pub(super) struct Ref(Option<Arc<Object>>);

impl Ref {
    fn new(object: Arc<Object>) -> Self {
        Self(Some(object))
    }

    fn arc(&self) -> &Arc<Object> {
        match &self.0 {
            Some(object) => object,
            None => unreachable!("taken by drop only"),
        }
    }
}

impl core::ops::Deref for Ref {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.arc()
    }
}

impl Clone for Ref {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(self.arc()))
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        let Some(object) = self.0.take() else { return };
        let deferred = TRASH.try_with(|trash| match &mut *trash.borrow_mut() {
            Some(trash) => {
                trash.push(object);
                None
            }
            None => Some(object),
        });
        if let Ok(Some(object)) = deferred {
            let scope = Deferred::begin();
            let mark = ProcessMark::current();
            drop(object);
            end_if_forked(mark);
            drop(scope);
        }
    }
}

std::thread_local! {
    static TRASH: RefCell<Option<Vec<Arc<Object>>>> = const { RefCell::new(None) };
}

/// A scope in which objects are not dropped before its end.
pub(super) struct Deferred {
    outermost: bool,
}

impl Deferred {
    pub(super) fn begin() -> Self {
        let outermost = TRASH.with_borrow_mut(|trash| {
            let outermost = trash.is_none();
            trash.get_or_insert_default();
            outermost
        });
        Self { outermost }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        if !self.outermost {
            return;
        }
        let mark = ProcessMark::current();
        // The drop of an object puts the objects that it contains here.
        while let Some(object) = TRASH.with_borrow_mut(|trash| trash.as_mut().and_then(Vec::pop)) {
            drop(object);
            end_if_forked(mark);
        }
        TRASH.with_borrow_mut(|trash| *trash = None);
    }
}

/// A stored value.
pub(super) struct Item {
    bytes: Vec<u8>,
    objects: Vec<Ref>,
    registry: Weak<Registry>,
}

/// The bytes that a stored item counts for besides its value.
const OVERHEAD: u64 = 64;

impl Item {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A copy for a client. The client has a moment to take references of the objects in it.
    pub(super) fn data(&self) -> Data {
        if let Some(registry) = self.registry.upgrade() {
            for object in &self.objects {
                registry.hold(object);
            }
        }
        let objects = self.objects.iter().map(|object| object.id).collect();
        Data { bytes: self.bytes.clone().into(), objects }
    }

    fn cost(&self) -> u64 {
        (self.bytes.len() as u64).saturating_add(OVERHEAD)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            // Relaxed: a count.
            registry.bytes.fetch_sub(self.cost(), Ordering::Relaxed);
        }
    }
}

/// All objects of a server.
pub(super) struct Registry {
    pub(super) limits: Limits,
    objects: Mutex<HashMap<u64, Weak<Object>>>,
    names: Mutex<HashMap<String, Ref>>,
    holds: Mutex<HashMap<u64, (Instant, Ref)>>,
    bytes: AtomicU64,
    next: AtomicU64,
}

impl Registry {
    /// Numbers of objects begin at `first`, which is random: a proxy of another server's object
    /// finds none here.
    pub(super) fn new(limits: Limits, first: u64) -> Arc<Self> {
        Arc::new(Self {
            limits,
            objects: Mutex::new(HashMap::new()),
            names: Mutex::new(HashMap::new()),
            holds: Mutex::new(HashMap::new()),
            bytes: AtomicU64::new(0),
            next: AtomicU64::new(first),
        })
    }

    /// Stores a value of a client.
    pub(super) fn item(self: &Arc<Self>, data: Data) -> Result<Item, Refusal> {
        let objects = data.objects.iter().map(|id| self.find(*id)).collect::<Result<_, _>>()?;
        let item = Item { bytes: data.bytes.into(), objects, registry: Arc::downgrade(self) };
        // Relaxed, all: a count.
        let before = self.bytes.fetch_add(item.cost(), Ordering::Relaxed);
        if before.saturating_add(item.cost()) > self.limits.stored_bytes {
            // The drop of the item subtracts it.
            return Err(Refusal::Limit("bytes of stored values".into()));
        }
        Ok(item)
    }

    /// Stores several values.
    pub(super) fn items(self: &Arc<Self>, data: Vec<Data>) -> Result<Vec<Item>, Refusal> {
        data.into_iter().map(|data| self.item(data)).collect()
    }

    /// Adds an object.
    pub(super) fn insert(
        self: &Arc<Self>,
        tag: String,
        served: Box<dyn Served>,
    ) -> Result<Ref, Refusal> {
        let mut objects = self.objects.lock();
        if objects.len() as u64 >= self.limits.objects {
            drop(objects);
            user_code::dispose(served);
            return Err(Refusal::Limit("objects".into()));
        }
        // Relaxed: a counter.
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let registry = Arc::downgrade(self);
        let object = Arc::new(Object { id, tag, served: Some(served), registry });
        objects.insert(id, Arc::downgrade(&object));
        Ok(Ref::new(object))
    }

    pub(super) fn find(&self, id: u64) -> Result<Ref, Refusal> {
        let object = self.objects.lock().get(&id).and_then(Weak::upgrade);
        object.map(Ref::new).ok_or(Refusal::NoSuchObject)
    }

    /// The object of this name, which `make` makes where there is none.
    pub(super) fn named(
        &self,
        name: &str,
        tag: &str,
        make: impl FnOnce() -> Result<Ref, Refusal>,
    ) -> Result<Ref, Refusal> {
        let find = || {
            let found = self.names.lock().get(name).cloned();
            found.map(|object| if object.tag == tag { Ok(object) } else { Err(Refusal::WrongType) })
        };
        if let Some(found) = find() {
            return found;
        }
        // Without the lock: a constructor of the user's may run in here.
        let made = make()?;
        let mut names = self.names.lock();
        if names.contains_key(name) {
            // Another client was faster.
            drop(names);
            return find().unwrap_or(Err(Refusal::NoSuchObject));
        }
        names.insert(name.to_owned(), made.clone());
        Ok(made)
    }

    /// Removes a name. Returns whether it was there.
    pub(super) fn unname(&self, name: &str) -> bool {
        let removed = self.names.lock().remove(name);
        removed.is_some()
    }

    /// Keeps an object for a while.
    pub(super) fn hold(&self, object: &Ref) {
        let until = Instant::now() + HOLD;
        let before = self.holds.lock().insert(object.id, (until, object.clone()));
        drop(before);
    }

    /// Ends the holds whose time is up.
    pub(super) fn end_holds(&self) {
        let now = Instant::now();
        let _scope = Deferred::begin();
        self.holds.lock().retain(|_, (until, _)| *until > now);
    }

    /// Drops all names and holds.
    pub(super) fn clear(&self) {
        let names = core::mem::take(&mut *self.names.lock());
        let holds = core::mem::take(&mut *self.holds.lock());
        drop((names, holds));
    }

    pub(super) fn count(&self) -> u64 {
        self.objects.lock().len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        // Relaxed: a snapshot.
        self.bytes.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
