//! The ends of a channel as the cases of a select.

use std::time::Instant;

use crate::channel::token::Token;
use crate::channel::{Receiver, Sender};
use crate::wait::selector::Selector;

/// An end of a channel, as a case of a select. The calls are those of the algorithm of
/// [`select`](super::select).
pub(crate) trait Operation {
    /// Begins the operation, if it can go on.
    fn start(&self) -> Option<Token>;

    /// Begins the operation, if it is seen to be possible: cheaper than [`start`](Self::start), and
    /// may miss what happened a moment ago. For a caller that watches before it sleeps.
    fn attempt(&self) -> Option<Token>;

    /// Begins the operation after `selector` was chosen for it.
    fn accept(&self, selector: &Selector) -> Option<Token>;

    /// Adds a ticket. Returns `false` if the operation can go on.
    fn watch(&self, selector: &Selector, case: u32, observe: bool) -> bool;

    fn unwatch(&self, selector: &Selector);

    /// Returns whether the operation can go on at the moment.
    fn is_ready(&self) -> bool;

    /// Returns a number that changes whenever the operation becomes possible (L1).
    fn version(&self) -> u64;

    /// Returns when the operation becomes possible by the clock alone.
    fn due(&self) -> Option<Instant>;

    /// Leaves an operation that was begun.
    fn leave(&self, token: Token);

    /// Returns the address of the channel, and whether this is the receiving end.
    fn id(&self) -> (*const (), bool);
}

impl<T> Operation for Sender<T> {
    fn start(&self) -> Option<Token> {
        self.channel.flavor.start_send()
    }

    fn attempt(&self) -> Option<Token> {
        self.start()
    }

    fn accept(&self, selector: &Selector) -> Option<Token> {
        self.channel.flavor.accept_send(selector)
    }

    fn watch(&self, selector: &Selector, case: u32, observe: bool) -> bool {
        self.channel.flavor.watch(false, selector, case, observe)
    }

    fn unwatch(&self, selector: &Selector) {
        self.channel.flavor.unwatch(false, selector);
    }

    fn is_ready(&self) -> bool {
        self.channel.flavor.is_ready(false)
    }

    fn version(&self) -> u64 {
        self.channel.flavor.version(false)
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn leave(&self, token: Token) {
        // SAFETY: the token is from this channel: `SelectedOperation` keeps the two together.
        drop(unsafe { self.channel.flavor.finish_send(token, None) });
    }

    fn id(&self) -> (*const (), bool) {
        (self.channel.address(), false)
    }
}

impl<T> Operation for Receiver<T> {
    fn start(&self) -> Option<Token> {
        self.channel.flavor.start_recv()
    }

    fn attempt(&self) -> Option<Token> {
        self.channel.flavor.attempt_recv()
    }

    fn accept(&self, selector: &Selector) -> Option<Token> {
        self.channel.flavor.accept_recv(selector)
    }

    fn watch(&self, selector: &Selector, case: u32, observe: bool) -> bool {
        self.channel.flavor.watch(true, selector, case, observe)
    }

    fn unwatch(&self, selector: &Selector) {
        self.channel.flavor.unwatch(true, selector);
    }

    fn is_ready(&self) -> bool {
        self.channel.flavor.is_ready(true)
    }

    fn version(&self) -> u64 {
        self.channel.flavor.version(true)
    }

    fn due(&self) -> Option<Instant> {
        self.channel.flavor.due()
    }

    fn leave(&self, token: Token) {
        // The item is leaked, not dropped: a `Select` may be on another thread than the channel,
        // and the item need not be `Send` then.
        drop(token);
    }

    fn id(&self) -> (*const (), bool) {
        (self.channel.address(), true)
    }
}
