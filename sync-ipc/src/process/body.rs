//! The bytes of a message: collected, carried, and read.
//!
//! A body of up to [`INLINE`] bytes goes through the socket. A longer one is in a memfd, whose
//! descriptor goes with the message.
//!
//! **Sealed files.** Arguments and results of a [`Process`](crate::Process), and results whose
//! length was not foreseen, are written into a new file while they are serialised: a long piece,
//! such as [`Bytes`](super::Bytes), goes there without a copy in between. The file is sealed when
//! it is complete, so that the receiver can map it and read the values from there: what lies in a
//! sealed file cannot change any more.
//!
//! **Files that are used again.** The long arguments and results of the tasks of a pool are in
//! files that go round: see [`lent`](super::lent).

use core::ops::Deref;
use core::ptr::NonNull;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};

use super::lent::{Access, Lent, Mapped, Mappings, Spares};
use crate::memory::files;

/// The longest body that goes through the socket: with the kernel's bookkeeping it fills less than
/// half of the default room of a socket.
pub(crate) const INLINE: usize = 1 << 16;

/// The most bytes that are kept before they go into a new file.
const KEPT: usize = 1 << 20;

/// The seals under which the bytes of a file stay as they are.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// There is no memory for more bytes: the output has the error.
#[derive(Debug)]
pub(super) struct Full;

/// The bytes of a message that is being written: first those that are in `file`, then those in the
/// window.
///
/// **Invariant.** The window is `room` bytes from `start` on, of the memory that `memory` owns; the
/// first `used` of them are written. Without memory, `room` is 0.
#[derive(Debug)]
pub(crate) struct Output {
    start: NonNull<u8>,
    used: usize,
    room: usize,
    memory: Memory,
    /// A file of this message's own, if it is too long to be kept, or for the window.
    file: Option<OwnedFd>,
    /// The number of bytes in the file.
    filed: usize,
    error: Option<io::Error>,
    /// Where a long output gets its file from, if it is used again.
    spares: Option<Arc<Spares>>,
    /// There was no file for it: its bytes stay on the heap.
    kept: bool,
}

/// The memory of an output's window.
#[derive(Debug)]
enum Memory {
    /// Its length is of no account.
    Heap(Vec<u8>),
    /// A file that is used again, of this process.
    Own(Lent),
    /// A file that another process has lent for this output.
    Borrowed(Arc<Mapped>),
}

// SAFETY: `start` points into memory that the output owns, or has alone while it is written.
unsafe impl Send for Output {}

impl Default for Output {
    fn default() -> Self {
        Self {
            start: NonNull::dangling(),
            used: 0,
            room: 0,
            memory: Memory::Heap(Vec::new()),
            file: None,
            filed: 0,
            error: None,
            spares: None,
            kept: false,
        }
    }
}

impl Output {
    /// For bytes that are read once, before the sender learns that they were (rule 1 of `lent`).
    pub(crate) fn reused(spares: &Arc<Spares>) -> Self {
        Self { spares: Some(Arc::clone(spares)), ..Self::default() }
    }

    /// Into a file that was lent for it, as long as that has room.
    ///
    /// # Safety
    ///
    /// No other code reads the mapped bytes or writes to them, in any process, while the output
    /// lives.
    pub(crate) unsafe fn borrowed(file: Arc<Mapped>) -> Self {
        let (start, room) = (file.pointer, file.length);
        Self { start, room, memory: Memory::Borrowed(file), ..Self::default() }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.filed + self.used
    }

