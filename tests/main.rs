//! All integration tests except `tests/abuse`, in one binary. They use sockets on free ports, do not sleep in real time, and run
//! in any order.

mod accounts;
mod backpressure;
mod client;
mod codec;
mod crash;
mod delivery;
mod devices;
mod durability;
mod fail2ban;
mod hostile;
mod layering;
mod limits;
mod log;
mod login;
mod owners;
mod people;
mod pipelining;
mod programs;
mod readme;
mod reload;
mod reused_names;
mod second_wire;
mod session_ends;
mod store_changes;
mod store_folder;
mod store_model;
mod stored;
mod stores;
mod support;
mod tls;
mod transcripts;
mod upkeep;
mod versions;
mod watching;
