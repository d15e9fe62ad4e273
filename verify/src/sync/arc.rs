use crate::engine::memory_model::event::{Kind, Label, Rmw};
use crate::engine::memory_model::fact::{self, Fact};
use crate::engine::runtime;
use crate::engine::runtime::object::Word;
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering;

/// The checker's record of a value with references to it.
///
/// Whether it matters in which order references are made and dropped depends on the model, and it
/// would multiply the executions of every model if it always did. So there are three cases:
///
/// | `events` | when | events |
/// |---|---|---|
/// | `None` | nothing can see it | none |
/// | `Drops` | the value has a destructor: the last thread to drop runs it | drops |
/// | `All` | a thread reads the number while other threads could change it | all, on the counts of `std` |
///
/// A thread's read of the number is discovered when it happens: the exploration begins again with
/// [`Fact::Counted`](crate::engine::memory_model::fact::Fact) for the place where the value was
/// made.
struct Header {
    events: Events,
    /// The number of references, if all is an event; else a word to order drops by.
    count: Word,
    /// The number of weak references, if all is an event.
    weak_count: Word,
    /// References in this run.
    strong: Cell<usize>,
    weak: Cell<usize>,
    /// Number of the allocation in the execution's list, for the search for leaks.
    allocation: Option<usize>,
    /// The points at which references came and went, as threads and epochs.
    log: RefCell<Vec<(u32, u32)>>,
    /// The name of the place where it was made.
    site: u32,
    /// It is among the `RAW` ones.
    raw: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Events {
    None,
    Drops,
    All,
}

/// Replaces `std::sync::Arc`. One that is never dropped is a leak, and fails the model.
///
/// The counts ([`strong_count`](Self::strong_count), [`get_mut`](Self::get_mut),
/// [`try_unwrap`](Self::try_unwrap), [`Weak::upgrade`]) are what those of `std` could be.
pub struct Arc<T: ?Sized> {
    value: ManuallyDrop<std::sync::Arc<T>>,
    header: std::sync::Arc<Header>,
}

/// Replaces `std::sync::Weak`.
pub struct Weak<T: ?Sized> {
    value: std::sync::Weak<T>,
    header: Option<std::sync::Arc<Header>>,
}

// SAFETY: as `std::sync::Arc`; the header is only touched on the one thread of the system on which
// the execution runs.
unsafe impl<T: ?Sized + Sync + Send> Send for Arc<T> {}
// SAFETY: as `std::sync::Arc`; the header is only touched on the one thread of the system on which
// the execution runs.
unsafe impl<T: ?Sized + Sync + Send> Sync for Arc<T> {}
// SAFETY: as `std::sync::Arc`; the header is only touched on the one thread of the system on which
// the execution runs.
unsafe impl<T: ?Sized + Sync + Send> Send for Weak<T> {}
// SAFETY: as `std::sync::Arc`; the header is only touched on the one thread of the system on which
// the execution runs.
unsafe impl<T: ?Sized + Sync + Send> Sync for Weak<T> {}
// SAFETY: the header and its table of raw pointers are only touched on the one thread of the
// system on which the execution runs.
unsafe impl Send for Header {}
// SAFETY: the header and its table of raw pointers are only touched on the one thread of the
// system on which the execution runs.
unsafe impl Sync for Header {}

impl<T: ?Sized + std::panic::RefUnwindSafe> std::panic::UnwindSafe for Arc<T> {}
impl<T: ?Sized> Unpin for Arc<T> {}

/// The headers of values that raw pointers have been made to.
static RAW: std::sync::Mutex<BTreeMap<usize, std::sync::Arc<Header>>> =
    std::sync::Mutex::new(BTreeMap::new());

fn raw_headers() -> std::sync::MutexGuard<'static, BTreeMap<usize, std::sync::Arc<Header>>> {
    RAW.lock().unwrap_or_else(|e| e.into_inner())
}

impl Header {
    fn new<T: ?Sized>(site: &'static Location<'static>) -> Header {
        let site_name = fact::name(site);
        let mut events = if std::mem::needs_drop::<T>() { Events::Drops } else { Events::None };
        let allocation = runtime::current().map(|_| {
            runtime::with(|rt| {
                if rt.facts.contains(&Fact::Counted(site_name)) {
                    events = Events::All;
                }
                rt.allocated("Arc", site)
            })
        });
        Header {
            events,
            count: Word::new(1),
            weak_count: Word::new(0),
            strong: Cell::new(1),
            weak: Cell::new(0),
            allocation,
            log: RefCell::default(),
            site: site_name,
            raw: Cell::new(0),
        }
    }

