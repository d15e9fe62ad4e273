//! Property tests: each structure against a naive oracle.

mod scheduler;
mod wheel;
