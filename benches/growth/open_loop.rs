//! An open loop: requests are due at a given rate, whatever becomes of those before. Latency counts from when one was
//! due, so a stall is seen by all that it holds up.

use std::{
    cell::RefCell,
    collections::VecDeque,
    os::fd::OwnedFd,
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{
    io::unix::AsyncFd,
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    bench::{Result, SOON, WARM_UP, float},
    load::{Measured, Requests, To, histogram},
    wire::{Wire, closed, take_sent},
};

/// Requests are sent at such times. (The runtime's own clock is too coarse.)
const TICK: Duration = Duration::from_micros(200);

/// One connection.
struct Lane {
    stream: TcpStream,
    requests: RefCell<Requests>,
    out: RefCell<Vec<u8>>,
    due: RefCell<VecDeque<Instant>>,
}

/// So many requests a second, on all connections in turn. Also tells how many it were, those of the warm-up included.
pub(crate) async fn open_loop(
    wires: Vec<Wire>,
    rate: f64,
    to: To,
    time: Duration,
) -> Result<(Measured, u64)> {
    let lane = |(wire, connection): (Wire, u64)| {
        let requests = RefCell::new(Requests::new(to.clone(), connection));
        let (out, due) = (RefCell::default(), RefCell::default());
        Rc::new(Lane { stream: wire.into_parts().0, requests, out, due })
    };
    let lanes: Vec<_> = wires.into_iter().zip(0..).map(lane).collect();
    let latency = Rc::new(RefCell::new(histogram()?));
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for lane in &lanes {
        readers.spawn_local(read_replies(lane.clone(), start + WARM_UP, latency.clone()));
    }
    let answered = async {
        let sent = pace(&lanes, rate, start, WARM_UP + time).await?;
        timeout(SOON, drain(&lanes)).await.map_err(|_| "not all requests were answered in time")??;
        Ok(sent)
    };
    let sent = tokio::select! {
        sent = answered => sent,
        Some(ended) = readers.join_next() => Err(ended?.err().unwrap_or_else(|| "a reader has ended".into())),
    }?;
    let latency = latency.replace(histogram()?);
    Ok((Measured { rate: float(latency.len()) / time.as_secs_f64(), latency }, sent))
}

/// Waits until everything was answered.
async fn drain(lanes: &[Rc<Lane>]) -> Result<()> {
    while lanes.iter().any(|lane| !lane.due.borrow().is_empty()) {
        flush(lanes)?;
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Sends what is due, tick by tick. What does not leave at its tick is due since then nevertheless.
async fn pace(lanes: &[Rc<Lane>], rate: f64, start: Instant, time: Duration) -> Result<u64> {
    let ticker = Ticker::new()?;
    let (mut ticks, mut sent) = (0, 0_u64);
    let mut turn = lanes.iter().cycle();
    loop {
        ticker.tick().await?;
        let elapsed = start.elapsed().min(time);
        while TICK * ticks <= elapsed {
            let due = start + TICK * ticks;
            while Duration::from_secs_f64(float(sent) / rate) <= TICK * ticks {
                let lane = turn.next().ok_or("no connections")?;
                lane.requests.borrow_mut().write(&mut lane.out.borrow_mut(), due);
                lane.due.borrow_mut().push_back(due);
                sent += 1;
            }
            ticks += 1;
        }
        flush(lanes)?;
        if elapsed == time {
            return Ok(sent);
        }
    }
}

fn flush(lanes: &[Rc<Lane>]) -> Result<()> {
    for lane in lanes {
        let mut out = lane.out.borrow_mut();
        if !out.is_empty() {
            match lane.stream.try_write(&out) {
                Ok(written) => drop(out.drain(..written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Counts what was due after the warm-up, whenever it is answered. Ends only by an error.
async fn read_replies(lane: Rc<Lane>, from: Instant, latency: Rc<RefCell<Histogram<u64>>>) -> Result<()> {
    let mut input = Vec::new();
    loop {
        lane.stream.readable().await?;
        match lane.stream.try_read_buf(&mut input) {
            Ok(0) => return Err(closed(&input)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            read => read?,
        };
        let now = Instant::now();
        let replies = take_sent(&mut input)?;
        let mut due = lane.due.borrow_mut();
        if replies > due.len() {
            return Err("more replies than requests".into());
        }
        for due in due.drain(..replies).filter(|due| *due >= from) {
            latency.borrow_mut().saturating_record(u64::try_from((now - due).as_nanos())?);
        }
    }
}

/// Wakes at each tick.
struct Ticker(AsyncFd<OwnedFd>);

impl Ticker {
    #[expect(deprecated, reason = "it is sound with an owned descriptor, and the other one is unsafe")]
    fn new() -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        let period = Itimerspec { it_interval: tick, it_value: tick };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &period)?;
        Ok(Ticker(AsyncFd::new(timer)?))
    }

    async fn tick(&self) -> Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?));
            if let Ok(read) = read {
                return Ok(read.map(drop)?);
            }
        }
    }
}
