//! From the outside.
