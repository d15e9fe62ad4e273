//! One wait for the first of several sends and receives.
//!
//! # Source
//!
//! crossbeam-channel's `Select`, whose interface this is; the two phases are those of its
//! `select.rs`. Linearisable answers, items that are taken out at the choice, and partners that are
//! told when a select leaves are ours.
//!
//! # Algorithm
//!
//! 1. Try each case. The first that can go on is chosen: a receive takes its item out, a send takes
//!    room for its item (a place in the array), or a partner. A call that may wait looks without a
//!    fence: it may miss an item that came a moment ago, which step 2 finds.
//! 2. If none can, watch all of them: a ticket of one [`Selector`] goes into the list of each
//!    channel. A case that has become possible meanwhile ends this.
//! 3. Sleep until a thread chooses the selector, which names the case, or until the time is up.
//! 4. Remove the tickets, try the chosen case first (S4 of `selector`), and start again.
//!
//! The caller then completes the chosen case, which cannot block or fail, except that a send finds
//! the channel closed, by a call or because all receivers are gone.
//!
//! # Invariants
//!
//! L1. "None is ready" is true of one moment within the call, for all cases together. Each case has
//! a version, which changes whenever the case becomes possible. All versions are read, all cases
//! are found impossible, and all versions are found unchanged: then no case became possible between
//! its try and the second reading, so all were impossible when the last try ended. (A loop that
//! only tries each case can find the first channel empty, then another thread puts an item into it
//! and takes the item of the second: at each moment there was an item, and none was found.)
//!
//! L2. A select never meets itself: it stands in no list while it tries (steps 1 and 4), and step 2
//! matches nothing.
//!
//! L3. Among several cases that are possible, each is chosen with the same probability: the cases
//! are shuffled before each call. A biased select keeps their order.
//!
//! # Memory orderings
//!
//! Those of the operations. The second reading of the versions stands behind a SeqCst fence, as do
//! the answers Full and Empty (`cursor`, `settled`).

use core::fmt;
use core::mem::ManuallyDrop;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::{Ordering, fence};
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::{MODELLED, thread};
use sync_core::{CancelToken, Cancelled};

use crate::channel::error::{RecvError, SendError};
use crate::channel::operation::Operation;
use crate::channel::select_error::{
    ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError,
};
use crate::channel::token::Token;
use crate::channel::{Receiver, Sender};
use crate::wait::random::Draws;
use crate::wait::selector::{Ended, Selector};
use crate::wait::timeout::Timeout;

/// The number of times that a select yields and tries again before it sleeps.
const YIELDS: u32 = if MODELLED { 0 } else { 16 };

/// One case. Made by [`Select`] and by the macros.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    operation: &'a dyn Operation,
    index: usize,
    version: u64,
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<'a> Case<'a> {
    /// A case that sends.
    #[doc(hidden)]
    pub fn send<T>(sender: &'a Sender<T>) -> Self {
        Self { operation: sender, index: 0, version: 0 }
    }

    /// A case that receives.
    #[doc(hidden)]
    pub fn recv<T>(receiver: &'a Receiver<T>) -> Self {
        Self { operation: receiver, index: 0, version: 0 }
    }

    fn selected(&self, token: Token) -> SelectedOperation<'a> {
        SelectedOperation { token: ManuallyDrop::new(token), case: *self }
    }
}