    /// Appends a few bytes.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Full> {
        if self.room - self.used < N {
            self.make_room(N)?;
        }
        // SAFETY: the window has room for them, and they are not in it.
        unsafe {
            self.start.add(self.used).cast::<[u8; N]>().write_unaligned(bytes);
        }
        self.used += N;
        Ok(())
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.room - self.used < bytes.len() {
            if self.is_for_file(bytes.len()) {
                return self.noting(|output| output.flush(bytes));
            }
            self.make_room(bytes.len())?;
        }
        // SAFETY: the window has room for them, and they are not in it.
        unsafe {
            let end = self.start.add(self.used).as_ptr();
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len());
        }
        self.used += bytes.len();
        Ok(())
    }

    /// Overwrites bytes that were written.
    pub(crate) fn patch(&mut self, at: usize, bytes: [u8; 4]) -> io::Result<()> {
        match (at.checked_sub(self.filed), &self.file) {
            (Some(at), _) => {
                assert!(at + bytes.len() <= self.used, "written before");
                // SAFETY: inside of the window, as just checked.
                unsafe { self.start.add(at).cast::<[u8; 4]>().write_unaligned(bytes) };
            }
            (None, Some(file)) => {
                rustix::io::retry_on_intr(|| rustix::io::pwrite(file, &bytes, at as u64))?;
            }
            (None, None) => unreachable!("nothing is filed without a file"),
        }
        Ok(())
    }

    /// Takes back all bytes after the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        match len.checked_sub(self.filed) {
            Some(kept) => self.used = self.used.min(kept),
            None => {
                // The bytes behind it in the file are overwritten, or not sent.
                self.filed = len;
                self.used = 0;
            }
        }
    }

    /// Whether a piece of this length goes past the window, into a file of the message's own.
    fn is_for_file(&self, length: usize) -> bool {
        self.spares.is_none() && self.used + length > KEPT
    }

    fn noting<R>(&mut self, act: impl FnOnce(&mut Self) -> io::Result<R>) -> Result<R, Full> {
        act(self).map_err(|error| {
            self.error = Some(error);
            Full
        })
    }

    /// Makes room for `more` bytes.
    #[cold]
    fn make_room(&mut self, more: usize) -> Result<(), Full> {
        self.noting(|output| {
            if output.is_for_file(more) || matches!(output.memory, Memory::Borrowed(_)) {
                output.flush(&[])?;
            }
            let needed = output.used + more;
            if output.room >= needed {
                return Ok(());
            }
            match &mut output.memory {
                Memory::Heap(bytes) => {
                    let file = match &output.spares {
                        Some(spares) if needed > INLINE && !output.kept => {
                            let file = spares.take_to_wait(needed.max(2 * INLINE))?;
                            output.kept = file.is_none();
                            file
                        }
                        _ => None,
                    };
                    let Some(file) = file else {
                        output.grow_heap(needed);
                        return Ok(());
                    };
                    assert!(file.mapped.length >= output.used && bytes.capacity() >= output.used);
                    // SAFETY: both have `used` bytes, the ones of the heap are written, and no
                    // other code uses the spare file.
                    unsafe {
                        let from = bytes.as_ptr();
                        from.copy_to_nonoverlapping(file.mapped.pointer.as_ptr(), output.used);
                    }
                    (output.start, output.room) = (file.mapped.pointer, file.mapped.length);
                    output.memory = Memory::Own(file);
                }
                Memory::Own(file) => {
                    file.grow(needed.max(2 * output.room))?;
                    (output.start, output.room) = (file.mapped.pointer, file.mapped.length);
                }
                Memory::Borrowed(_) => unreachable!("flushed above, into memory of its own"),
            }
            Ok(())
        })
    }

    /// Makes room for `needed` bytes in the heap.
    fn grow_heap(&mut self, needed: usize) {
        let Memory::Heap(bytes) = &mut self.memory else { unreachable!("called for a heap") };
        // SAFETY: the vector is the window's memory, whose first `used` bytes are written.
        unsafe { bytes.set_len(self.used) };
        bytes.reserve(needed.max(2 * self.room).max(64) - self.used);
        self.room = bytes.capacity();
        // Not null: it has a capacity.
        self.start = NonNull::new(bytes.as_mut_ptr()).unwrap_or(NonNull::dangling());
    }

    /// The written bytes of the window.
    fn window(&self) -> &[u8] {
        // SAFETY: the invariant: they are written, and `self` has them alone.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.used) }
    }

    /// Writes the window and `piece` into the message's own file. The window is on the heap and
    /// empty then.
    #[cold]
    fn flush(&mut self, piece: &[u8]) -> io::Result<()> {
        files::check_size((self.len() + piece.len()) as u64)?;
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
                memfd_create("sync-ipc-message", flags)?
            }
        };
        let mut at = self.filed;
        for mut bytes in [self.window(), piece] {
            while !bytes.is_empty() {
                let some =
                    rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, bytes, at as u64))?;
                bytes = &bytes[some..];
                at += some;
            }
        }
        self.file = Some(file);
        (self.filed, self.used) = (at, 0);
        if !matches!(self.memory, Memory::Heap(_)) {
            self.memory = Memory::Heap(Vec::new());
            (self.start, self.room) = (NonNull::dangling(), 0);
        }
        Ok(())
    }

    /// The error after [`Full`].
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// All bytes, as they are sent.
    pub(crate) fn finish(mut self) -> io::Result<Body> {
        let length = self.len();
        if self.filed == 0 {
            match core::mem::replace(&mut self.memory, Memory::Heap(Vec::new())) {
                Memory::Own(file) => return Ok(Body::Lent(file, length)),
                Memory::Borrowed(file) => {
                    debug_assert!(length <= file.length);
                    return Ok(Body::Returned(length));
                }
                Memory::Heap(mut bytes) if length <= INLINE => {
                    // SAFETY: the vector is the window's memory, whose first `used` bytes are
                    // written.
                    unsafe { bytes.set_len(self.used) };
                    return Ok(Body::Inline(bytes));
                }
                Memory::Heap(mut bytes) => match &self.spares {
                    Some(spares) => {
                        // SAFETY: the first `used` bytes of the vector are written.
                        unsafe { bytes.set_len(self.used) };
                        return Body::to_wait(bytes, spares);
                    }
                    None => self.memory = Memory::Heap(bytes),
                },
            }
        }
        self.flush(&[])?;
        let Some(file) = self.file else { unreachable!("written to above") };
        Ok(Body::sealed(file, length))
    }
}

