//! One act has one name in all four crates: the timed calls, and the verbs of queues and channels.
//!
//! | act | name |
//! |---|---|
//! | a lock or a permit, within a time | `try_*_for(Duration)`, `try_*_until(Instant)`, as `lock_api` |
//! | a wait of a `Condvar`, within a time | `wait_for`, `wait_until`, `wait_while_*`, as `parking_lot` |
//! | each other timed call | `*_timeout(Duration)`, `*_deadline(Instant)` |
//! | a timed call with one of the two forms | has the other form too |
//! | a wait for several things, as `concurrent.futures.wait` | `wait(..., Option<Duration>)` |
//! | a queue | `put`, `get`, `shutdown` |
//! | an end of a channel or a connection | `send`, `recv` |
//!
//! A former name is a hidden method that forwards to the new name, which has it as an alias.
//! `cargo test -p sync-checks --test vocabulary -- --nocapture` prints the list of timed calls.

use std::fmt;
use std::path::{Path, PathBuf};

use sync_checks::{Complaints, files, read};

const CRATES: [&str; 4] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc"];

/// Folders whose `pub` items no user can name, or that are hidden from the documentation.
const PRIVATE: [&str; 5] = [
    "sync-core/src/futex",
    "sync-core/src/primitive",
    "sync-ipc/src/raw",
    "sync-queue/src/wait",
    "sync-queue/src/buffer",
];

/// Methods with names of their own: `with_timeout` sets a time and waits for nothing; `poll` is the
/// name of the system's call, and of Python's; `sleep_until` is tokio's; `new` makes an alarm.
const EXCEPTIONS: [&str; 4] = ["with_timeout", "poll", "sleep_until", "new"];

/// Timed methods with one form only: times that a builder and a barrier have for all their waits, a
/// hidden type that takes the deadline that its caller has made, and the other form of `sleep`.
const UNPAIRED: [(&str, &str); 4] = [
    ("Builder", "idle_timeout"),
    ("Barrier", "with_timeout"),
    ("ThreadWaker", "park_deadline"),
    ("Scheduler", "sleep_until"),
];

/// A method or function that is `pub`.
struct Method {
    path: PathBuf,
    line: usize,
    /// The type of its `impl` block, or the empty string.
    owner: String,
    name: String,
    /// From the parenthesis to the brace, in one line.
    signature: String,
    /// The documentation and attributes.
    head: Vec<String>,
}

impl Method {
    fn is_hidden(&self) -> bool {
        self.head.iter().any(|line| line.contains("#[doc(hidden)]"))
    }

    fn has_alias(&self, alias: &str) -> bool {
        self.head.iter().any(|line| line.contains(&format!("#[doc(alias = \"{alias}\")]")))
    }

    /// The name that a method with a former name forwards to.
    fn successor(&self) -> Option<&str> {
        let line = self.head.iter().find(|line| line.contains("The former name of [`"))?;
        line.split('`').nth(1)
    }

    /// Returns whether a parameter is a limit of time of the type `name`.
    fn takes(&self, name: &str) -> bool {
        ["timeout", "deadline"].iter().any(|limit| {
            let parameter = format!("{limit}: {name}");
            let after = self.signature.split(&parameter).nth(1);
            after.is_some_and(|after| after.starts_with([',', ')']) || after.trim().is_empty())
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}::{}", self.path.display(), self.line, self.owner, self.name)
    }
}

/// The type of an `impl` line: `impl<T> Default for Queue<T> {` is of `Queue`.
fn owner(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("unsafe ").unwrap_or(line.trim_start());
    let mut rest = rest.strip_prefix("impl")?;
    if !rest.starts_with([' ', '<']) {
        return None;
    }
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.char_indices().find_map(|(at, c)| {
            match c {
                '<' => depth += 1,
                '>' if !rest[..at].ends_with('-') => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at)
        })?;
        rest = &rest[end + 1..];
    }
    let rest = rest.split(" for ").last().expect("split yields a part").trim_start();
    Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '$').collect())
}

/// The name in a line that begins a `pub` function.
fn name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start().strip_prefix("pub ")?;
    for word in ["const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    Some(&rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_')?])
}

/// The `pub` functions of a file, those in the bodies of macros included.
fn methods(path: &Path) -> Vec<Method> {
    let text = read(path);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut current = String::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(owner) = owner(line) {
            current = owner;
        } else if *line == "}" {
            current.clear();
        }
        let Some(name) = name(line) else { continue };
        let head = lines[..at].iter().rev().map(|line| line.trim_start());
        let head = head.take_while(|line| line.starts_with("///") || line.starts_with("#["));
        let end = lines[at..].iter().position(|line| line.contains('{')).unwrap_or(0);
        let signature = lines[at..=at + end].iter().map(|line| line.trim()).collect();
        found.push(Method {
            path: path.into(),
            line: at + 1,
            owner: current.clone(),
            name: name.into(),
            signature,
            head: head.map(str::to_owned).collect(),
        });
    }
    found
}