/// Puts the cases into a random order (L3). Not under a checker, which needs executions that can be
/// repeated.
fn shuffle(cases: &mut [Case<'_>], biased: bool) {
    if biased || MODELLED {
        return;
    }
    let mut draws = Draws::new(cases.len());
    for at in 1..cases.len() {
        cases.swap(at, draws.below(at + 1));
    }
}

/// The purpose for which a call chooses a case.
trait Want<'a> {
    type Answer;
    /// Whether the call only observes.
    const OBSERVES: bool;
    /// Tries one case.
    fn get(case: &Case<'a>) -> Option<Self::Answer>;
    /// Tries one case, and may miss what happened a moment ago.
    fn attempt(case: &Case<'a>) -> Option<Self::Answer>;
    /// Tries the case that was chosen.
    fn accept(case: &Case<'a>, selector: &Selector) -> Option<Self::Answer>;
}

/// To begin the operation.
struct Begin;

impl<'a> Want<'a> for Begin {
    type Answer = SelectedOperation<'a>;
    const OBSERVES: bool = false;

    fn get(case: &Case<'a>) -> Option<SelectedOperation<'a>> {
        case.operation.start().map(|token| case.selected(token))
    }

    fn attempt(case: &Case<'a>) -> Option<SelectedOperation<'a>> {
        case.operation.attempt().map(|token| case.selected(token))
    }

    fn accept(case: &Case<'a>, selector: &Selector) -> Option<SelectedOperation<'a>> {
        case.operation.accept(selector).map(|token| case.selected(token))
    }
}

/// To know that the operation can go on.
struct Know;

impl<'a> Want<'a> for Know {
    type Answer = usize;
    const OBSERVES: bool = true;

    fn get(case: &Case<'a>) -> Option<usize> {
        case.operation.is_ready().then_some(case.index)
    }

    fn attempt(case: &Case<'a>) -> Option<usize> {
        Self::get(case)
    }

    fn accept(case: &Case<'a>, _: &Selector) -> Option<usize> {
        Self::get(case)
    }
}

/// Tries each case once. "None" is a hint: the caller watches before it sleeps, and before it
/// returns "none" it calls [`try_all`].
fn try_each<'a, W: Want<'a>>(cases: &[Case<'a>]) -> Option<W::Answer> {
    cases.iter().find_map(W::attempt)
}

/// Tries the cases until one can go on, or none can at one moment (L1).
fn try_all<'a, W: Want<'a>>(cases: &mut [Case<'a>]) -> Option<W::Answer> {
    if let [only] = cases {
        return W::get(only);
    }
    loop {
        for case in &mut *cases {
            case.version = case.operation.version();
        }
        if let Some(answer) = cases.iter().find_map(W::get) {
            return Some(answer);
        }
        // SeqCst: see "Memory orderings".
        fence(Ordering::SeqCst);
        if cases.iter().all(|case| case.operation.version() == case.version) {
            return None;
        }
    }
}

/// The case with this index among shuffled ones.
fn run<'a, W: Want<'a>>(
    cases: &mut [Case<'a>],
    timeout: Timeout,
    biased: bool,
) -> Option<W::Answer> {
    run_until::<W>(cases, timeout, biased, None)
}

/// As [`run`], until the token is cancelled.
fn run_until<'a, W: Want<'a>>(
    cases: &mut [Case<'a>],
    timeout: Timeout,
    biased: bool,
    token: Option<&CancelToken>,
) -> Option<W::Answer> {
    shuffle(cases, biased);
    if let Timeout::None = timeout {
        return try_all::<W>(cases);
    }
    if let Some(answer) = try_each::<W>(cases) {
        return Some(answer);
    }
    let Ok(deadline) = timeout.deadline() else {
        return try_all::<W>(cases);
    };
    let mut yields = 0;
    loop {
        if yields < YIELDS {
            yields += 1;
            thread::yield_now();
            if let Some(answer) = try_each::<W>(cases) {
                return Some(answer);
            }
            continue;
        }
        match wait::<W>(cases, deadline, token) {
            Woken::With(answer) => return Some(answer),
            Woken::Late => return try_all::<W>(cases),
            Woken::Again if token.is_some_and(CancelToken::is_cancelled) => {
                return try_all::<W>(cases);
            }
            Woken::Again => {}
        }
        if let Some(answer) = try_each::<W>(cases) {
            return Some(answer);
        }
    }
}

/// How one sleep of a select ended.
enum Woken<A> {
    With(A),
    /// The time is up.
    Late,
    Again,
}

/// Watches all cases, sleeps, and tries the case that was chosen.
fn wait<'a, W: Want<'a>>(
    cases: &[Case<'a>],
    deadline: Option<Deadline>,
    token: Option<&CancelToken>,
) -> Woken<W::Answer> {
    let selector = Selector::new();
    // The selector must not go while a ticket is in a list (S2).
    let watched = Watched { selector: &selector, cases };
    let all = (0_u32..).zip(cases).all(|(number, case)| {
        case.operation.watch(&selector, number, W::OBSERVES) && selector.ended().is_none()
    });
    let mut late = false;
    let ended = if all {
        // The clock makes cases possible without waking any thread.
        let clock = cases.iter().filter_map(|case| case.operation.due()).min();
        let due = clock.and_then(Deadline::at);
        let first = match (deadline, due) {
            (Some(deadline), Some(due)) => Some(deadline.min(due)),
            (deadline, due) => deadline.or(due),
        };
        match token {
            None => {
                let ended = selector.wait(first);
                late = ended == Ended::Aborted && first == deadline;
                ended
            }
            // A call that a token ends has no deadline.
            Some(token) => selector.wait_or_cancelled(clock, token),
        }
    } else {
        selector.abort()
    };
    drop(watched);
    match ended {
        Ended::Chosen(number) => match W::accept(&cases[number as usize], &selector) {
            Some(answer) => Woken::With(answer),
            None => Woken::Again,
        },
        Ended::Aborted if late => Woken::Late,
        Ended::Aborted => Woken::Again,
    }
}

/// Removes the tickets of a selector.
struct Watched<'s, 'a> {
    selector: &'s Selector,
    cases: &'s [Case<'a>],
}

impl Drop for Watched<'_, '_> {
    fn drop(&mut self) {
        for case in self.cases {
            case.operation.unwatch(self.selector);
        }
    }
}

/// Gives the cases of a macro their indices.
fn number(cases: &mut [Case<'_>]) {
    for (index, case) in cases.iter_mut().enumerate() {
        case.index = index;
    }
}

/// A select of one case or more, without a limit of time.
#[track_caller]
fn forever<'a, W: Want<'a>>(cases: &mut [Case<'a>], biased: bool) -> W::Answer {
    assert!(!cases.is_empty(), "a select without cases would wait forever");
    match run::<W>(cases, Timeout::Forever, biased) {
        Some(answer) => answer,
        None => unreachable!("a wait without a limit ends with a case"),
    }
}

/// `select!` without a default.
#[doc(hidden)]
#[track_caller]
pub fn select<'a>(cases: &mut [Case<'a>], biased: bool) -> SelectedOperation<'a> {
    number(cases);
    forever::<Begin>(cases, biased)
}

/// `select!` with a default.
#[doc(hidden)]
pub fn try_select<'a>(
    cases: &mut [Case<'a>],
    biased: bool,
) -> Result<SelectedOperation<'a>, TrySelectError> {
    number(cases);
    run::<Begin>(cases, Timeout::None, biased).ok_or(TrySelectError)
}

/// `select!` with a default after some time.
#[doc(hidden)]
pub fn select_timeout<'a>(
    cases: &mut [Case<'a>],
    timeout: Duration,
    biased: bool,
) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
    number(cases);
    run::<Begin>(cases, Timeout::For(timeout), biased).ok_or(SelectTimeoutError)
}

/// The end of a macro's list of cases.
#[doc(hidden)]
#[cold]
pub fn no_such_case(selected: SelectedOperation<'_>) -> ! {
    unreachable!(
        "case {} was chosen and is not in the list",
        ManuallyDrop::new(selected).case.index
    )
}

/// Waits for the first of several sends and receives whose number is not known when the program is
/// written. If it is, [`select!`](crate::select!) is shorter.
///
/// Add cases with [`send`](Self::send) and [`recv`](Self::recv), which return the index of the
/// case. A call of the `select` family chooses a case that can go on and begins it; the caller
/// completes it on the same end with [`SelectedOperation::send`] or [`SelectedOperation::recv`]. A
/// call of the `ready` family only reports a case that can go on; another thread may be faster.
///
/// A case is possible when it would not wait, which includes that the other side is gone. Among
/// several possible cases one is chosen at random; with [`new_biased`](Self::new_biased) the first.
/// A call that finds no case possible reports a moment at which none was. A select never meets
/// itself on a channel with room for none.
///
/// # Examples
///
/// ```
/// use sync_queue::channel::{Select, unbounded};
///
/// let channels: Vec<_> = (0..10).map(|_| unbounded()).collect();
/// channels[7].0.send("seven").unwrap();
///
/// let mut select = Select::new();
/// for (_, receiver) in &channels {
///     select.recv(receiver);
/// }
/// let selected = select.select();
/// assert_eq!(selected.index(), 7);
/// assert_eq!(selected.recv(&channels[7].1), Ok("seven"));
/// ```
///
/// # Memory ordering
///
/// That of the send or receive that is completed. The `ready` family orders nothing.
///
/// # Source of the algorithm
///
/// crossbeam-channel's `select.rs`; the invariants are at the top of `channel/select.rs`.
#[derive(Clone)]
pub struct Select<'a> {
    cases: Vec<Case<'a>>,
    next: usize,
    biased: bool,
}

// SAFETY: the operations behind the cases may be called from any thread: they move items, and
// never call into them or drop them (`Operation::leave` leaks). The item of a chosen case gets out
// only through a reference to its own end, which is on another thread only if that end is `Sync`.
unsafe impl Send for Select<'_> {}
// SAFETY: a shared `Select` does nothing but print itself and clone.
unsafe impl Sync for Select<'_> {}

impl<'a> Select<'a> {
    /// Creates a select without cases.
    #[must_use]
    pub fn new() -> Self {
        Self { cases: Vec::new(), next: 0, biased: false }
    }

    /// Creates a select without cases that prefers the case that was added first.
    #[must_use]
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::new() }
    }

    /// Adds a case that sends. Returns its index: the first case of a select has index 0.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(Case::send(sender))
    }

    /// Adds a case that receives. Returns its index.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(Case::recv(receiver))
    }

    fn add(&mut self, case: Case<'a>) -> usize {
        let index = self.next;
        self.cases.push(Case { index, ..case });
        self.next += 1;
        index
    }

    /// Removes the case with this index. The other cases keep theirs, and no case gets it again.
    ///
    /// # Panics
    ///
    /// If there is no case with this index.
    #[track_caller]
    pub fn remove(&mut self, index: usize) {
        match self.cases.iter().position(|case| case.index == index) {
            // The order matters to a biased select.
            Some(at) => drop(self.cases.remove(at)),
            None => panic!("there is no case with the index {index}"),
        }
    }

    /// Removes all cases, and keeps the memory for the cases of a next use.
    #[must_use]
    pub fn recycle<'b>(mut self) -> Select<'b> {
        self.cases.clear();
        // An empty vector, collected in place.
        let cases = self.cases.into_iter().map(|_| unreachable!("it was cleared")).collect();
        Select { cases, next: 0, biased: self.biased }
    }

    fn run<W: Want<'a>>(&mut self, timeout: Timeout) -> Option<W::Answer> {
        run::<W>(&mut self.cases, timeout, self.biased)
    }

    /// Begins a case that can go on. Never sleeps.
    ///
    /// # Errors
    ///
    /// [`TrySelectError`] if no case could go on at a moment within the call.
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.run::<Begin>(Timeout::None).ok_or(TrySelectError)
    }

    /// Begins a case that can go on, waiting for one as long as it takes.
    ///
    /// # Panics
    ///
    /// If there are no cases.
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        forever::<Begin>(&mut self.cases, self.biased)
    }

    /// Begins a case that can go on, waiting for one until the token is cancelled at most.
    ///
    /// ```
    /// use sync_core::{CancelToken, Cancelled};
    /// use sync_queue::channel::{Select, unbounded};
    ///
    /// let (stop, (sender, receiver)) = (CancelToken::new(), unbounded::<u32>());
    /// stop.cancel();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert_eq!(select.ready_or_cancelled(&stop), Err(Cancelled));
    /// sender.send(1).unwrap();
    /// assert_eq!(select.select_or_cancelled(&stop).unwrap().recv(&receiver), Ok(1));
    /// ```
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while no case could go on.
    pub fn select_or_cancelled(
        &mut self,
        token: &CancelToken,
    ) -> Result<SelectedOperation<'a>, Cancelled> {
        let Self { cases, biased, .. } = self;
        run_until::<Begin>(cases, Timeout::Forever, *biased, Some(token)).ok_or(Cancelled)
    }

    /// Returns the index of a case that can go on, waiting for one until the token is cancelled at
    /// most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while no case could go on.
    pub fn ready_or_cancelled(&mut self, token: &CancelToken) -> Result<usize, Cancelled> {
        let Self { cases, biased, .. } = self;
        run_until::<Know>(cases, Timeout::Forever, *biased, Some(token)).ok_or(Cancelled)
    }

    /// Begins a case that can go on, waiting for one at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] if no case could go on in time.
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run::<Begin>(Timeout::For(timeout)).ok_or(SelectTimeoutError)
    }

    /// Begins a case that can go on, waiting for one until `deadline`.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] if no case could go on in time.
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run::<Begin>(Timeout::Until(deadline)).ok_or(SelectTimeoutError)
    }

    /// Returns the index of a case that can go on. Never sleeps.
    ///
    /// # Errors
    ///
    /// [`TryReadyError`] if no case could go on at a moment within the call.
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.run::<Know>(Timeout::None).ok_or(TryReadyError)
    }

    /// Returns the index of a case that can go on, waiting for one as long as it takes. A snapshot:
    /// another thread may have been faster before the call returns.
    ///
    /// # Panics
    ///
    /// If there are no cases.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        forever::<Know>(&mut self.cases, self.biased)
    }

    /// Returns the index of a case that can go on, waiting for one at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] if no case could go on in time.
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.run::<Know>(Timeout::For(timeout)).ok_or(ReadyTimeoutError)
    }

    /// Returns the index of a case that can go on, waiting for one until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] if no case could go on in time.
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.run::<Know>(Timeout::Until(deadline)).ok_or(ReadyTimeoutError)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("cases", &self.cases.len())
            .field("biased", &self.biased)
            .finish()
    }
}

