//! Starting a process.

use core::fmt;
use core::marker::PhantomData;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use sync_core::fork::ProcessMark;

use super::body::Output;
use super::child::{Hello, VARIABLE, is_initialised, own_pidfd};
use super::codec::EncodeError;
use super::current::{add_child, current_process};
use super::entry::{self, ENTRIES, Entry};
use super::handles::{Outgoing, encode};
use super::{Child, ChildState, Process, Status, message, pidfd, program};
use crate::random::random;

/// Why a process was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// This program did not call [`init`](crate::init): a child would not find its function, and
    /// run `main` again.
    NotInitialised,
    /// No [`entry!`](crate::entry) registers this function.
    NotRegistered(&'static str),
    /// The arguments cannot be serialised.
    BadArguments(String),
    /// More than 250 descriptors among the arguments.
    TooManyDescriptors,
    /// A name, an argument or a variable with a zero byte.
    ZeroByte,
    /// A daemon cannot have children that outlive it.
    ParentIsDaemon,
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised => f.write_str(
                "call `sync_ipc::init()` first in `main`: without it a new process would run \
                 `main` again instead of its function (in tests, write \
                 `sync_ipc::init_before_main!();` once)",
            ),
            Self::NotRegistered(name) => {
                write!(f, "`{name}` is no entry point: register it with `sync_ipc::entry!`")
            }
            Self::BadArguments(why) => write!(f, "the arguments cannot be passed on: {why}"),
            Self::TooManyDescriptors => {
                f.write_str("more descriptors among the arguments than one message can carry")
            }
            Self::ZeroByte => f.write_str("a name, an argument or a variable has a zero byte"),
            Self::ParentIsDaemon => {
                f.write_str("a daemon ends with its parent, and so must its own children")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A new process's standard input.
#[derive(Debug, Default)]
pub struct Stdin(Input);

#[derive(Debug, Default)]
enum Input {
    #[default]
    Null,
    Inherit,
    Piped,
    File(OwnedFd),
}

impl Stdin {
    /// Empty: `/dev/null`. The default.
    #[must_use]
    pub fn null() -> Self {
        Self(Input::Null)
    }

    /// This process's own.
    #[must_use]
    pub fn inherit() -> Self {
        Self(Input::Inherit)
    }

    /// A pipe, whose writing end is [`Process::take_stdin`]'s.
    #[must_use]
    pub fn piped() -> Self {
        Self(Input::Piped)
    }
}

impl<T: Into<OwnedFd>> From<T> for Stdin {
    fn from(file: T) -> Self {
        Self(Input::File(file.into()))
    }
}

/// Configures a [`Process`]. From [`Process::builder`].
#[must_use = "nothing is started before `spawn`"]
pub struct ProcessBuilder<M, F> {
    entry: F,
    name: Option<String>,
    daemon: Option<bool>,
    group: bool,
    ignore_interrupt: bool,
    log_prefix: bool,
    clear: bool,
    variables: Vec<(OsString, Option<OsString>)>,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
    stdin: Stdin,
    stdout: Stdio,
    stderr: Stdio,
    marker: PhantomData<fn() -> M>,
}

impl<M, F: Entry<M>> ProcessBuilder<M, F> {
    pub(super) fn new(entry: F) -> Self {
        Self {
            entry,
            name: None,
            daemon: None,
            group: false,
            ignore_interrupt: false,
            log_prefix: false,
            clear: false,
            variables: Vec::new(),
            arguments: Vec::new(),
            directory: None,
            stdin: Stdin::null(),
            stdout: Stdio::inherit(),
            stderr: Stdio::inherit(),
            marker: PhantomData,
        }
    }

    /// Its name: in [`current_process`](crate::current_process), in panics, and in `ps` (15 bytes
    /// of it in the short form). Default: `Process-N`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it ends with this process, also if this process is killed. Default: whether this
    /// process is a daemon itself.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Whether it begins a process group of its own, which
    /// [`kill_group`](crate::Child::kill_group) can end as a whole. A Ctrl-C at the terminal does
    /// not reach it then.
    pub fn group(mut self, group: bool) -> Self {
        self.group = group;
        self
    }

    /// Whether it ignores Ctrl-C (SIGINT), so that its parent decides how it ends. By default a
    /// Ctrl-C reaches each process of the terminal's foreground group, once.
    pub fn ignore_interrupt(mut self, ignore: bool) -> Self {
        self.ignore_interrupt = ignore;
        self
    }

    /// Whether each line that it writes to standard output and standard error is prefixed by its
    /// name. The lines pass through a thread of this process.
    pub fn log_prefix(mut self, prefix: bool) -> Self {
        self.log_prefix = prefix;
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.variables.push((key.as_ref().to_owned(), None));
        self
    }

    /// Lets it inherit no environment variable of this process.
    pub fn env_clear(mut self) -> Self {
        self.clear = true;
        self.variables.clear();
        self
    }

    /// Its working directory. Default: this process's.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Adds arguments that [`std::env::args`] returns in the child, after the program's name.
    /// Default: none.
    pub fn argv<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Its standard input. Default: empty.
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Its standard output. Default: this process's.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// Its standard error. Default: this process's.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// Starts the process.
    ///
    /// It does not wait for the process to begin. The process does not depend on the thread that
    /// started it.
    ///
    /// # Errors
    ///
    /// [`SpawnError`].
    pub fn spawn(self, args: F::Args) -> Result<Process<F::Output>, SpawnError> {
        let started = self.start(&args)?;
        // Now the child has its own descriptors: the parent's copies may go. User code:
        // destructors of the arguments.
        sync_core::user_code::dispose(args);
        let Started { state, control, mut command, stdin } = started;
        let child = Child::from_state(Arc::clone(&state));
        add_child(state);
        let (stdout, stderr) = (command.stdout.take(), command.stderr.take());
        Ok(Process { child, control, stdin, stdout, stderr, result: PhantomData })
    }

    /// Starts the process, and does not add it to the list of children.
    fn start(mut self, args: &F::Args) -> Result<Started, SpawnError> {
        if !is_initialised() {
            return Err(SpawnError::NotInitialised);
        }
        let Some(number) = entry::find(&self.entry) else {
            return Err(SpawnError::NotRegistered(entry::name_of(&self.entry)));
        };
        let current = current_process();
        let daemon = self.daemon.unwrap_or_else(|| current.is_daemon());
        if current.is_daemon() && !daemon {
            return Err(SpawnError::ParentIsDaemon);
        }
        let name = self.name.take().unwrap_or_else(|| current.name_for_child());
        if name.as_bytes().contains(&0) {
            return Err(SpawnError::ZeroByte);
        }
        let (input, stdin) = self.input()?;
        let hello = Hello {
            fingerprint: entry::fingerprint(),
            entry: ENTRIES[number].name().to_owned(),
            name: name.clone(),
            daemon,
            ignore_interrupt: self.ignore_interrupt,
            parent_name: current.name().to_owned(),
            parent_pid: current.pid(),
            program: program::path().ok().map(|path| path.into_os_string().into_vec()),
            stdin: input.is_some(),
            #[cfg(feature = "auth")]
            authkey: Some(current.authkey()?),
        };
        let mut outgoing = Outgoing::default();
        let mut body = Output::default();
        let bad = |error: EncodeError| SpawnError::BadArguments(error.to_string());
        encode(&hello, &mut body, &mut outgoing).map_err(bad)?;
        let encoded = sync_core::user_code::run(|| encode(args, &mut body, &mut outgoing));
        match encoded {
            Ok(encoded) => encoded.map_err(bad)?,
            // The caller's own value: its panic is the caller's.
            Err(payload) => std::panic::resume_unwind(payload),
        }
        let mut descriptors = vec![own_pidfd()?];
        descriptors.extend(input);
        descriptors.append(&mut outgoing.descriptors);
        if descriptors.len() >= crate::connection::MAX_FDS {
            return Err(SpawnError::TooManyDescriptors);
        }
        let (ours, theirs) = message::pair()?;
        let tag = u64::from_ne_bytes(random()?);
        message::send(&ours, tag, &body.finish()?, &descriptors)?;
        let mut command = self.command(&name, tag)?;
        command.stdin(theirs);
        let mut spawned = command.spawn()?;
        let pid = spawned.id();
        let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        let opened = raw.ok_or_else(|| io::ErrorKind::InvalidData.into()).and_then(pidfd::open);
        let pidfd = match opened {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // Without a pidfd this process cannot manage the child: end it.
                let _ = spawned.kill();
                let _ = spawned.wait();
                return Err(error.into());
            }
        };
        if self.log_prefix {
            let (stdout, stderr) = (spawned.stdout.take(), spawned.stderr.take());
            if let Err(error) = super::log::forward(&name, stdout, stderr) {
                // The caller gets no handle to it.
                let _ = spawned.kill();
                let _ = spawned.wait();
                return Err(error.into());
            }
        }
        let state = ChildState {
            pid,
            name,
            daemon,
            group: self.group,
            pidfd,
            mark: ProcessMark::current(),
            status: Mutex::new(Status::Unknown),
        };
        Ok(Started { state: Arc::new(state), control: ours, command: spawned, stdin })
    }

    /// The descriptor that becomes the child's standard input, and this process's end of it.
    fn input(&mut self) -> io::Result<(Option<OwnedFd>, Option<File>)> {
        Ok(match core::mem::take(&mut self.stdin.0) {
            Input::Null => (None, None),
            Input::Inherit => (Some(rustix::io::dup(rustix::stdio::stdin())?), None),
            Input::File(file) => (Some(file), None),
            Input::Piped => {
                let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
                (Some(reader), Some(writer.into()))
            }
        })
    }

    fn command(&mut self, name: &str, tag: u64) -> Result<Command, SpawnError> {
        let mut command = Command::new(program::executable()?);
        let own = std::env::args_os().next().unwrap_or_default();
        let mut shown = Path::new(&own).file_name().unwrap_or(OsStr::new("sync-ipc")).to_owned();
        shown.push(": ");
        shown.push(name);
        command.arg0(shown).args(&self.arguments);
        if self.clear {
            command.env_clear();
        }
        for (key, value) in &self.variables {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        let bytes = self.variables.iter().flat_map(|(key, value)| {
            [Some(key.as_bytes()), value.as_ref().map(|value| value.as_bytes())]
        });
        let arguments = self.arguments.iter().map(|argument| Some(argument.as_bytes()));
        if bytes.chain(arguments).flatten().any(|bytes| bytes.contains(&0)) {
            return Err(SpawnError::ZeroByte);
        }
        command.env(VARIABLE, format!("{tag:x}"));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if self.group {
            command.process_group(0);
        }
        let stdout = core::mem::replace(&mut self.stdout, Stdio::null());
        let stderr = core::mem::replace(&mut self.stderr, Stdio::null());
        if self.log_prefix {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        } else {
            command.stdout(stdout).stderr(stderr);
        }
        Ok(command)
    }
}

struct Started {
    state: Arc<ChildState>,
    control: OwnedFd,
    command: std::process::Child,
    stdin: Option<File>,
}

impl<M, F> fmt::Debug for ProcessBuilder<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBuilder")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .finish_non_exhaustive()
    }
}