fn all() -> Vec<Method> {
    let sources = files("rs").into_iter().filter(|path| {
        CRATES.iter().any(|package| path.starts_with(format!("{package}/src")))
            && !PRIVATE.iter().any(|folder| path.starts_with(folder))
    });
    sources.flat_map(|path| methods(&path)).collect()
}

/// Returns whether `name` may be the name of a timed call of `owner`, limited by a `Duration` or,
/// with `instant`, by an `Instant`.
fn follows_the_rule(owner: &str, name: &str, instant: bool) -> bool {
    let (lock_api, other) = if instant { ("_until", "_deadline") } else { ("_for", "_timeout") };
    let name = name.strip_suffix("_async").unwrap_or(name);
    if owner == "Condvar" {
        return name.starts_with("wait") && name.ends_with(lock_api);
    }
    let is_acquisition = ["lock", "read", "write", "acquire", "upgrade", "upgraded", "upgradable"]
        .iter()
        .any(|verb| name.split('_').any(|word| word == *verb));
    if is_acquisition {
        name.starts_with("try_") && name.ends_with(lock_api)
    } else {
        name.ends_with(other)
    }
}

#[test]
fn each_timed_call_is_named_by_the_rule() {
    let mut complaints = Complaints::default();
    let mut timed = 0;
    for method in all() {
        if method.is_hidden() || EXCEPTIONS.contains(&method.name.as_str()) {
            continue;
        }
        let (duration, instant) = (method.takes("Duration"), method.takes("Instant"));
        if method.takes("Option<Duration>") || method.takes("Option<Instant>") {
            // Of a hidden type, whose caller has made the deadline.
            let hidden = method.owner == "ThreadWaker";
            if !hidden && (method.name != "wait" || method.takes("Option<Instant>")) {
                complaints.add(format!("{method}: an optional limit"));
            }
        } else if duration || instant {
            timed += 1;
            println!("{method}");
            if !follows_the_rule(&method.owner, &method.name, instant) {
                complaints.add(format!("{method}"));
            }
        } else {
            let former = ["_for", "_until", "_timeout", "_deadline"];
            if former.iter().any(|end| method.name.ends_with(end))
                && method.signature.contains("Duration") | method.signature.contains("Instant")
            {
                complaints.add(format!("{method}: no parameter `timeout` or `deadline`"));
            }
        }
    }
    assert!(timed > 80, "only {timed} timed calls were found");
    complaints.settle("A timed call is named as the table at the top of this file has it.");
}

/// The other form of a timed call: `put_deadline` of `put_timeout`, `try_lock_until` of
/// `try_lock_for`, and back.
fn other_limit(name: &str) -> Option<String> {
    let (stem, form) = match name.strip_suffix("_async") {
        Some(stem) => (stem, "_async"),
        None => (name, ""),
    };
    [("_timeout", "_deadline"), ("_for", "_until")].iter().find_map(|(duration, instant)| {
        let to_instant = stem.strip_suffix(duration).map(|act| format!("{act}{instant}{form}"));
        to_instant
            .or_else(|| stem.strip_suffix(instant).map(|act| format!("{act}{duration}{form}")))
    })
}

#[test]
fn each_timed_call_takes_a_duration_and_an_instant() {
    let mut complaints = Complaints::default();
    let methods: Vec<Method> = all().into_iter().filter(|method| !method.is_hidden()).collect();
    let mut pairs = 0;
    for method in &methods {
        if UNPAIRED.contains(&(method.owner.as_str(), method.name.as_str()))
            || !method.takes("Duration") && !method.takes("Instant")
        {
            continue;
        }
        let Some(other) = other_limit(&method.name) else { continue };
        let is_other = |candidate: &&Method| {
            candidate.path.parent() == method.path.parent()
                && candidate.owner == method.owner
                && candidate.name == other
        };
        if methods.iter().any(|candidate| is_other(&candidate)) {
            pairs += 1;
        } else {
            complaints.add(format!("{method}: no {other}"));
        }
    }
    assert!(pairs > 80, "only {pairs} calls with a Duration and an Instant were found");
    complaints.settle("A timed call has a form for a Duration and one for an Instant.");
}

/// The act of a method of a queue or a channel: `put` of `try_put_many` and of `force_put`.
fn verb(name: &str) -> Option<&str> {
    const VERBS: [&str; 7] = ["put", "get", "shutdown", "send", "recv", "close", "closed"];
    name.split('_').find(|word| VERBS.contains(word))
}

