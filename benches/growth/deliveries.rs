//! Deliveries to who watches: the sender stamps a message, and each watcher reads the stamp.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::{io::AsyncReadExt, sync::Notify, task::JoinSet};

use crate::{
    bench::{Result, WARM_UP},
    load::histogram,
    wire::{END, Wire, closed},
};

/// What all watchers have got.
pub(crate) struct Deliveries {
    /// Stamps are nanoseconds after this.
    pub(crate) epoch: Instant,
    pub(crate) latency: RefCell<Histogram<u64>>,
    count: Cell<u64>,
    more: Notify,
}

impl Deliveries {
    pub(crate) fn new() -> Result<Rc<Self>> {
        let (count, more) = (Cell::default(), Notify::default());
        Ok(Rc::new(Deliveries { epoch: Instant::now(), latency: RefCell::new(histogram()?), count, more }))
    }

    /// Waits until there were so many, of all time.
    pub(crate) async fn reach(&self, count: u64) {
        while self.count.get() < count {
            self.more.notified().await;
        }
    }
}

/// Says that the connection watches, as a user who is logged in.
pub(crate) async fn watch(wire: &mut Wire) -> Result<()> {
    wire.expect("hello 2", "protocol").await?;
    wire.expect("watch", "watching").await.map(drop)
}

/// Reads what comes to these watchers. The tasks end only by an error.
pub(crate) fn watchers(wires: Vec<Wire>, deliveries: &Rc<Deliveries>) -> JoinSet<Result<()>> {
    let mut reading = JoinSet::new();
    for wire in wires {
        reading.spawn_local(read(wire, deliveries.clone()));
    }
    reading
}

async fn read(wire: Wire, deliveries: Rc<Deliveries>) -> Result<()> {
    let (mut stream, mut input) = wire.into_parts();
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(closed(&input));
        }
        let now = deliveries.epoch.elapsed();
        while let Some(end) = memmem::find(&input, END) {
            let event: Vec<_> = input.drain(..end + END.len()).collect();
            let Some(stamp) = stamp(&event)? else {
                continue;
            };
            if u128::from(stamp) >= WARM_UP.as_nanos() {
                let late = u64::try_from(now.as_nanos())?.saturating_sub(stamp);
                deliveries.latency.borrow_mut().saturating_record(late);
            }
            deliveries.count.set(deliveries.count.get() + 1);
            deliveries.more.notify_one();
        }
    }
}

/// When the message was due; nothing if the event is another one. An end of the watch is an error.
fn stamp(event: &[u8]) -> Result<Option<u64>> {
    let event = std::str::from_utf8(event)?;
    let text =
        event.strip_prefix("{\"event\": \"message\"").and_then(|rest| rest.split("\"msg\": \"").nth(1));
    match text.and_then(|text| text.split(' ').next()) {
        Some(stamp) => Ok(Some(stamp.parse()?)),
        None if event.starts_with("{\"event\": \"presence\"") => Ok(None),
        None => Err(format!("not a delivery: {event}").into()),
    }
}
