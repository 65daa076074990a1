//! What a run has measured, as a table or as one JSON object.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    super::{exit::Failure, explain::grouped, once::output::Output, table::Table},
    ledger::Totals,
    load::Run,
};
use crate::config::BenchArgs;

/// What a run has measured.
#[derive(Serialize)]
pub(super) struct Report {
    to: &'static str,
    /// Connections that have sent.
    clients: usize,
    pipeline: usize,
    size: usize,
    /// Messages a second that were asked for.
    rate: Option<u64>,
    is_verified: bool,
    /// From the beginning to the last OK.
    seconds: f64,
    #[serde(flatten)]
    totals: Totals,
    /// They were due, and the time to send was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_sent: Option<u64>,
    acknowledged_per_second: f64,
    /// From the beginning to the last arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_per_second: Option<f64>,
    /// In microseconds; without any, nothing was measured.
    latency_us: Option<Latency>,
    /// How often the connection that watches was made again.
    reconnections: u64,
    /// How often the server has refused something, by code.
    limits: BTreeMap<String, u64>,
}

/// Latency by percentile.
#[derive(Serialize)]
struct Latency {
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p99_9: f64,
    #[serde(rename = "p99.99")]
    p99_99: f64,
    max: f64,
}

/// Whether each message has arrived once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fair,
    /// What has happened.
    Broken(String),
}

#[expect(clippy::cast_precision_loss, reason = "latencies of more than a hundred days lose nanoseconds")]
fn microseconds(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// Nanoseconds as milliseconds.
pub(super) fn milliseconds(nanos: u64) -> f64 {
    microseconds(nanos) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded for people anyway")]
fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { (count as f64 / seconds).round() } else { 0.0 }
}

impl Report {
    pub(super) fn new(run: &Run, args: &BenchArgs, clients: usize) -> Self {
        let state = run.state();
        let totals = state.ledger.totals();
        let since_begin = |last: Option<std::time::Instant>| {
            last.map_or(0.0, |last| last.saturating_duration_since(run.began).as_secs_f64())
        };
        let seconds = since_begin(state.last_answer);
        Report {
            to: args.to.name(),
            clients,
            pipeline: args.pipeline,
            size: args.size,
            rate: args.rate,
            is_verified: args.verify,
            seconds,
            totals,
            not_sent: run.count_due().map(|due| due.saturating_sub(totals.sent)),
            acknowledged_per_second: per_second(totals.acknowledged, seconds),
            delivered_per_second: run
                .is_live
                .then(|| per_second(totals.delivered, since_begin(state.last_arrival))),
            latency_us: Latency::of(&state.latency),
            reconnections: state.reconnections,
            limits: state.limits.clone(),
        }
    }

    /// Prints it.
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if output.is_json {
            output.json(self)?;
        } else {
            self.counts().lines().try_for_each(|line| output.line(&line))?;
            output.line("")?;
            if let Some(latency) = &self.latency_us {
                latency.table().lines().try_for_each(|line| output.line(&line))?;
            }
        }
        output.flush()
    }

    fn counts(&self) -> Table<3> {
        let of = |what: &str, count: u64, more: String| [what.to_owned(), grouped(count), more];
        let (totals, limits) = (&self.totals, &self.limits);
        let mut table = Table::new(["MESSAGES", "", ""]);
        let connections = format!("{} x {} in flight, {} bytes", self.clients, self.pipeline, self.size);
        table.add(of("sent", totals.sent, connections));
        let rate = format!("{}/s", whole(self.acknowledged_per_second));
        table.add(of("acknowledged", totals.acknowledged, rate));
        let rate = self.delivered_per_second.map(|rate| format!("{}/s", whole(rate)));
        table.add(of("delivered", totals.delivered, rate.unwrap_or_default()));
        for (what, count) in [
            ("unanswered", totals.unanswered),
            ("refused", totals.refused),
            ("not sent in time", self.not_sent.unwrap_or_default()),
            ("reconnections", self.reconnections),
        ] {
            if count > 0 {
                table.add(of(what, count, String::new()));
            }
        }
        for (what, count) in
            [("lost", totals.lost), ("doubled", totals.doubled), ("unexpected", totals.unexpected)]
        {
            if self.is_verified || count > 0 {
                table.add(of(what, count, String::new()));
            }
        }
        for (code, count) in limits {
            table.add(of(code, *count, "refusals".to_owned()));
        }
        table
    }

    /// Whether each message has arrived once.
    pub(super) fn verdict(&self) -> Verdict {
        let Totals { lost, doubled, unexpected, .. } = self.totals;
        if lost + doubled + unexpected == 0 {
            return Verdict::Fair;
        }
        let [lost, doubled, unexpected] = [lost, doubled, unexpected].map(grouped);
        Verdict::Broken(format!("{lost} messages lost, {doubled} doubled, {unexpected} unexpected"))
    }

    /// Which limits of the server were reached; `None` without any.
    pub(super) fn limits(&self) -> Option<String> {
        let named: Vec<_> =
            self.limits.iter().map(|(code, count)| format!("{code} ({})", grouped(*count))).collect();
        (!named.is_empty()).then(|| {
            format!("the server has refused: {}\n  remedy: fewer clients, a lower --rate, or a server with other limits", named.join(", "))
        })
    }
}

/// A number without a fraction, for people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is neither negative nor that large"
)]
fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}

impl Latency {
    /// Of a histogram of nanoseconds.
    fn of(latency: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| microseconds(latency.value_at_quantile(quantile));
        (!latency.is_empty()).then(|| Latency {
            min: microseconds(latency.min()),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: microseconds(latency.max()),
        })
    }

    /// In milliseconds, or in microseconds if half of the messages took less than one millisecond.
    fn table(&self) -> Table<8> {
        let (unit, divisor) = if self.p50 < 1e3 { ("µs", 1.0) } else { ("ms", 1e3) };
        let shown =
            |value: f64| format!("{:.*}", if value / divisor < 100.0 { 2 } else { 0 }, value / divisor);
        let mut table = Table::new(["LATENCY", "MIN", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "MAX"]);
        let Latency { min, p50, p90, p99, p99_9, p99_99, max } = *self;
        let [min, p50, p90, p99, p99_9, p99_99, max] = [min, p50, p90, p99, p99_9, p99_99, max].map(shown);
        table.add([unit.to_owned(), min, p50, p90, p99, p99_9, p99_99, max]);
        table
    }
}