    /// Returns whether everything that is done with references is an event.
    fn counts(&self) -> bool {
        self.events == Events::All && runtime::current().is_some()
    }

    fn change(counter: &Cell<usize>, by: isize) -> usize {
        let n = counter.get().wrapping_add_signed(by);
        counter.set(n);
        n
    }

    fn note(&self) {
        if self.events != Events::All && runtime::current().is_some() {
            let point = runtime::with(|rt| (rt.cur(), rt.epoch()));
            self.log.borrow_mut().push(point);
        }
    }

    /// A thread reads the number of references, of which `mine` are its own and `others` are not.
    /// If others can change it meanwhile, or have changed it at a time that is not before this
    /// one, the answer depends on the order of events that there should have been.
    fn ask(&self, others: usize) {
        if self.events == Events::All || runtime::current().is_none() {
            return;
        }
        let log = self.log.borrow();
        let settled = others == 0
            && runtime::with(|rt| log.iter().all(|&(tid, epoch)| rt.ordered(tid, epoch)));
        drop(log);
        if !settled {
            runtime::learn_that_counted(self.site);
        }
    }

    /// One reference more.
    fn cloned(&self, site: &'static Location<'static>) {
        if self.counts() {
            // Relaxed: as in `std`, the thread that clones has a reference.
            self.count.attempt(Rmw::Add, 1, 0, Ordering::Relaxed, site);
        }
        self.note();
        Header::change(&self.strong, 1);
    }

    /// One reference less. Whether it was the last.
    fn dropped(&self, site: &'static Location<'static>) -> bool {
        self.note();
        let seen = self.events != Events::None && runtime::current().is_some();
        if seen {
            // Release: what this reference was used for happens before the value is dropped.
            self.count.attempt(Rmw::Sub, 1, 0, Ordering::Release, site);
        }
        let last = Header::change(&self.strong, -1) == 0;
        if last {
            self.freed();
            if seen {
                // Acquire: pairs with the Release of the other drops.
                runtime::request_step(
                    Label::new(Kind::Fence, Rmw::Swap, Ordering::Acquire, site),
                    None,
                );
            }
        }
        last
    }

    fn weak_cloned(&self, site: &'static Location<'static>) {
        if self.counts() {
            self.weak_count.attempt(Rmw::Add, 1, 0, Ordering::Relaxed, site);
        }
        self.note();
        Header::change(&self.weak, 1);
    }

    fn weak_dropped(&self, site: &'static Location<'static>) {
        self.note();
        if self.counts() {
            // Release: pairs with the Acquire in `get_mut`.
            self.weak_count.attempt(Rmw::Sub, 1, 0, Ordering::Release, site);
        }
        Header::change(&self.weak, -1);
    }

    /// The last reference is gone.
    fn freed(&self) {
        if self.raw.get() != 0 {
            raw_headers().remove(&self.raw.get());
        }
        if let (Some(allocation), Some(_)) = (self.allocation, runtime::current()) {
            runtime::with(|rt| rt.freed(allocation));
        }
    }
}

impl<T> Arc<T> {
    /// A value with a count.
    #[track_caller]
    pub fn new(value: T) -> Arc<T> {
        Arc::wrap(std::sync::Arc::new(value), Header::new::<T>(Location::caller()))
    }

    /// A pinned value with a count.
    #[track_caller]
    pub fn pin(data: T) -> Pin<Arc<T>> {
        // SAFETY: the value never moves.
        unsafe { Pin::new_unchecked(Arc::new(data)) }
    }

    /// A value that has a weak reference to itself.
    #[track_caller]
    pub fn new_cyclic<F: FnOnce(&Weak<T>) -> T>(data_fn: F) -> Arc<T> {
        let site = Location::caller();
        let header = std::sync::Arc::new(Header::new::<T>(site));
        if header.counts() {
            header.count.store(0, Ordering::Relaxed, site);
        }
        header.strong.set(0);
        header.weak_cloned(site);
        let theirs = header.clone();
        let value = std::sync::Arc::new_cyclic(move |weak| {
            data_fn(&Weak { value: weak.clone(), header: Some(theirs) })
        });
        if header.counts() {
            // Release: pairs with the Acquire in `upgrade`.
            header.count.store(1, Ordering::Release, site);
        }
        header.strong.set(1);
        Arc { value: ManuallyDrop::new(value), header }
    }

