//! Execution graphs and what RC11 says of them.
//!
//! | file | what it holds |
//! |---|---|
//! | `event` | labels of events, the functions of read-modify-writes |
//! | `graph` | events, program order, reads-from, modification order, clocks |
//! | `consistency` | the order of sequentially consistent events |
//! | `fact` | what an exploration finds out about the model |
//! | `linearize` | one interleaving of a graph |

pub(crate) mod consistency;
pub(crate) mod event;
pub(crate) mod fact;
pub(crate) mod graph;
pub(crate) mod linearize;
