//! The parser: recursive descent, one token ahead, errors with line and column.
//!
//! It resolves names while it reads, so that what is wrong about a name (undeclared, declared
//! twice, another thread's register) is reported where the name stands.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use super::ast::{
    Condition, Location, LocationId, Program, Register, RegisterId, Statement, Thread, Value,
};

/// How deep blocks and parentheses may nest: the parser recurses, and a hostile file must not
/// overflow its stack.
const MAX_DEPTH: usize = 64;

const RESERVED: [&str; 5] = ["thread", "fence", "assume", "if", "else"];
const OPERATIONS: &str = "`store`, `load`, `swap`, `fetch_add` or `compare_exchange`";
const ORDERINGS: &str = "`Relaxed`, `Acquire`, `Release`, `AcqRel` or `SeqCst`";

/// Why a text is no litmus program, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The error at this place.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Program {
    type Err = ParseError;

    /// Parses [the language](super#the-language) of litmus programs.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the text, with its line and column.
    ///
    /// ```
    /// let text = "x = 0; thread { r1 = x.load(Release); }";
    /// let error = text.parse::<verify::litmus::Program>().unwrap_err();
    /// assert_eq!((error.line, error.column), (1, 29));
    /// assert_eq!(error.message, "a load cannot be `Release`: `Relaxed`, `Acquire` or `SeqCst`");
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Parser::new(text)?.program()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn error(self, message: impl Into<String>) -> ParseError {
        ParseError { line: self.line, column: self.column, message: message.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Integer(u64),
    Symbol(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Name(name) => write!(f, "`{name}`"),
            Token::Integer(number) => write!(f, "`{number}`"),
            Token::Symbol(symbol) => write!(f, "`{symbol}`"),
            Token::End => f.write_str("the end of the file"),
        }
    }
}

/// Turns text into tokens, each with the position of its first character.
struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    at: Position,
}

impl Lexer<'_> {
    fn bump(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(next)
    }

    fn skip_line(&mut self) {
        while self.rest.peek().is_some_and(|&next| next != '\n') {
            self.bump();
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        let part = |next: &&char| next.is_alphanumeric() || **next == '_';
        while let Some(&next) = self.rest.peek().filter(part) {
            word.push(next);
            self.bump();
        }
        word
    }

    /// After the first character of a two-character symbol: the whole symbol if `second` follows.
    fn pair(&mut self, second: char, pair: &'static str) -> Option<Token> {
        self.rest.next_if_eq(&second)?;
        self.at.column += 1;
        Some(Token::Symbol(pair))
    }

    fn next(&mut self) -> Result<(Token, Position), ParseError> {
        loop {
            let at = self.at;
            let Some(&first) = self.rest.peek() else {
                return Ok((Token::End, at));
            };
            if first.is_whitespace() {
                self.bump();
                continue;
            }
            if first.is_ascii_digit() {
                return Ok((Token::Integer(integer(&self.word(), at)?), at));
            }
            if first.is_ascii_alphabetic() || first == '_' {
                let name = self.word();
                return match name.is_ascii() {
                    true => Ok((Token::Name(name), at)),
                    false => Err(at
                        .error(format!("`{name}` is no name: letters `a` to `z`, digits and `_`"))),
                };
            }
            self.bump();
            let token = match first {
                '#' => {
                    self.skip_line();
                    continue;
                }
                '/' if self.rest.peek() == Some(&'/') => {
                    self.skip_line();
                    continue;
                }
                '=' => self.pair('=', "==").unwrap_or(Token::Symbol("=")),
                '{' => Token::Symbol("{"),
                '}' => Token::Symbol("}"),
                '(' => Token::Symbol("("),
                ')' => Token::Symbol(")"),
                ';' => Token::Symbol(";"),
                ',' => Token::Symbol(","),
                '.' => Token::Symbol("."),
                '!' => self.pair('=', "!=").ok_or_else(|| at.error("expected `!=`"))?,
                '&' => self.pair('&', "&&").ok_or_else(|| at.error("expected `&&`"))?,
                '|' => self.pair('|', "||").ok_or_else(|| at.error("expected `||`"))?,
                '-' => return Err(at.error("values are unsigned: no `-`")),
                other => return Err(at.error(format!("unexpected character {other:?}"))),
            };
            return Ok((token, at));
        }
    }
}