    /// Takes the value out, when the count says that this was the last reference.
    fn take(this: Arc<T>, site: &'static Location<'static>) -> T {
        if this.header.counts() {
            // Acquire: pairs with the Release of the other drops.
            runtime::request_step(
                Label::new(Kind::Fence, Rmw::Swap, Ordering::Acquire, site),
                None,
            );
        }
        Header::change(&this.header.strong, -1);
        this.header.freed();
        let mut this = ManuallyDrop::new(this);
        // SAFETY: `this` is not dropped, so both parts are taken once.
        let (value, header) = unsafe {
            (ManuallyDrop::take(&mut this.value), std::ptr::read(&raw const this.header))
        };
        drop(header);
        std::sync::Arc::into_inner(value).expect("this was the last reference")
    }

    /// Returns the value, if there is no other strong reference.
    ///
    /// # Errors
    /// Gives the reference back when there is another one.
    #[track_caller]
    pub fn try_unwrap(this: Arc<T>) -> Result<T, Arc<T>> {
        let site = Location::caller();
        let header = &this.header;
        header.ask(header.strong.get() - 1);
        let last = if header.counts() {
            header.count.attempt(Rmw::Cas, 1, 0, Ordering::Relaxed, site).wrote
        } else {
            header.note();
            header.strong.get() == 1
        };
        if last { Ok(Arc::take(this, site)) } else { Err(this) }
    }

    /// The value, if this is the last reference. Of those that are given up like this one gets it.
    #[track_caller]
    pub fn into_inner(this: Arc<T>) -> Option<T> {
        let site = Location::caller();
        let header = &this.header;
        header.ask(header.strong.get() - 1);
        if !header.counts() {
            return Some(Arc::take(this, site));
        }
        if header.count.attempt(Rmw::Sub, 1, 0, Ordering::Release, site).value == 1 {
            return Some(Arc::take(this, site));
        }
        Header::change(&header.strong, -1);
        let mut this = ManuallyDrop::new(this);
        // SAFETY: `this` is not dropped, so both parts are dropped once.
        unsafe {
            ManuallyDrop::drop(&mut this.value);
            std::ptr::drop_in_place(&raw mut this.header);
        }
        None
    }

    /// The value, or a clone of it.
    #[track_caller]
    pub fn unwrap_or_clone(this: Arc<T>) -> T
    where
        T: Clone,
    {
        Arc::try_unwrap(this).unwrap_or_else(|this| (*this).clone())
    }
}

impl<T: ?Sized> Arc<T> {
    fn wrap(value: std::sync::Arc<T>, header: Header) -> Arc<T> {
        Arc { value: ManuallyDrop::new(value), header: std::sync::Arc::new(header) }
    }

    /// Makes one of `std`'s into one of these: the way to get one of an unsized value.
    ///
    /// # Panics
    /// When it is not the only reference.
    #[track_caller]
    pub fn from_std(mut std: std::sync::Arc<T>) -> Self {
        assert!(
            std::sync::Arc::get_mut(&mut std).is_some(),
            "Arc provided to `from_std` is not unique"
        );
        Arc::wrap(std, Header::new::<T>(Location::caller()))
    }

    /// Returns the number of references.
    #[track_caller]
    pub fn strong_count(this: &Self) -> usize {
        let header = &this.header;
        header.ask(header.strong.get() - 1);
        if header.counts() {
            return header.count.load(Ordering::Relaxed, Location::caller()) as usize;
        }
        header.strong.get()
    }

    /// Returns the number of weak references.
    #[track_caller]
    pub fn weak_count(this: &Self) -> usize {
        let header = &this.header;
        header.ask(header.strong.get() - 1 + header.weak.get());
        if header.counts() {
            return header.weak_count.load(Ordering::Relaxed, Location::caller()) as usize;
        }
        header.weak.get()
    }

