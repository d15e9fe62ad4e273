use crate::engine::event::{Kind, Label, Rmw};
use crate::engine::object::Word;
use crate::engine::runtime;
use crate::sync::atomic::fence;
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

/// What the checker knows of a value with references to it.
///
/// Where the order of two drops can be seen, because the value has a destructor, each drop is a
/// read-modify-write of `drops`; else it is no event.
struct Header {
    drops: Word,
    /// References; the model's own, so those of `std` behind them are never looked at.
    strong: Cell<usize>,
    /// Number of the allocation in the execution's list, for the search for leaks.
    allocation: Option<usize>,
    /// Clones and drops with the points of their threads at which they were made, for who asks for
    /// the count: it is as many as happen before the question.
    log: RefCell<Vec<(i32, u32, u32)>>,
}

/// Replaces `std::sync::Arc`. One that is never dropped is a leak, and fails the model.
///
/// Counts ([`strong_count`](Self::strong_count), [`get_mut`](Self::get_mut),
/// [`try_unwrap`](Self::try_unwrap)) are those that happen before the question.
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
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync + Send> Sync for Arc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync + Send> Send for Weak<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync + Send> Sync for Weak<T> {}
// SAFETY: as above, for the table of raw pointers.
unsafe impl Send for Header {}
// SAFETY: as above.
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
    fn new(site: &'static Location<'static>) -> Header {
        let allocation = runtime::current().map(|_| runtime::with(|rt| rt.allocated("Arc", site)));
        Header {
            drops: Word::new(0),
            strong: Cell::new(1),
            allocation,
            log: RefCell::default(),
        }
    }

    fn note(&self, change: i32) {
        if runtime::current().is_some() {
            let (tid, epoch) = runtime::with(|rt| (rt.cur(), rt.epoch()));
            self.log.borrow_mut().push((change, tid, epoch));
        }
    }

    fn change(&self, by: isize) -> usize {
        let strong = self.strong.get().wrapping_add_signed(by);
        self.strong.set(strong);
        strong
    }

    /// The count as far as it happens before this point. `inspected`: the value has a destructor,
    /// so the question has its place among the drops.
    fn count(&self, inspected: bool, site: &'static Location<'static>) -> usize {
        if runtime::current().is_none() {
            return self.strong.get();
        }
        if inspected {
            self.drops.attempt(Rmw::Add, 0, 0, Ordering::AcqRel, site);
        }
        let log = self.log.borrow();
        runtime::with(|rt| {
            let seen = log
                .iter()
                .filter(|(_, tid, epoch)| rt.ordered(*tid, *epoch));
            seen.fold(1_i64, |n, (change, ..)| n + i64::from(*change))
                .max(0) as usize
        })
    }

    /// The last reference is gone.
    fn freed(&self) {
        if let Some(allocation) = self.allocation
            && runtime::current().is_some()
        {
            runtime::with(|rt| rt.freed(allocation));
        }
    }
}

impl<T> Arc<T> {
    /// A value with a count.
    #[track_caller]
    pub fn new(value: T) -> Arc<T> {
        Arc::wrap(std::sync::Arc::new(value), Header::new(Location::caller()))
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
        let header = std::sync::Arc::new(Header::new(Location::caller()));
        let theirs = header.clone();
        let value = std::sync::Arc::new_cyclic(move |weak| {
            data_fn(&Weak {
                value: weak.clone(),
                header: Some(theirs),
            })
        });
        Arc {
            value: ManuallyDrop::new(value),
            header,
        }
    }

    /// The value, if nobody else has a reference.
    ///
    /// # Errors
    /// Gives the reference back when somebody has.
    #[track_caller]
    pub fn try_unwrap(this: Arc<T>) -> Result<T, Arc<T>> {
        if this
            .header
            .count(std::mem::needs_drop::<T>(), Location::caller())
            != 1
            || this.header.strong.get() != 1
        {
            return Err(this);
        }
        if runtime::current().is_some() {
            fence(Ordering::Acquire);
        }
        this.header.note(-1);
        this.header.change(-1);
        this.header.freed();
        let mut this = ManuallyDrop::new(this);
        // SAFETY: `this` is not dropped, so both parts are taken once.
        let (value, header) = unsafe {
            (
                ManuallyDrop::take(&mut this.value),
                std::ptr::read(&raw const this.header),
            )
        };
        drop(header);
        Ok(std::sync::Arc::into_inner(value).expect("this was the last reference"))
    }