fn integer(word: &str, at: Position) -> Result<u64, ParseError> {
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    let mut total: u64 = 0;
    let mut seen = false;
    for digit in digits.chars().filter(|&digit| digit != '_') {
        let digit = digit
            .to_digit(radix)
            .ok_or_else(|| at.error(format!("`{word}` is neither a number nor a name")))?;
        seen = true;
        total = total
            .checked_mul(u64::from(radix))
            .and_then(|total| total.checked_add(u64::from(digit)))
            .ok_or_else(|| at.error(format!("`{word}` does not fit 64 bits")))?;
    }
    if seen { Ok(total) } else { Err(at.error(format!("`{word}` has no digits"))) }
}

/// The operations that carry an ordering. Each operation has its own forbidden orderings.
#[derive(Clone, Copy)]
enum Role {
    Load,
    Store,
    ReadModifyWrite,
    Failure,
    Fence,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    at: Position,
    depth: usize,
    program: Program,
    locations: HashMap<String, (LocationId, Position)>,
    registers: HashMap<String, (RegisterId, Position)>,
    /// The registers of the thread being read that every path to here has assigned.
    assigned: BTreeSet<RegisterId>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        // A byte-order mark is no part of the program.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lexer =
            Lexer { rest: text.chars().peekable(), at: Position { line: 1, column: 1 } };
        let (token, at) = lexer.next()?;
        Ok(Parser {
            lexer,
            token,
            at,
            depth: 0,
            program: Program::default(),
            locations: HashMap::new(),
            registers: HashMap::new(),
            assigned: BTreeSet::new(),
        })
    }

    /// Takes the current token.
    fn take(&mut self) -> Result<(Token, Position), ParseError> {
        let (token, at) = self.lexer.next()?;
        Ok((std::mem::replace(&mut self.token, token), std::mem::replace(&mut self.at, at)))
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(here) if here == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Name(here) if here == word)
    }

    fn expected(&self, what: &str) -> ParseError {
        self.at.error(format!("expected {what}, found {}", self.token))
    }

    fn expect(&mut self, symbol: &'static str) -> Result<Position, ParseError> {
        if self.is(symbol) {
            Ok(self.take()?.1)
        } else {
            Err(self.expected(&format!("`{symbol}`")))
        }
    }

    /// Takes the symbol if it is next.
    fn accept(&mut self, symbol: &'static str) -> Result<bool, ParseError> {
        let here = self.is(symbol);
        if here {
            self.take()?;
        }
        Ok(here)
    }

    fn name(&mut self, what: &str) -> Result<(String, Position), ParseError> {
        match &self.token {
            Token::Name(name) if RESERVED.contains(&name.as_str()) => {
                Err(self.at.error(format!("expected {what}, found the reserved word `{name}`")))
            }
            Token::Name(_) => match self.take()? {
                (Token::Name(name), at) => Ok((name, at)),
                _ => unreachable!("the token was a name"),
            },
            _ => Err(self.expected(what)),
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(self.at.error(format!("nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn program(mut self) -> Result<Program, ParseError> {
        while self.token != Token::End {
            if self.is_word("thread") {
                self.thread()?;
            } else if matches!(self.token, Token::Name(_)) {
                self.location()?;
            } else {
                return Err(self.expected("`thread` or the declaration of a location"));
            }
        }
        if self.program.threads.is_empty() {
            return Err(self.at.error("no thread: a program has at least one `thread { … }`"));
        }
        Ok(self.program)
    }

    fn location(&mut self) -> Result<(), ParseError> {
        let (name, at) = self.name("the name of a location")?;
        if self.is(".") {
            return Err(at.error("an operation stands inside a `thread { … }`"));
        }
        self.expect("=")?;
        let initial = match self.take()? {
            (Token::Integer(number), _) => number,
            (other, at) => {
                return Err(
                    at.error(format!("expected the initial value of `{name}`, found {other}"))
                );
            }
        };
        self.expect(";")?;
        if let Some((_, first)) = self.locations.get(&name) {
            return Err(at.error(format!(
                "location `{name}` is declared already, at line {}, column {}",
                first.line, first.column
            )));
        }
        if !self.program.threads.is_empty() {
            return Err(at.error(format!(
                "location `{name}` is declared after a thread: declare all before the first"
            )));
        }
        self.locations.insert(name.clone(), (LocationId(self.program.locations.len()), at));
        self.program.locations.push(Location { name, initial });
        Ok(())
    }

    fn thread(&mut self) -> Result<(), ParseError> {
        let (_, at) = self.take()?;
        self.assigned.clear();
        let body = self.block()?;
        if body.is_empty() {
            return Err(at.error("a thread that does nothing"));
        }
        self.program.threads.push(Thread { body });
        Ok(())
    }

    fn block(&mut self) -> Result<Vec<Statement>, ParseError> {
        let open = self.expect("{")?;
        self.nested(|parser| {
            let mut body = Vec::new();
            while !parser.accept("}")? {
                if parser.token == Token::End {
                    let (line, column) = (open.line, open.column);
                    return Err(parser.at.error(format!(
                        "the `{{` of line {line}, column {column} is never closed"
                    )));
                }
                body.push(parser.statement()?);
            }
            Ok(body)
        })
    }

    fn statement(&mut self) -> Result<Statement, ParseError> {
        if self.is_word("if") {
            return self.branch();
        }
        let statement = if self.is_word("fence") {
            self.take()?;
            self.expect("(")?;
            let ordering = self.ordering(Role::Fence)?;
            Statement::Fence { ordering }
        } else if self.is_word("assume") {
            self.take()?;
            self.expect("(")?;
            Statement::Assume(self.condition()?)
        } else {
            self.operation()?
        };
        self.expect(")")?;
        self.expect(";")?;
        Ok(statement)
    }

    fn branch(&mut self) -> Result<Statement, ParseError> {
        self.take()?;
        self.expect("(")?;
        let condition = self.condition()?;
        self.expect(")")?;
        let before = self.assigned.clone();
        let then = self.block()?;
        let after_then = std::mem::replace(&mut self.assigned, before);
        let otherwise = if self.is_word("else") {
            self.take()?;
            self.block()?
        } else {
            Vec::new()
        };
        // Assigned for certain is what both paths assigned.
        self.assigned.retain(|register| after_then.contains(register));
        Ok(Statement::If { condition, then, otherwise })
    }

    /// Everything of an operation but its closing parenthesis and semicolon.
    fn operation(&mut self) -> Result<Statement, ParseError> {
        let (mut name, mut at) = self.name("a statement")?;
        let mut target = None;
        if self.accept("=")? {
            target = Some((name, at));
            if self.is_word("fence") {
                return Err(self.at.error("a fence yields no value"));
            }
            (name, at) = self.name("an operation on a location")?;
        }
        if !self.is(".") {
            return Err(match self.locations.contains_key(&name) || target.is_some() {
                true => self.expected("`.` and an operation"),
                false => self.expected(&format!("`=` or `.` after `{name}`")),
            });
        }
        let Some(&(location, _)) = self.locations.get(&name) else {
            return Err(at.error(match self.registers.contains_key(&name) {
                true => format!("`{name}` is a register, not a location"),
                false => format!(
                    "location `{name}` is not declared: `{name} = 0;` before the first thread would"
                ),
            }));
        };
        self.expect(".")?;
        let (operation, operation_at) = self.name(OPERATIONS)?;
        if let Some((_, at)) = target.as_ref().filter(|_| operation == "store") {
            return Err(at.error("a store yields no value"));
        }
        // Values are read before the target is assigned: `r = x.swap(r, …)` uses the old `r`.
        let arguments = |parser: &mut Self, values: usize| -> Result<Vec<Value>, ParseError> {
            parser.expect("(")?;
            let mut all = Vec::new();
            for _ in 0..values {
                all.push(parser.value()?);
                parser.expect(",")?;
            }
            Ok(all)
        };
        Ok(match operation.as_str() {
            "store" => {
                let value = arguments(self, 1)?[0];
                Statement::Store { location, value, ordering: self.ordering(Role::Store)? }
            }
            "load" => {
                arguments(self, 0)?;
                let ordering = self.ordering(Role::Load)?;
                Statement::Load { location, ordering, into: self.assign(target)? }
            }
            "swap" => {
                let value = arguments(self, 1)?[0];
                let ordering = self.ordering(Role::ReadModifyWrite)?;
                Statement::Swap { location, value, ordering, into: self.assign(target)? }
            }
            "fetch_add" => {
                let value = arguments(self, 1)?[0];
                let ordering = self.ordering(Role::ReadModifyWrite)?;
                Statement::FetchAdd { location, value, ordering, into: self.assign(target)? }
            }
            "compare_exchange" => {
                let values = arguments(self, 2)?;
                let success = self.ordering(Role::ReadModifyWrite)?;
                self.expect(",")?;
                let failure = self.ordering(Role::Failure)?;
                let into = self.assign(target)?;
                Statement::CompareExchange {
                    location,
                    expected: values[0],
                    new: values[1],
                    success,
                    failure,
                    into,
                }
            }
            other => {
                return Err(
                    operation_at.error(format!("unknown operation `{other}`: {OPERATIONS}"))
                );
            }
        })
    }

    /// Makes the target of an operation a register of this thread.
    fn assign(
        &mut self,
        target: Option<(String, Position)>,
    ) -> Result<Option<RegisterId>, ParseError> {
        let Some((name, at)) = target else {
            return Ok(None);
        };
        if self.locations.contains_key(&name) {
            return Err(
                at.error(format!("`{name}` is a location: write to it with `{name}.store(…)`"))
            );
        }
        let thread = self.program.threads.len();
        let id = match self.registers.get(&name) {
            Some(&(id, first)) => {
                if self.program.registers[id.0].thread != thread {
                    let (line, column) = (first.line, first.column);
                    return Err(at.error(format!(
                        "register `{name}` belongs to another thread (line {line}, column \
                         {column}): \
                         outcomes print registers by name, so each thread needs its own"
                    )));
                }
                id
            }
            None => {
                let id = RegisterId(self.program.registers.len());
                self.program.registers.push(Register { name: name.clone(), thread });
                self.registers.insert(name, (id, at));
                id
            }
        };
        self.assigned.insert(id);
        Ok(Some(id))
    }

    fn value(&mut self) -> Result<Value, ParseError> {
        if let Token::Integer(number) = self.token {
            self.take()?;
            return Ok(Value::Literal(number));
        }
        let (name, at) = self.name("a number or a register")?;
        if self.locations.contains_key(&name) {
            return Err(at.error(format!("`{name}` is a location: load it into a register first")));
        }
        match self.registers.get(&name) {
            Some(&(id, _)) if self.assigned.contains(&id) => Ok(Value::Register(id)),
            Some(&(id, _)) if self.program.registers[id.0].thread != self.program.threads.len() => {
                Err(at.error(format!("register `{name}` belongs to another thread")))
            }
            Some(_) => {
                Err(at.error(format!("register `{name}` is not assigned on every path to here")))
            }
            None => Err(at.error(format!("register `{name}` is not assigned before this"))),
        }
    }

    fn condition(&mut self) -> Result<Condition, ParseError> {
        self.nested(|parser| {
            let mut parts = vec![parser.conjunct()?];
            while parser.accept("||")? {
                parts.push(parser.conjunct()?);
            }
            Ok(single_or(parts, Condition::Any))
        })
    }

    fn conjunct(&mut self) -> Result<Condition, ParseError> {
        let mut parts = vec![self.term()?];
        while self.accept("&&")? {
            parts.push(self.term()?);
        }
        Ok(single_or(parts, Condition::All))
    }

    fn term(&mut self) -> Result<Condition, ParseError> {
        if self.accept("(")? {
            let condition = self.condition()?;
            self.expect(")")?;
            return Ok(condition);
        }
        let left = self.value()?;
        let equal = self.is("==");
        if !equal && !self.is("!=") {
            return Err(self.expected("`==` or `!=`"));
        }
        self.take()?;
        let right = self.value()?;
        Ok(if equal { Condition::Equal(left, right) } else { Condition::NotEqual(left, right) })
    }

    fn ordering(&mut self, role: Role) -> Result<Ordering, ParseError> {
        let (name, at) = self.name(ORDERINGS)?;
        let ordering = match name.as_str() {
            "Relaxed" => Ordering::Relaxed,
            "Acquire" => Ordering::Acquire,
            "Release" => Ordering::Release,
            "AcqRel" => Ordering::AcqRel,
            "SeqCst" => Ordering::SeqCst,
            _ => return Err(at.error(format!("unknown ordering `{name}`: {ORDERINGS}"))),
        };
        let forbidden = match (role, ordering) {
            (Role::Load, Ordering::Release | Ordering::AcqRel) => {
                Some(("a load", "`Relaxed`, `Acquire` or `SeqCst`"))
            }
            (Role::Store, Ordering::Acquire | Ordering::AcqRel) => {
                Some(("a store", "`Relaxed`, `Release` or `SeqCst`"))
            }
            (Role::Failure, Ordering::Release | Ordering::AcqRel) => Some((
                "the failure of a compare_exchange only loads: it",
                "`Relaxed`, `Acquire` or `SeqCst`",
            )),
            (Role::Fence, Ordering::Relaxed) => {
                Some(("a fence", "`Acquire`, `Release`, `AcqRel` or `SeqCst`"))
            }
            _ => None,
        };
        match forbidden {
            Some((what, allowed)) => Err(at.error(format!("{what} cannot be `{name}`: {allowed}"))),
            None => Ok(ordering),
        }
    }
}

/// One part stands for itself; several make a conjunction or a disjunction.
fn single_or(
    mut parts: Vec<Condition>,
    join: impl FnOnce(Vec<Condition>) -> Condition,
) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
