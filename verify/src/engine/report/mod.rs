//! A failing execution as a person reads it.
//!
//! | file | what it holds |
//! |---|---|
//! | `failure` | what can be wrong with a model |
//! | `text` | an execution as text, a column for each thread |
//! | `html` | the same as a page for a browser |
//! | `explain` | the edges of happens-before that are missing |

pub(crate) mod explain;
pub(crate) mod failure;
pub(crate) mod html;
pub(crate) mod text;
