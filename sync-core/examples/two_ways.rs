//! Python's two ways to make a thread: `threading.Thread(target=work, args=(3,))`, and a subclass
//! of `Thread` with its own state and a `run`.

use sync_core::thread::{self, Builder};

/// The first way: a function, and the closure that gives it its arguments.
fn count(name: &str, to: u32) -> u32 {
    for n in 1..=to {
        println!("{name}: {n}");
    }
    to
}

/// The second way: a value that carries its own state, and a `run`.
struct Counter {
    name: String,
    left: u32,
    steps: Vec<u32>,
}

impl Counter {
    fn run(mut self) -> Self {
        while self.left > 0 {
            println!("{}: {} left", self.name, self.left);
            self.steps.push(self.left);
            self.left -= 1;
        }
        // The thread returns the values that Python would leave in its attributes.
        self
    }
}

fn main() {
    let function = thread::spawn(|| count("function", 3)).unwrap();

    let counter = Counter { name: "value".into(), left: 3, steps: Vec::new() };
    let value = Builder::new().name("counter").spawn(move || counter.run()).unwrap();

    assert_eq!(function.join(), Ok(&3));
    let counter = value.join().unwrap();
    assert_eq!((counter.left, &counter.steps[..]), (0, &[3, 2, 1][..]));
    println!("{} is over: {}", value.name(), !value.is_alive());
}
