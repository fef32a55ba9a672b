//! The prediction page.