    /// Returns a reference to the value, if there is no other reference, strong or weak.
    #[track_caller]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        let site = Location::caller();
        let header = &this.header;
        header.ask(header.strong.get() - 1 + header.weak.get());
        if header.counts() {
            // Read-modify-writes, so that what they see is the newest. Acquire: pairs with the
            // Release of the drops.
            let alone =
                |word: &Word, n| word.attempt(Rmw::Cas, n, n, Ordering::Acquire, site).wrote;
            if !alone(&header.weak_count, 0) || !alone(&header.count, 1) {
                return None;
            }
        }
        std::sync::Arc::get_mut(&mut this.value)
    }

    /// Returns whether two references are to the same value.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&this.value, &other.value)
    }

    /// A pointer to the value.
    pub fn as_ptr(this: &Self) -> *const T {
        let ptr = std::sync::Arc::as_ptr(&this.value);
        let address = ptr.cast::<u8>().addr();
        this.header.raw.set(address);
        raw_headers().insert(address, this.header.clone());
        ptr
    }

    /// A pointer to the value, that keeps its count.
    pub fn into_raw(this: Self) -> *const T {
        let ptr = Arc::as_ptr(&this);
        let this = ManuallyDrop::new(this);
        // SAFETY: `this` is not dropped; the table has the header as well.
        drop(unsafe { std::ptr::read(&raw const this.header) });
        ptr
    }

    /// The reference that `into_raw` made a pointer of.
    ///
    /// # Safety
    /// The pointer comes from `into_raw`, once.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub unsafe fn from_raw(ptr: *const T) -> Self {
        let header = raw_headers().get(&ptr.cast::<u8>().addr()).cloned();
        let header =
            header.expect("`Arc::from_raw` of a pointer that does not come from `into_raw`");
        // SAFETY: as the caller says.
        let value = unsafe { std::sync::Arc::from_raw(ptr) };
        Arc { value: ManuallyDrop::new(value), header }
    }

    /// One reference more.
    ///
    /// # Safety
    /// The pointer comes from `into_raw`, and a reference is alive.
    #[track_caller]
    pub unsafe fn increment_strong_count(ptr: *const T) {
        // SAFETY: as the caller says; the reference is not dropped.
        let this = ManuallyDrop::new(unsafe { Arc::from_raw(ptr) });
        let _ = Arc::into_raw(Arc::clone(&this));
    }

    /// One reference less.
    ///
    /// # Safety
    /// The pointer comes from `into_raw`, and the reference is alive.
    #[track_caller]
    pub unsafe fn decrement_strong_count(ptr: *const T) {
        // SAFETY: as the caller says.
        drop(unsafe { Arc::from_raw(ptr) });
    }

    /// A weak reference.
    #[track_caller]
    pub fn downgrade(this: &Self) -> Weak<T> {
        this.header.weak_cloned(Location::caller());
        Weak { value: std::sync::Arc::downgrade(&this.value), header: Some(this.header.clone()) }
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        self.header.cloned(Location::caller());
        Arc { value: self.value.clone(), header: self.header.clone() }
    }
}

impl<T: ?Sized> Drop for Arc<T> {
    #[track_caller]
    fn drop(&mut self) {
        self.header.dropped(Location::caller());
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.value) };
    }
}

impl<T> Weak<T> {
    /// A weak reference to nothing.
    pub const fn new() -> Weak<T> {
        Weak { value: std::sync::Weak::new(), header: None }
    }
}

impl<T: ?Sized> Weak<T> {
    /// A reference, if the value is still there.
    #[track_caller]
    pub fn upgrade(&self) -> Option<Arc<T>> {
        let header = self.header.as_ref()?;
        header.ask(header.strong.get());
        if header.counts() {
            // Acquire: as in `std`, pairs with the Release in `new_cyclic`.
            let out =
                header.count.attempt(Rmw::AddUnless, 0, 1, Ordering::Acquire, Location::caller());
            if !out.wrote {
                return None;
            }
        }
        let value = self.value.upgrade()?;
        header.note();
        Header::change(&header.strong, 1);
        Some(Arc { value: ManuallyDrop::new(value), header: header.clone() })
    }

    /// Returns the number of references.
    #[track_caller]
    pub fn strong_count(&self) -> usize {
        let Some(header) = &self.header else { return 0 };
        header.ask(header.strong.get());
        if header.counts() {
            return header.count.load(Ordering::Relaxed, Location::caller()) as usize;
        }
        header.strong.get()
    }

    /// Returns whether two references are to the same value.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.value.ptr_eq(&other.value)
    }
}

impl<T: ?Sized> Drop for Weak<T> {
    #[track_caller]
    fn drop(&mut self) {
        if let Some(header) = &self.header {
            header.weak_dropped(Location::caller());
        }
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        if let Some(header) = &self.header {
            header.weak_cloned(Location::caller());
        }
        Weak { value: self.value.clone(), header: self.header.clone() }
    }
}

impl<T> Default for Weak<T> {
    fn default() -> Self {
        Weak::new()
    }
}

impl<T: ?Sized> fmt::Debug for Weak<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}

impl<T: ?Sized> Deref for Arc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> AsRef<T> for Arc<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> Borrow<T> for Arc<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: Default> Default for Arc<T> {
    fn default() -> Self {
        Arc::new(T::default())
    }
}

impl<T> From<T> for Arc<T> {
    #[track_caller]
    fn from(v: T) -> Self {
        Arc::new(v)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Pointer for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&std::sync::Arc::as_ptr(&self.value), f)
    }
}

impl<T: ?Sized + PartialEq> PartialEq for Arc<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for Arc<T> {}

impl<T: ?Sized + PartialOrd> PartialOrd for Arc<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Ord> Ord for Arc<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash> Hash for Arc<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