/// A case that was chosen and begun. Complete it with [`send`](Self::send) or [`recv`](Self::recv).
///
/// A send that was begun and not completed holds up receivers of its channel, asleep:
///
/// * In a channel with room, no receive passes over the place of the send: for receivers nothing is
///   inside, also if items were sent after the choice. Each waits within its own limit of time.
/// * With room for none, the receiver that was chosen as the partner waits for the item, whatever
///   its own limit, until the send is completed or the channel is closed: a rendezvous is one step
///   of both, and this one has begun.
///
/// So complete it soon, and do not wait without a limit for an item of the same channel before
/// that. Do not forget it (`mem::forget`): nothing behind it would be received until the channel is
/// closed.
///
/// # Panics
///
/// If it is dropped instead, unless the thread is panicking already. The other threads go on then
/// as if the case had not been chosen, but the item of a receive is lost (leaked).
#[must_use = "a chosen case must be completed"]
pub struct SelectedOperation<'a> {
    token: ManuallyDrop<Token>,
    case: Case<'a>,
}

impl SelectedOperation<'_> {
    /// Returns the index of the case.
    #[must_use]
    pub fn index(&self) -> usize {
        self.case.index
    }

    /// Takes the token out, if the case is the operation `id`.
    #[track_caller]
    fn complete(self, operation: &dyn Operation, end: &str) -> Token {
        assert!(
            operation.id() == self.case.operation.id(),
            "a case is completed with another {end} than was chosen"
        );
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the token is taken out once: `this` is not used or dropped after this.
        unsafe { ManuallyDrop::take(&mut this.token) }
    }

    /// Completes a send. Does not block.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the item if the channel is closed, or all receivers are gone, also if that
    /// came after the choice.
    ///
    /// # Panics
    ///
    /// If the case is not a send of the channel of `sender`.
    #[track_caller]
    pub fn send<T>(self, sender: &Sender<T>, item: T) -> Result<(), SendError<T>> {
        let token = self.complete(sender, "sender");
        // SAFETY: the token is from this channel: the addresses are equal, and the channel was not
        // freed since, as the case borrows an end of it.
        match unsafe { sender.channel.flavor.finish_send(token, Some(item)) } {
            Ok(()) => Ok(()),
            Err(Some(item)) => Err(SendError(item)),
            Err(None) => unreachable!("an item that is not sent comes back"),
        }
    }

    /// Completes a receive. Does not block.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone and nothing was left inside.
    ///
    /// # Panics
    ///
    /// If the case is not a receive of the channel of `receiver`.
    #[track_caller]
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        match self.complete(receiver, "receiver") {
            Token::Closed => Err(RecvError),
            // SAFETY: the token is from this channel, as in `send`, so the item is a `T`.
            Token::Item(item) => Ok(unsafe { item.into_inner() }),
            Token::Room(_) | Token::Partner(_) => unreachable!("the case is a receive"),
        }
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        // SAFETY: `complete` forgets the operation, so the token was not taken out.
        let token = unsafe { ManuallyDrop::take(&mut self.token) };
        // Before the panic: other threads may wait for it.
        self.case.operation.leave(token);
        // A panic that is under way, of the expression of an item perhaps, is reason enough.
        if !std::thread::panicking() {
            panic!("dropped `SelectedOperation` without completing the operation");
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedOperation").field("index", &self.index()).finish_non_exhaustive()
    }
}