/// The bytes of a message, or the file that they are in. Long ones are copied into and out of the
/// file where that holds up no other thread: before a lock is taken, or after.
#[derive(Debug)]
pub(crate) enum Body {
    Inline(Vec<u8>),
    /// Too long for the socket, and in no file yet: see [`file`](Self::file).
    Kept(Vec<u8>),
    /// The file and the length, which was not checked.
    Beside(OwnedFd, usize),
    /// The first bytes of a mapped file, whose descriptor is closed.
    Mapped(Arc<Mapped>, usize),
    /// The first bytes of a file that goes round, in the pool that owns it. As many are mapped.
    Lent(Lent, usize),
    /// The first bytes of the file that was lent for them. The length was not checked.
    Returned(usize),
}

impl Body {
    /// Puts bytes that are too long for a socket into a file.
    #[cfg(test)]
    pub(crate) fn new(bytes: Vec<u8>) -> io::Result<Self> {
        if bytes.len() <= INLINE { Ok(Self::Inline(bytes)) } else { Self::beside(&bytes) }
    }

    /// The arguments of a task that is to wait for a worker.
    pub(crate) fn to_wait(bytes: Vec<u8>, spares: &Spares) -> io::Result<Self> {
        if bytes.len() <= INLINE {
            return Ok(Self::Inline(bytes));
        }
        Ok(match spares.take_to_wait(bytes.len())? {
            Some(file) => Self::in_file(&bytes, file),
            None => Self::Kept(bytes),
        })
    }

    /// Writes the bytes into a file, if they are too long for a socket and in no file yet.
    pub(crate) fn file(&mut self, spares: &Spares) -> io::Result<()> {
        if let Self::Kept(bytes) = self {
            *self = Self::in_file(bytes, spares.take(bytes.len())?);
        }
        Ok(())
    }

    /// Copies the bytes into a file that has room for them.
    fn in_file(bytes: &[u8], file: Lent) -> Self {
        assert!(bytes.len() <= file.mapped.length, "taken for as many");
        // SAFETY: the mapping has as many bytes, and no other code uses the spare file.
        unsafe {
            bytes.as_ptr().copy_to_nonoverlapping(file.mapped.pointer.as_ptr(), bytes.len());
        }
        Self::Lent(file, bytes.len())
    }

    /// The body of an outcome, which may wait long until it is read, without a descriptor; but a
    /// file that goes round stays one while there are few of them.
    pub(crate) fn settle(self, spares: &Spares) -> Self {
        match self {
            Self::Lent(file, length) if length <= file.mapped.length && spares.is_crowded() => {
                Self::Mapped(Arc::new(file.into_mapped()), length)
            }
            Self::Beside(file, length) => match mapped_file(&file, length) {
                Some(mapped) => Self::Mapped(Arc::new(mapped), length),
                None => match Content::of_file(&file, length) {
                    Some(content) => Self::Kept(content.into_vec()),
                    // The reader gets the error.
                    None => Self::Beside(file, length),
                },
            },
            other => other,
        }
    }

