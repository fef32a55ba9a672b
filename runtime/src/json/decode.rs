//! Messages to columns.
