//! Several devices of one user: there is no gap between stored messages and events, in any interleaving.

use std::{collections::BTreeMap, sync::Arc};

use chat_service::store::{Durable, Memory, Options, Sqlite, Store};
use serde_json::Value;

use crate::support::{Setup, device::Device, random::Random, reordering::Reordering};

/// The messages that one watch has received.
#[derive(Default)]
struct Watch {
    seen: Vec<u64>,
}

impl Watch {
    fn take(&mut self, events: &mut Vec<Value>) {
        for event in events.drain(..) {
            if event["event"] == "message" {
                let id = event["id"].as_u64().expect("a number");
                assert!(self.seen.last().is_none_or(|last| *last < id), "{id} after {:?}", self.seen.last());
                self.seen.push(id);
            }
        }
    }
}

/// Expected inbox of messi: for each message that was ever in it, whether it has left it.
#[derive(Default)]
struct Inbox(BTreeMap<u64, bool>);

impl Inbox {
    fn acknowledge(&mut self, upto: u64) {
        self.0.range_mut(..=upto).for_each(|(_, acked)| *acked = true);
    }

    fn waiting(&self) -> Vec<u64> {
        self.0.iter().filter(|(_, acked)| !**acked).map(|(id, _)| *id).collect()
    }
}

fn stores(folder: &tempfile::TempDir) -> Vec<Arc<dyn Store>> {
    let sqlite = |name: &str, index_batch: usize| {
        let (index_step, index_runs) = (index_batch.min(128), index_batch.min(64));
        let options = Options {
            durable: Durable::Os,
            index_batch,
            index_step,
            index_runs,
            reserve: 0,
            ..Options::default()
        };
        Arc::new(Sqlite::open(&folder.path().join(name), &options).expect("a store"))
    };
    vec![
        Arc::new(Memory::new(10_000)),
        Reordering::new(10_000),
        sqlite("large", 32 * 1024),
        sqlite("small", 3),
    ]
}

/// Several devices of one user connect, disconnect, watch and acknowledge while others send to the user and to a room.
/// 400 runs with `CHAT_TEST_LONG=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_sees_every_message_once_and_in_order() {
    let runs = if std::env::var_os("CHAT_TEST_LONG").is_some() { 400 } else { 12 };
    for run in 0..runs {
        let folder = tempfile::tempdir().expect("a folder");
        for store in stores(&folder) {
            interleave(store, Random::new(run)).await;
        }
    }
}

