//! Where everything stands, as figures: the gauges of `/metrics` that are about now, made of the status at each scrape.
//!
//! Invariant: they say what `/status` says. What is not known there has no series.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::observe::status::{KAFKA, Report, Sink, SinkState, Status};

#[derive(Debug, Hash, PartialEq, Eq, Clone, EncodeLabelSet)]
struct Partition {
    partition: i32,
}

#[derive(Debug, Hash, PartialEq, Eq, Clone, EncodeLabelSet)]
struct Position {
    sink: String,
    partition: i32,
}

#[derive(Debug, Hash, PartialEq, Eq, Clone, EncodeLabelSet)]
struct State {
    sink: String,
    state: &'static str,
}

#[derive(Debug, Hash, PartialEq, Eq, Clone, EncodeLabelSet)]
struct Required {
    sink: String,
}

pub struct Standing(Arc<Status>);

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing")
    }
}

impl Standing {
    pub fn new(status: Arc<Status>) -> Standing {
        Standing(status)
    }
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let report = self.0.report();
        gauge(&mut encoder, "lag", "Messages from the head's commit to the log's end", lags(&report))?;
        gauge(&mut encoder, "head_offset", "The head's committed offset", heads(&report))?;
        gauge(
            &mut encoder,
            "head_waiting",
            "Workers whose head waits for this sink, which is required",
            waiting(&report),
        )?;
        gauge(&mut encoder, "sink_position", "The first offset that is not durable at a sink", positions(&report))?;
        gauge(&mut encoder, "sink_workers", "Workers whose sink is in this state", states(&report))
    }
}

fn gauge<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (L, i64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn lags(report: &Report) -> impl Iterator<Item = (Partition, i64)> {
    let partitions = report.workers.values().flat_map(|worker| &worker.partitions);
    partitions.filter_map(|(&partition, stands)| Some((Partition { partition }, stands.lag?)))
}

fn heads(report: &Report) -> impl Iterator<Item = (Partition, i64)> {
    let partitions = report.workers.values().flat_map(|worker| &worker.partitions);
    partitions.map(|(&partition, stands)| (Partition { partition }, stands.head))
}

/// Sinks with a position of their own.
fn own(report: &Report) -> impl Iterator<Item = (&String, &Sink)> {
    report.sinks.iter().filter(|(_, sink)| sink.kind != KAFKA)
}

fn waiting(report: &Report) -> impl Iterator<Item = (Required, i64)> {
    own(report).filter(|(_, sink)| sink.required).map(|(name, _)| {
        let waits = report.workers.values().filter(|worker| worker.head_waits_for.contains(name)).count();
        (Required { sink: name.clone() }, waits as i64)
    })
}

fn positions(report: &Report) -> impl Iterator<Item = (Position, i64)> {
    own(report).flat_map(|(name, sink)| {
        let positions = sink.positions.iter();
        positions.map(|(&partition, &position)| (Position { sink: name.clone(), partition }, position))
    })
}

fn states(report: &Report) -> impl Iterator<Item = (State, i64)> {
    own(report).flat_map(|(name, sink)| {
        SinkState::NAMES.into_iter().map(|state| {
            let workers = sink.workers.values().filter(|work| work.state.name() == state).count();
            (State { sink: name.clone(), state }, workers as i64)
        })
    })
}
