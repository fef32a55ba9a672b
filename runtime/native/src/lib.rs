//! The only unsafe code of millrace.
