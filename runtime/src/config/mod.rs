//! The pipeline file: read, checked, made into a plan.