    /// The value, if this is the last reference.
    #[track_caller]
    pub fn into_inner(this: Arc<T>) -> Option<T> {
        Arc::try_unwrap(this).ok()
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
        Arc {
            value: ManuallyDrop::new(value),
            header: std::sync::Arc::new(header),
        }
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
        Arc::wrap(std, Header::new(Location::caller()))
    }

    /// How many references there are.
    #[track_caller]
    pub fn strong_count(this: &Self) -> usize {
        this.header
            .count(std::mem::needs_drop::<T>(), Location::caller())
    }

    /// How many weak references there are.
    pub fn weak_count(this: &Self) -> usize {
        std::sync::Arc::weak_count(&this.value)
    }

    /// A reference to the value, if nobody else has one.
    #[track_caller]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        if this
            .header
            .count(std::mem::needs_drop::<T>(), Location::caller())
            == 1
        {
            std::sync::Arc::get_mut(&mut this.value)
        } else {
            None
        }
    }

    /// Whether two references are to the same value.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&this.value, &other.value)
    }

    /// A pointer to the value.
    pub fn as_ptr(this: &Self) -> *const T {
        let ptr = std::sync::Arc::as_ptr(&this.value);
        raw_headers().insert(ptr.cast::<u8>().addr(), this.header.clone());
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
        Arc {
            value: ManuallyDrop::new(value),
            header,
        }
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
    pub fn downgrade(this: &Self) -> Weak<T> {
        Weak {
            value: std::sync::Arc::downgrade(&this.value),
            header: Some(this.header.clone()),
        }
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.header.note(1);
        self.header.change(1);
        Arc {
            value: self.value.clone(),
            header: self.header.clone(),
        }
    }
}

impl<T: ?Sized> Drop for Arc<T> {
    #[track_caller]
    fn drop(&mut self) {
        let site = Location::caller();
        self.header.note(-1);
        let seen = std::mem::needs_drop::<T>() && runtime::current().is_some();
        if seen {
            // Release: what this reference was used for happens before the value is dropped.
            self.header
                .drops
                .attempt(Rmw::Add, 1, 0, Ordering::Release, site);
        }
        if self.header.change(-1) == 0 {
            self.header.freed();
            if seen {
                // Acquire: pairs with the Release of the other drops.
                runtime::perform(
                    Label::new(Kind::Fence, Rmw::Swap, Ordering::Acquire, site),
                    None,
                );
            }
        }
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.value) };
    }
}

impl<T> Weak<T> {
    /// A weak reference to nothing.
    pub const fn new() -> Weak<T> {
        Weak {
            value: std::sync::Weak::new(),
            header: None,
        }
    }
}

impl<T: ?Sized> Weak<T> {
    /// A reference, if the value is still there.
    #[track_caller]
    pub fn upgrade(&self) -> Option<Arc<T>> {
        let header = self.header.as_ref()?;
        if std::mem::needs_drop::<T>() && runtime::current().is_some() {
            header
                .drops
                .attempt(Rmw::Add, 0, 0, Ordering::AcqRel, Location::caller());
        }
        if header.strong.get() == 0 {
            return None;
        }
        let value = self.value.upgrade()?;
        header.note(1);
        header.change(1);
        Some(Arc {
            value: ManuallyDrop::new(value),
            header: header.clone(),
        })
    }

    /// How many references there are.
    pub fn strong_count(&self) -> usize {
        self.header.as_ref().map_or(0, |h| h.strong.get())
    }

    /// Whether two references are to the same value.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.value.ptr_eq(&other.value)
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Weak {
            value: self.value.clone(),
            header: self.header.clone(),
        }
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
