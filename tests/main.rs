//! All integration tests: one binary, real sockets on free ports, no sleeps, no order.

mod client;
mod codec;
mod crash;
mod delivery;
mod durability;
mod hostile;
mod layering;
mod limits;
mod login;
mod people;
mod pipelining;
mod programs;
mod readme;
mod stored;
mod stores;
mod support;
mod transcripts;
mod upkeep;
mod versions;
mod watching;