async fn interleave(store: Arc<dyn Store>, mut random: Random) {
    let described = store.describe();
    let server = Setup { store, ..Setup::default() }.server();
    let mut senders =
        vec![Device::log_in(&server, "henderson").await, Device::log_in(&server, "lineker").await];
    for sender in &mut senders {
        sender.ok("join #lab").await;
    }
    let mut devices: Vec<Option<(Device, Option<Watch>)>> = vec![None, None, None];
    let mut control = Device::log_in(&server, "messi").await;
    let mut inbox = Inbox::default();
    let (mut joined, mut sent) = (false, 0);
    for _ in 0..40 {
        if random.index(4) == 0 {
            joined = !joined;
            control.ok(if joined { "join #lab" } else { "leave #lab" }).await;
        }
        // These sends are in flight while the devices act.
        let mut under_way = Vec::new();
        for (index, sender) in senders.iter_mut().enumerate() {
            for _ in 0..random.index(4) {
                sent += 1;
                let to_room = random.index(3) == 0;
                let to = if to_room { "#lab" } else { "messi" };
                let again = random.index(5) == 0;
                let line = format!(
                    "{{\"command\": \"send\", \"to\": \"{to}\", \"message\": \"{sent}\", \"key\": \"{sent}\"}}\n"
                );
                let line = if again { line.repeat(2) } else { line };
                sender.peer.send(line).await;
                under_way.push((index, to_room, again));
            }
        }
        let mut acknowledged = 0;
        for _ in 0..=random.index(3) {
            let slot = random.index(devices.len());
            let action = random.index(8);
            let Some((device, watch)) = &mut devices[slot] else {
                devices[slot] = Some((Device::log_in(&server, "messi").await, None));
                continue;
            };
            match (action, watch.is_some()) {
                (0, _) => devices[slot] = None,
                (1, true) => {
                    device.ok("unwatch").await;
                    watch.take().expect("watching").take(&mut device.events);
                }
                (2..=4, false) => {
                    device.ok("watch").await;
                    *watch = Some(Watch::default());
                }
                (5, true) => {
                    device.ok("ping").await;
                    let watch = watch.as_mut().expect("watching");
                    watch.take(&mut device.events);
                    if !watch.seen.is_empty() {
                        let id = watch.seen[random.index(watch.seen.len())];
                        device.ok(&format!("ack {id}")).await;
                        acknowledged = acknowledged.max(id);
                    }
                }
                (6, _) if random.index(3) == 0 => {
                    let reply = device.ok("inbox").await;
                    let messages = reply["messages"].as_object().expect("an object").values();
                    let ids = messages.flat_map(|of_sender| of_sender.as_array().expect("an array"));
                    acknowledged =
                        ids.filter_map(|message| message["id"].as_u64()).fold(acknowledged, u64::max);
                }
                _ => {}
            }
        }
        for (index, to_room, again) in under_way {
            let first = senders[index].reply().await;
            let id = first["id"].as_u64().unwrap_or_else(|| panic!("{described}: {first}"));
            if again {
                let second = senders[index].reply().await;
                assert_eq!(
                    (&second["id"], &second["duplicate"]),
                    (&first["id"], &Value::Bool(true)),
                    "{described}"
                );
            }
            if joined || !to_room {
                inbox.0.insert(id, false);
            }
        }
        // A message with a smaller number than an acknowledged one was in the inbox before it.
        inbox.acknowledge(acknowledged);
    }
    settle(&described, &mut senders[0], &mut control, devices, inbox).await;
}

/// Asserts that every watch has received every message, and that the inbox is as expected.
async fn settle(
    described: &str,
    sender: &mut Device,
    control: &mut Device,
    mut devices: Vec<Option<(Device, Option<Watch>)>>,
    mut inbox: Inbox,
) {
    // Events come in order, so a device that has received the last message has received all of them.
    let last = sender.ok("send messi last").await["id"].as_u64().expect("a number");
    inbox.0.insert(last, false);
    for (device, watch) in devices.iter_mut().flatten() {
        let Some(watch) = watch else {
            continue;
        };
        watch.take(&mut device.events);
        while watch.seen.last() != Some(&last) {
            let event = device.event().await;
            watch.take(&mut vec![event]);
        }
        for id in &watch.seen {
            assert!(inbox.0.contains_key(id), "{described}: {id} is not for messi");
        }
        let missed: Vec<_> = inbox.waiting().into_iter().filter(|id| !watch.seen.contains(id)).collect();
        assert_eq!(missed, [0; 0], "{described}");
    }
    let fetched = control.ok("fetch 1000").await;
    let ids: Vec<_> = fetched["messages"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|message| message["id"].as_u64())
        .collect();
    assert_eq!(ids, inbox.waiting(), "{described}");
}

#[tokio::test]
async fn who_leaves_right_after_a_message_is_still_told_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = stores(&folder).remove(2);
    let server = Setup { store, ..Setup::default() }.server();
    let mut watcher = Device::watch(&server, "messi").await;
    let mut sender = Device::log_in(&server, "henderson").await;
    sender.ok("join #lab").await;
    for i in 0..20 {
        watcher.ok("join #lab").await;
        // The watcher leaves before or after the message is stored.
        sender.peer.send(format!("send #lab {i}\n")).await;
        if i % 2 == 0 {
            tokio::task::yield_now().await;
        }
        watcher.ok("leave #lab").await;
        let sent = sender.reply().await["id"].as_u64();
        let waits = watcher.ok("fetch 1000").await;
        let waits =
            waits["messages"].as_array().expect("an array").last().and_then(|last| last["id"].as_u64());
        if waits == sent {
            while watcher.event_of("message").await["id"].as_u64() != sent {}
        }
    }
}
