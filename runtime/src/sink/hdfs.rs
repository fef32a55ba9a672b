//! hdfs