    /// Puts bytes into a file, however few they are.
    pub(super) fn beside(bytes: &[u8]) -> io::Result<Self> {
        let mut output = Output::default();
        output.flush(bytes)?;
        let (Some(file), length) = (output.file, output.filed) else { unreachable!("made above") };
        Ok(Self::sealed(file, length))
    }

    fn sealed(file: OwnedFd, length: usize) -> Self {
        // A system that refuses costs the receiver a copy.
        let _ = fcntl_add_seals(&file, SEALS | SealFlags::SEAL);
        Self::Beside(file, length)
    }

    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self::Inline(Vec::new())
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Inline(bytes) | Self::Kept(bytes) => bytes.len(),
            Self::Beside(_, length)
            | Self::Mapped(_, length)
            | Self::Lent(_, length)
            | Self::Returned(length) => *length,
        }
    }

    /// The first bytes, if they are known without reading a file.
    pub(crate) fn inline(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(bytes) | Self::Kept(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Keeps the file of a body that was read and that no process reads or writes to.
    pub(crate) fn reuse(self, spares: &Spares) {
        if let Self::Lent(file, _) = self {
            spares.keep(file);
        }
    }

    /// All bytes, to be read.
    pub(crate) fn open(self) -> io::Result<Content> {
        match self {
            Self::Inline(bytes) | Self::Kept(bytes) => Ok(Content::Bytes(bytes)),
            Self::Mapped(mapped, length) => Ok(Content::Again(mapped, length)),
            Self::Beside(file, length) => Content::of_file(&file, length).ok_or_else(not_a_message),
            Self::Lent(file, length) => Content::of_lent(file, length, None),
            Self::Returned(_) => Err(not_a_message()),
        }
    }

    /// As [`open`](Self::open); a file that goes round is kept when its bytes were read.
    pub(crate) fn open_and_keep(self, spares: &Arc<Spares>) -> io::Result<Content> {
        match self {
            Self::Lent(file, length) => Content::of_lent(file, length, Some(Arc::clone(spares))),
            other => other.open(),
        }
    }

    /// As [`open`](Self::open), with a mapping from before if the file is used again.
    ///
    /// # Safety
    ///
    /// No process writes to a file that is not sealed against it while the content lives.
    pub(crate) unsafe fn open_again(self, known: &mut Mappings) -> io::Result<Content> {
        match self {
            Self::Beside(file, length) => match known.find(&file, length) {
                Some(mapped) => Ok(Content::Again(mapped, length)),
                None => Content::of_file(&file, length).ok_or_else(not_a_message),
            },
            other => other.open(),
        }
    }
}

/// The first bytes of a file that is sealed and has as many.
fn mapped_file(file: &OwnedFd, length: usize) -> Option<Mapped> {
    let is_whole = fstat(file).ok()?.st_size >= i64::try_from(length).ok()?;
    if !is_whole || length == 0 || !fcntl_get_seals(file).ok()?.contains(SEALS) {
        return None;
    }
    Mapped::new(file, length, Access::Private).ok()
}

fn not_a_message() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a whole message")
}

/// The bytes of a message that has arrived.
#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    Mapped(Mapped),
    /// The first bytes of a file that is used again.
    Again(Arc<Mapped>, usize),
    /// As `Again`, in the pool that owns the file; it goes back where it is from.
    Own(Option<Lent>, usize, Option<Arc<Spares>>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Mapped(mapped) => mapped,
            // As long at least: it was checked.
            Self::Again(mapped, length) => &mapped[..*length],
            Self::Own(file, length, _) => file.as_ref().map_or(&[], |file| &file.mapped[..*length]),
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Self::Own(file, _, Some(spares)) = self {
            if let Some(file) = file.take() {
                spares.keep(file);
            }
        }
    }
}

impl Content {
    fn of_lent(file: Lent, length: usize, spares: Option<Arc<Spares>>) -> io::Result<Self> {
        if length > file.mapped.length {
            return Err(not_a_message());
        }
        Ok(Self::Own(Some(file), length, spares))
    }

