//! Tests on the real services, from the outside.

mod flow;
