//! What a queue keeps its items in, seen from the blocking layer: nothing here ever sleeps.

pub(crate) mod array;
pub(crate) mod cursor;
pub(crate) mod fifo;
pub(crate) mod list;
pub(crate) mod locked;

/// Why an item was not taken in.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    Full(T),
    Shut(T),
}

/// Why none was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    Empty,
    Shut,
}

/// `true`: the other side may be asleep and has to be told (at once, and by the caller: it is the
/// only one who knows).
pub(crate) type Marked = bool;

/// A place for items. Every operation is one step in an order that all threads agree on.
pub(crate) trait Store<T> {
    fn push(&self, item: T) -> Result<Marked, Refused<T>>;

    fn pop(&self) -> Result<(T, Marked), Nothing>;

    /// Takes in a first few of `items`, in one step; how many. `Ok(0)`: full.
    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Marked), Nothing>;

    /// Hands out at least one, at most `max`, in one step.
    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Marked), Nothing>;

    /// Takes the item in, if need be in the place of the one that would be next; that one.
    fn force_push(&self, item: T) -> Result<(Option<T>, Marked), T>;

    /// If a put would have to wait: sets the mark that `pop` returns, and `true`.
    fn mark_putter(&self) -> bool;

    /// If a get would have to wait: sets the mark that `push` returns, and `true`.
    fn mark_getter(&self) -> bool;

    fn unmark_putters(&self);

    fn unmark_getters(&self);

    /// No push succeeds after this.
    fn shut(&self);

    fn is_shut(&self) -> bool;

    /// Shuts, and takes out what is inside; no pop succeeds after this. `taken` is told how many,
    /// before any user's code runs.
    fn shut_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T>;

    fn len(&self) -> usize;

    fn capacity(&self) -> Option<usize>;

    /// How many pushes have succeeded so far.
    fn pushed(&self) -> u64;
}
