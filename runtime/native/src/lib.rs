//! The only unsafe code of millrace, behind safe types: librdkafka's topic ids and XGBoost.

pub mod topic_id;
pub mod xgboost;
