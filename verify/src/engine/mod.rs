//! The engine: execution graphs, their exploration, and the coroutines that run the model.
//!
//! `driver -> runtime -> {explore, report} -> memory_model`: imports go only in this direction, and
//! no file of the engine imports the front end.
//!
//! | folder | what it holds |
//! |---|---|
//! | `driver` | executions one after the other, limits, statistics |
//! | `runtime` | coroutines, replay of a graph, scheduling, objects, races |
//! | `explore` | enumerating the graphs, each once |
//! | `report` | a failing execution as a person reads it |
//! | `memory_model` | execution graphs, and which of them RC11 allows |

pub(crate) mod driver;
pub(crate) mod explore;
pub(crate) mod memory_model;
pub(crate) mod report;
pub(crate) mod runtime;
