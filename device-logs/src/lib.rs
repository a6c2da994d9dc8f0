//! Figures of predictions logged on devices, by SQL: the runtime's streaming accumulators as aggregate
//! functions of DataFusion.
//!
//! Each partition of a log fills an accumulator of its own; their states, a few kilobytes, are merged. That is
//! what any engine of this family does with partial aggregates: the same query runs on one machine or, with
//! these functions registered there, on Ballista. Memory does not grow with the log.
#![forbid(unsafe_code)]

pub mod aggregate;
mod arrays;
pub mod classification;
pub mod query;
pub mod regression;