    /// The first `length` bytes of a file; `None` if it is shorter, or cannot be read.
    fn of_file(file: &OwnedFd, length: usize) -> Option<Self> {
        if let Some(mapped) = mapped_file(file, length) {
            return Some(Self::Mapped(mapped));
        }
        if fstat(file).ok()?.st_size < i64::try_from(length).ok()? {
            return None;
        }
        let mut bytes = vec![0; length];
        let mut at = 0;
        while at < length {
            let read =
                rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut bytes[at..], at as u64));
            match read {
                Ok(read) if read > 0 => at += read,
                _ => return None,
            }
        }
        Some(Self::Bytes(bytes))
    }

    /// All bytes, in a vector.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        match &mut self {
            Self::Bytes(bytes) => core::mem::take(bytes),
            other => other.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its length and the text.
    fn bytes_of(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn encoded(text: &str, output: &mut Output) {
        output.put((text.len() as u64).to_le_bytes()).unwrap();
        output.extend(text.as_bytes()).unwrap();
    }

    #[test]
    fn short_and_long_outputs_arrive_as_they_were_written() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, KEPT, 3 * KEPT + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let body = Body::new(bytes.clone()).unwrap();
            assert_eq!(matches!(body, Body::Inline(_)), length <= INLINE);
            assert!(*body.open().unwrap() == *bytes);
            // As pieces of several lengths.
            let mut output = Output::default();
            let mut rest = &bytes[..];
            for piece in (1..).map(|step| step * step) {
                if rest.is_empty() {
                    break;
                }
                let (first, others) = rest.split_at(rest.len().min(piece));
                output.extend(first).unwrap();
                rest = others;
            }
            assert!(*output.finish().unwrap().open().unwrap() == *bytes);
        }
        let body = Body::beside(b"few").unwrap();
        assert_eq!(*body.open().unwrap(), *b"few");
    }

    #[test]
    fn truncating_takes_back_what_is_in_the_file_and_what_is_kept() {
        let long = "long".repeat(KEPT);
        let spares = Arc::new(Spares::default());
        for mut output in [Output::default(), Output::reused(&spares)] {
            output.put([1]).unwrap();
            let before = output.len();
            encoded(&long, &mut output);
            output.truncate(before);
            output.put(7_u32.to_le_bytes()).unwrap();
            let after = output.len();
            encoded(&long, &mut output);
            output.put([9]).unwrap();
            output.truncate(after);
            output.patch(1, [2, 0, 0, 3]).unwrap();
            let content = output.finish().unwrap().open().unwrap();
            assert_eq!(*content, *b"\x01\x02\0\0\x03");
        }
    }

    #[test]
    fn files_are_used_again_and_bring_nothing_of_the_body_before() {
        let (mut known, spares) = (Mappings::default(), Arc::new(Spares::default()));
        for length in [3 * INLINE, 5 * INLINE, 2 * INLINE, 4 * INLINE] {
            let text = char::from(b'a' + (length / INLINE) as u8).to_string().repeat(length);
            let mut output = Output::reused(&spares);
            encoded(&text, &mut output);
            let body = output.finish().unwrap();
            let Body::Lent(file, sent) = body else { panic!("it is long") };
            // As the receiver has it.
            let received = Body::Beside(file.file.try_clone().unwrap(), sent);
            // SAFETY: the file is written to in the next turn, after the content.
            let content = unsafe { received.open_again(&mut known) }.unwrap();
            assert!(matches!(content, Content::Again(..)));
            assert!(*content == *bytes_of(&text));
            drop(content);
            assert_eq!(known.0.len(), 1, "one file, mapped once or again when it has grown");
            Body::Lent(file, sent).reuse(&spares);
            assert_eq!(spares.files.lock().len(), 1);
        }
        // A sealed one is not kept.
        Body::beside(b"sealed").unwrap().reuse(&spares);
        assert_eq!(spares.files.lock().len(), 1);
    }

    #[test]
    fn outcomes_go_into_the_lent_file_or_past_it_if_they_are_too_long() {
        let (mut known, spares) = (Mappings::default(), Arc::new(Spares::default()));
        for length in [1, INLINE, 2 * INLINE, 40 * INLINE] {
            let lent = spares.take(2 * INLINE).unwrap();
            let theirs = known.find(&lent.file.try_clone().unwrap(), 1).unwrap();
            // SAFETY: read below, after the output.
            let mut output = unsafe { Output::borrowed(theirs) };
            output.put([0; 4]).unwrap();
            let text = "x".repeat(length);
            encoded(&text, &mut output);
            output.patch(0, [1, 2, 3, 4]).unwrap();
            let body = match output.finish().unwrap() {
                Body::Returned(length) => Body::Lent(lent, length),
                other => {
                    assert!(length > INLINE);
                    spares.keep(lent);
                    other
                }
            };
            let content = body.open_and_keep(&spares).unwrap();
            assert_eq!(content[..4], [1, 2, 3, 4]);
            assert!(content[4..] == *bytes_of(&text));
            drop(content);
            assert_eq!(spares.files.lock().len(), 1);
        }
    }

    #[test]
    fn bodies_that_wait_beyond_the_first_files_need_no_descriptor() {
        let spares = Arc::new(Spares::new(1));
        let text = "text".repeat(INLINE);
        let body = || {
            let mut output = Output::reused(&spares);
            encoded(&text, &mut output);
            output.finish().unwrap()
        };
        let mut waiting = Vec::new();
        while let body @ Body::Lent(..) = body() {
            waiting.push(body);
            assert!(waiting.len() < 100);
        }
        assert!(waiting.len() > 32 && spares.kept_any());
        let mut kept = body();
        assert!(matches!(kept, Body::Kept(_)));
        kept.file(&spares).unwrap();
        assert!(matches!(kept, Body::Lent(..)));
        // Outcomes keep their files a while longer.
        waiting.push(kept.settle(&spares));
        assert!(matches!(waiting.last(), Some(Body::Lent(..))));
        let mapped = loop {
            let outcome = Body::in_file(text.as_bytes(), spares.take(text.len()).unwrap());
            match outcome.settle(&spares) {
                file @ Body::Lent(..) => waiting.push(file),
                other => break other,
            }
            assert!(waiting.len() < 100);
        };
        assert!(matches!(mapped, Body::Mapped(..)));
        assert!(*mapped.open_and_keep(&spares).unwrap() == *text.as_bytes());
        // A sealed file is mapped, however few there are.
        let sealed = Body::beside(text.as_bytes()).unwrap().settle(&spares);
        assert!(matches!(sealed, Body::Mapped(..)));
        assert!(*sealed.open().unwrap() == *text.as_bytes());
        // Files that come back are used again.
        waiting.into_iter().for_each(|body| body.reuse(&spares));
        assert!(matches!(body(), Body::Lent(..)));
    }

    #[test]
    fn an_output_without_room_is_an_error_and_can_be_used_again() {
        let spares = Arc::new(Spares::default());
        let mut output = Output::reused(&spares);
        encoded("short", &mut output);
        let before = output.len();
        // As a file that cannot grow.
        let error = output.noting(|_| Err::<(), _>(io::ErrorKind::OutOfMemory.into()));
        assert!(matches!(error, Err(Full)));
        assert!(output.take_error().is_some());
        output.truncate(before);
        encoded("again", &mut output);
        assert_eq!(output.finish().unwrap().len(), 2 * before);
    }

    #[test]
    fn a_file_that_is_not_sealed_is_copied_and_one_that_is_too_short_is_an_error() {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::pwrite(&file, b"bytes", 0).unwrap();
        let body = |length| Body::Beside(file.try_clone().unwrap(), length);
        assert!(matches!(body(5).open().unwrap(), Content::Bytes(_)));
        assert_eq!(*body(5).open().unwrap(), *b"bytes");
        assert!(body(6).open().is_err());
        assert!(body(usize::MAX).open().is_err());
        let Body::Beside(file, length) = Body::beside(b"sealed").unwrap() else { unreachable!() };
        assert!(
            rustix::io::pwrite(&file, b"x", 0).is_err() && rustix::fs::ftruncate(&file, 0).is_err()
        );
        assert!(matches!(Content::of_file(&file, length), Some(Content::Mapped(_))));
        assert!(Content::of_file(&file, length + 1).is_none());
        // A worker that claims more than the file has that was lent to it.
        let spares = Arc::new(Spares::default());
        let lent = spares.take(1).unwrap();
        assert!(Body::Lent(lent, usize::MAX).open_and_keep(&spares).is_err());
    }
}
