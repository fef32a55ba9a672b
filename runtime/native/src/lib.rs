//! Unsafe code of millrace, behind safe types: what librdkafka knows of topics and groups, and XGBoost.

pub mod members;
mod owned;
pub mod topic_id;
pub mod xgboost;

pub use owned::Rights;
