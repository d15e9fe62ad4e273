//! The syntax tree of a litmus program, and its text form.
//!
//! [`Program`] prints as text that parses back to an equal program: a random program that fails a
//! test is reported as something to paste into a file.

use std::fmt;
use std::sync::atomic::Ordering;

/// A litmus program: see [the language](super#the-language).
///
/// Parsed text is always well formed. A tree built by hand must be so too: ids in range, each
/// register assigned in one thread only and on every path before it is used, every ordering one
/// that `std` accepts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Program {
    /// The shared locations, in the order of their declaration.
    pub locations: Vec<Location>,
    /// The registers of all threads, in the order of their first assignment.
    pub registers: Vec<Register>,
    /// The threads, at least one.
    pub threads: Vec<Thread>,
}

/// A shared location and its initial value, which is visible to every thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// Its name, unique among locations and registers.
    pub name: String,
    /// Its value before any thread starts.
    pub initial: u64,
}

/// A register: a local variable of one thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Register {
    /// Its name, unique in the program.
    pub name: String,
    /// The thread it belongs to, as an index into [`Program::threads`].
    pub thread: usize,
}

/// An index into [`Program::locations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationId(pub usize);

/// An index into [`Program::registers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterId(pub usize);

/// The statements of one thread, in program order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Thread {
    /// Its statements, at least one.
    pub body: Vec<Statement>,
}

/// A literal, or what a register of the same thread holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// The number itself.
    Literal(u64),
    /// The register's latest value.
    Register(RegisterId),
}

/// One step of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Statement {
    /// `x.store(value, ordering)`
    Store {
        /// Where.
        location: LocationId,
        /// The value that is written.
        value: Value,
        /// `Relaxed`, `Release` or `SeqCst`.
        ordering: Ordering,
    },
    /// `into = x.load(ordering)`
    Load {
        /// Where.
        location: LocationId,
        /// `Relaxed`, `Acquire` or `SeqCst`.
        ordering: Ordering,
        /// Takes the value read.
        into: Option<RegisterId>,
    },
    /// `into = x.swap(value, ordering)`
    Swap {
        /// Where.
        location: LocationId,
        /// The value to write.
        value: Value,
        /// Any ordering.
        ordering: Ordering,
        /// Takes the value read.
        into: Option<RegisterId>,
    },
    /// `into = x.fetch_add(value, ordering)`, wrapping at 64 bits.
    FetchAdd {
        /// Where.
        location: LocationId,
        /// The value to add.
        value: Value,
        /// Any ordering.
        ordering: Ordering,
        /// Takes the value read.
        into: Option<RegisterId>,
    },
    /// `into = x.compare_exchange(expected, new, success, failure)`
    CompareExchange {
        /// Where.
        location: LocationId,
        /// The value that must be read for the exchange to happen.
        expected: Value,
        /// The value to write then.
        new: Value,
        /// The ordering of the read-modify-write: any.
        success: Ordering,
        /// The ordering of the mere read of a failure: `Relaxed`, `Acquire` or `SeqCst`.
        failure: Ordering,
        /// Takes the value read, on success and on failure.
        into: Option<RegisterId>,
    },
    /// `fence(ordering)`
    Fence {
        /// `Acquire`, `Release`, `AcqRel` or `SeqCst`.
        ordering: Ordering,
    },
    /// `assume(condition)`: an execution in which it is false is blocked here.
    Assume(Condition),
    /// `if (condition) { then } else { otherwise }`
    If {
        /// Over registers of this thread.
        condition: Condition,
        /// Taken when it holds.
        then: Vec<Statement>,
        /// Taken when it does not; empty without `else`.
        otherwise: Vec<Statement>,
    },
}

/// A condition over registers and literals. It reads no location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// `a == b`
    Equal(Value, Value),
    /// `a != b`
    NotEqual(Value, Value),
    /// `a && b && …`, two or more.
    All(Vec<Condition>),
    /// `a || b || …`, two or more.
    Any(Vec<Condition>),
}

impl Value {
    /// The number it stands for, where `register` says what each register holds.
    pub fn evaluate(self, register: impl Fn(RegisterId) -> u64) -> u64 {
        match self {
            Value::Literal(number) => number,
            Value::Register(id) => register(id),
        }
    }
}

