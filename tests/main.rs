//! All integration tests but those that measure (`tests/abuse`): one binary, real sockets on free ports, no sleeps, no order.

mod accounts;
mod client;
mod codec;
mod crash;
mod delivery;
mod durability;
mod fail2ban;
mod hostile;
mod layering;
mod limits;
mod login;
mod people;
mod pipelining;
mod programs;
mod readme;
mod reload;
mod stored;
mod stores;
mod support;
mod tls;
mod transcripts;
mod upkeep;
mod versions;
mod watching;
