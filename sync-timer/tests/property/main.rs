//! Property tests: each structure against a naive oracle.

mod wheel;