impl Condition {
    /// Returns whether it holds, where `register` says what each register holds.
    pub fn holds(&self, register: &impl Fn(RegisterId) -> u64) -> bool {
        match self {
            Condition::Equal(a, b) => a.evaluate(register) == b.evaluate(register),
            Condition::NotEqual(a, b) => a.evaluate(register) != b.evaluate(register),
            Condition::All(parts) => parts.iter().all(|part| part.holds(register)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(register)),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, location) in self.locations.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{} = {};", location.name, location.initial)?;
        }
        if !self.locations.is_empty() {
            writeln!(f)?;
        }
        for thread in &self.threads {
            // One line a thread, as the literature prints them; a thread that branches gets one
            // line a statement.
            if thread.body.iter().any(|statement| matches!(statement, Statement::If { .. })) {
                writeln!(f, "thread {{")?;
                for statement in &thread.body {
                    self.print(f, statement, 1)?;
                }
                writeln!(f, "}}")?;
            } else {
                write!(f, "thread {{ ")?;
                for statement in &thread.body {
                    self.print_simple(f, statement)?;
                    write!(f, " ")?;
                }
                writeln!(f, "}}")?;
            }
        }
        Ok(())
    }
}

impl Program {
    fn print(
        &self,
        f: &mut fmt::Formatter<'_>,
        statement: &Statement,
        depth: usize,
    ) -> fmt::Result {
        let indent = 4 * depth;
        write!(f, "{:indent$}", "")?;
        let Statement::If { condition, then, otherwise } = statement else {
            self.print_simple(f, statement)?;
            return writeln!(f);
        };
        writeln!(f, "if ({}) {{", Shown(self, condition))?;
        for statement in then {
            self.print(f, statement, depth + 1)?;
        }
        if !otherwise.is_empty() {
            writeln!(f, "{:indent$}}} else {{", "")?;
            for statement in otherwise {
                self.print(f, statement, depth + 1)?;
            }
        }
        writeln!(f, "{:indent$}}}", "")
    }

    fn print_simple(&self, f: &mut fmt::Formatter<'_>, statement: &Statement) -> fmt::Result {
        let at = |location: &LocationId| self.locations[location.0].name.as_str();
        let into = |register: &Option<RegisterId>| match register {
            Some(id) => format!("{} = ", self.registers[id.0].name),
            None => String::new(),
        };
        let shown = |value: &Value| self.show(*value);
        match statement {
            Statement::Store { location, value, ordering } => {
                write!(f, "{}.store({}, {ordering:?});", at(location), shown(value))
            }
            Statement::Load { location, ordering, into: register } => {
                write!(f, "{}{}.load({ordering:?});", into(register), at(location))
            }
            Statement::Swap { location, value, ordering, into: register } => {
                write!(
                    f,
                    "{}{}.swap({}, {ordering:?});",
                    into(register),
                    at(location),
                    shown(value)
                )
            }
            Statement::FetchAdd { location, value, ordering, into: register } => {
                write!(
                    f,
                    "{}{}.fetch_add({}, {ordering:?});",
                    into(register),
                    at(location),
                    shown(value)
                )
            }
            Statement::CompareExchange {
                location,
                expected,
                new,
                success,
                failure,
                into: register,
            } => {
                let (register, location) = (into(register), at(location));
                let (expected, new) = (shown(expected), shown(new));
                write!(
                    f,
                    "{register}{location}.compare_exchange({expected}, {new}, {success:?}, \
                     {failure:?});"
                )
            }
            Statement::Fence { ordering } => write!(f, "fence({ordering:?});"),
            Statement::Assume(condition) => write!(f, "assume({});", Shown(self, condition)),
            Statement::If { .. } => unreachable!("`print` handles branches"),
        }
    }

    fn show(&self, value: Value) -> String {
        match value {
            Value::Literal(number) => number.to_string(),
            Value::Register(id) => self.registers[id.0].name.clone(),
        }
    }
}

/// A condition with the program that knows its registers' names.
struct Shown<'a>(&'a Program, &'a Condition);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(program, condition) = self;
        let (parts, operator) = match condition {
            Condition::Equal(a, b) => {
                return write!(f, "{} == {}", program.show(*a), program.show(*b));
            }
            Condition::NotEqual(a, b) => {
                return write!(f, "{} != {}", program.show(*a), program.show(*b));
            }
            Condition::All(parts) => (parts, " && "),
            Condition::Any(parts) => (parts, " || "),
        };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(operator)?;
            }
            match part {
                Condition::All(_) | Condition::Any(_) => write!(f, "({})", Shown(program, part))?,
                _ => write!(f, "{}", Shown(program, part))?,
            }
        }
        Ok(())
    }
}
