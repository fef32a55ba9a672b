//! Figures that others count and that are asked for at each scrape: what plugins cost, what became of spans.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::observe::trace::Tracer;
use crate::plan::Plan;
use crate::stage::plugin::{Figures, Program};

#[derive(Debug, Hash, PartialEq, Eq, Clone, EncodeLabelSet)]
struct Stage {
    stage: String,
}

#[derive(Debug, Hash, PartialEq, Eq, Clone, EncodeLabelSet)]
struct Counted {
    stage: String,
    counter: String,
}

/// Name, help, and which figure.
type Row = (&'static str, &'static str, fn(&Figures) -> u64);

const COUNTERS: [Row; 4] = [
    ("plugin_calls", "Calls of a plugin's `process`", |figures| figures.calls),
    ("plugin_fuel", "Fuel that these calls used: WebAssembly instructions, roughly", |figures| figures.fuel),
    ("plugin_renewals", "Instances made because a call of the one before had failed", |figures| figures.renewals),
    ("plugin_refused_rows", "Rows that went no further than a plugin", |figures| figures.refused_rows),
];
const GAUGES: [Row; 4] = [
    ("plugin_memory_bytes", "Linear memory of a plugin's instances", |figures| figures.memory_bytes),
    ("plugin_memory_peak_bytes", "The most linear memory that one instance ever had", |figures| {
        figures.memory_peak_bytes
    }),
    ("plugin_failed_rows_in_a_row", "Rows that a plugin failed on since its last answer", |figures| {
        figures.failed_rows_in_a_row
    }),
    ("plugin_failing", "1: ten of a plugin's last 64 rows failed, or none was ever answered", |figures| {
        u64::from(figures.is_failing)
    }),
];

pub struct Asked {
    plugins: Vec<(Stage, Arc<Program>)>,
    tracer: Tracer,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

impl Asked {
    pub fn new(plan: &Plan, tracer: Tracer) -> Asked {
        let plugin = |(name, program): (&Arc<str>, &Arc<Program>)| (Stage { stage: name.to_string() }, program.clone());
        Asked { plugins: plan.plugins().map(plugin).collect(), tracer }
    }

    fn own_counters(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "What a plugin counts itself, in calls that were good";
        let mut family = encoder.encode_descriptor("plugin_counter", help, None, MetricType::Counter)?;
        for (Stage { stage }, program) in &self.plugins {
            for (counter, count) in program.counters() {
                let labels = Counted { stage: stage.clone(), counter };
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Collector for Asked {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let read: Vec<_> = self.plugins.iter().map(|(stage, program)| (stage, program.figures())).collect();
        for (name, help, figure) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (stage, figures) in &read {
                ConstCounter::new(figure(figures)).encode(family.encode_family(*stage)?)?;
            }
        }
        for (name, help, figure) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (stage, figures) in &read {
                ConstGauge::new(figure(figures) as i64).encode(family.encode_family(*stage)?)?;
            }
        }
        self.own_counters(&mut encoder)?;
        let (exported, dropped) = self.tracer.tally().map_or((0, 0), |tally| (tally.exported(), tally.dropped()));
        for (name, help, spans) in [
            ("spans_exported", "Spans that the OTLP collector took", exported),
            ("spans_dropped", "Spans that it did not take in time", dropped),
        ] {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(spans).encode(family)?;
        }
        Ok(())
    }
}
