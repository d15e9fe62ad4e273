//! A stream from a function that returns a future: `unfold` of the crate `futures`.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

/// A stream of the items that the futures return, each of which takes the state and returns it.
pub(crate) struct Unfold<S, F, N> {
    state: Option<S>,
    next: N,
    /// Pinned with the stream. `None` between two items, and at the end.
    future: Option<F>,
}

impl<S, F, N, T> Unfold<S, F, N>
where
    N: FnMut(S) -> F,
    F: Future<Output = Option<(T, S)>>,
{
    pub(crate) fn new(state: S, next: N) -> Self {
        Self { state: Some(state), next, future: None }
    }
}

impl<S, F, N, T> Stream for Unfold<S, F, N>
where
    N: FnMut(S) -> F,
    F: Future<Output = Option<(T, S)>>,
{
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: the future is not moved: it is made and dropped in its place. `Unfold` is `Unpin`
        // only if its future is, and has no `Drop`. State and function are not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if let Some(state) = this.state.take() {
            this.future = Some((this.next)(state));
        }
        let Some(future) = &mut this.future else { return Poll::Ready(None) };
        // SAFETY: the future is not moved: it is made and dropped in its place.
        let Poll::Ready(next) = unsafe { Pin::new_unchecked(future) }.poll(context) else {
            return Poll::Pending;
        };
        this.future = None;
        Poll::Ready(next.map(|(item, state)| {
            this.state = Some(state);
            item
        }))
    }
}

impl<S, F, N, T> FusedStream for Unfold<S, F, N>
where
    N: FnMut(S) -> F,
    F: Future<Output = Option<(T, S)>>,
{
    fn is_terminated(&self) -> bool {
        self.state.is_none() && self.future.is_none()
    }
}
