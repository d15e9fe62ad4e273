//! Panics whose payload panics when it is dropped.

/// The behaviour of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It panics.
    Panics,
    /// It panics, and the `Drop` of the payload panics.
    PayloadPanics,
    /// And so does the `Drop` of that payload.
    PayloadPanicsTwice,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Panics, Kind::PayloadPanics, Kind::PayloadPanicsTwice];

/// A payload.
pub(crate) struct Bomb(pub(crate) Kind);

impl Kind {
    /// Panics.
    pub(crate) fn blow(self) -> ! {
        std::panic::panic_any(Bomb(self))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        match self.0 {
            Kind::Panics => {}
            Kind::PayloadPanics => Kind::Panics.blow(),
            Kind::PayloadPanicsTwice => Kind::PayloadPanics.blow(),
        }
    }
}
