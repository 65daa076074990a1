//! A chat server that you can drive with netcat, whose OK means that the message is synced to disk, and its client.
//!
//! A map of the crate, from the outside in; each module imports only from those below it:
//!
//! - [`server`]: who may connect and for how long; one connection's loop; shutdown
//! - [`client`]: the other side
//! - [`admin`]: the subcommands that are no server: users, certificates, backups, checks
//! - [`commands`]: the table of commands, a file each
//! - [`service`]: what the server knows while it runs: sessions, deliveries under way
//! - [`users`]: who exists
//! - [`store`]: what must survive: the contract, the store on disk, the store in memory
//! - [`protocol`]: the wire, as pure functions over bytes
//! - [`fingerprint`]: what a certificate is known by
//! - [`files`]: files that are private, synced, and put in place at once
//! - [`config`]: every setting once
//!
//! Follow one `send` through it in `docs/architecture.md`.

pub mod admin;
pub mod chat;
pub mod client;
pub mod config;
pub mod files;
pub mod fingerprint;
pub mod model;
pub mod protocol;
pub mod server;

pub mod store;
pub mod users;
pub mod wire;