/// The name that a channel has for a method of a queue: `try_send` for `try_put`.
fn other_verb(name: &str) -> Option<String> {
    for (verb, other) in [("put", "send"), ("get", "recv"), ("shutdown", "close")] {
        let form = name.strip_prefix("try_").unwrap_or(name).strip_prefix(verb);
        if form.is_some_and(|form| ["", "_timeout", "_deadline", "_async"].contains(&form)) {
            return Some(name.replace(verb, other));
        }
    }
    (name == "is_shutdown").then(|| String::from("is_closed"))
}

#[test]
fn queues_put_and_get_and_channels_send_and_recv() {
    let mut complaints = Complaints::default();
    let mut of_queues = 0;
    for method in all().iter().filter(|method| !method.is_hidden()) {
        let Some(verb) = verb(&method.name) else { continue };
        let wrong: &[&str] = match method.owner.as_str() {
            // The macro's queues of sync-queue.
            "$Queue" | "SimpleQueue" | "Queue" | "JoinableQueue" | "ByteQueue" | "InPlaceQueue"
            | "Loan" => {
                of_queues += 1;
                &["send", "recv", "close", "closed"]
            }
            "Sender" | "Receiver" | "Connection" => &["put", "get", "shutdown"],
            _ => continue,
        };
        if wrong.contains(&verb) {
            complaints.add(format!("{method}"));
        }
        let is_a_try = matches!(method.name.as_str(), "try_put" | "try_get");
        let pythons = is_a_try.then(|| method.name.replace("try_", "") + "_nowait");
        for alias in other_verb(&method.name).into_iter().chain(pythons) {
            if !method.has_alias(&alias) {
                complaints.add(format!("{method}: no alias {alias}"));
            }
        }
    }
    assert!(of_queues > 30, "only {of_queues} methods of queues were found");
    complaints.settle("A queue has put, get and shutdown; an end of a channel send and recv.");
}

/// Python's name of a method of a mutex: its `acquire` has no form of its own for a timeout.
fn pythons_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "lock" | "try_lock" | "try_lock_for" | "try_lock_until" => "acquire",
        "unlock" => "release",
        "is_locked" => "locked",
        _ => return None,
    })
}

#[test]
fn a_mutex_has_pythons_names_as_aliases() {
    let mut complaints = Complaints::default();
    let mut found = 0;
    for method in all().iter().filter(|method| !method.is_hidden()) {
        let is_a_mutex = method.owner.ends_with("Mutex");
        let Some(alias) = pythons_name(&method.name).filter(|_| is_a_mutex) else { continue };
        found += 1;
        if !method.has_alias(alias) {
            complaints.add(format!("{method}: no alias {alias}"));
        }
    }
    assert!(found > 30, "only {found} methods of mutexes were found");
    complaints.settle("Python's name of a thing is a `#[doc(alias)]`.");
}

#[test]
fn each_former_name_is_an_alias_of_its_successor() {
    let mut complaints = Complaints::default();
    let methods = all();
    let mut formers = 0;
    for former in &methods {
        let Some(successor) = former.successor() else { continue };
        formers += 1;
        println!("{former} is {successor} now");
        if !former.is_hidden() {
            complaints.add(format!("{former}: not hidden"));
        }
        let has_alias = |method: &Method| {
            method.path.parent() == former.path.parent()
                && method.owner == former.owner
                && method.name == successor
                && method.has_alias(&former.name)
        };
        if !methods.iter().any(has_alias) {
            complaints.add(format!("{former}: {successor} has no alias {}", former.name));
        }
    }
    assert!(formers > 15, "only {formers} former names were found");
    complaints.settle("A former name is hidden, and an alias of the name that replaced it.");
}

#[test]
fn the_rule_accepts_its_table_and_nothing_else() {
    for (owner, name, instant) in [
        ("Mutex", "try_lock_for", false),
        ("RwLock", "try_upgradable_read_arc_until", true),
        ("Semaphore", "try_acquire_for", false),
        ("Condvar", "wait_for", false),
        ("Condvar", "wait_while_until", true),
        ("Event", "wait_timeout", false),
        ("Queue", "put_deadline", true),
    ] {
        assert!(follows_the_rule(owner, name, instant), "{owner}::{name}");
    }
    for (owner, name, instant) in [
        ("Mutex", "lock_timeout", false),
        ("Mutex", "try_lock_timeout", false),
        ("Semaphore", "acquire_deadline", true),
        ("Condvar", "wait_timeout", false),
        ("Event", "wait_for", false),
        ("Event", "wait_timeout", true),
        ("Queue", "put_until", true),
    ] {
        assert!(!follows_the_rule(owner, name, instant), "{owner}::{name}");
    }
    assert_eq!(owner("impl<T: Ord, F: Fn() -> T> Iterator for Iter<'_, T> {").unwrap(), "Iter");
    assert_eq!(owner("        impl $name {").unwrap(), "$name");
    assert_eq!(name("    pub const unsafe fn of<T>(t: T) {"), Some("of"));
}
