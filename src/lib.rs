//! A chat server that you can drive with netcat, whose OK means that the message is synced to disk, and its client.
//!
//! The modules, from the top down. Each imports only from those below it:
//!
//! - [`server`]: endpoints, transports, one connection's loop, deadlines, and the gate that replies wait at
//! - [`cli`]: the client, for people and for scripts
//! - [`client`]: a client as a library
//! - [`admin`]: the subcommands that are no server: users, certificates, backups, checks
//! - [`wire`]: languages; a request becomes a call of a use case, its outcome becomes bytes
//! - [`chat`]: the use cases: what a chat server does
//! - [`users`]: the users file, and passwords
//! - [`store`]: what must survive: the contract of a store, the store on disk, the store in memory
//! - [`protocol`]: the commands and objects of the line protocol, which server and client share
//! - [`fingerprint`]: fingerprints of certificates
//! - [`files`]: private files that are synced and put in place at once
//! - [`model`]: names, numbers, times, messages, refusals, and values that wait for the disk
//! - [`config`]: every setting once
//!
//! `docs/architecture.md` has the picture, and follows one `send` through it.

pub mod admin;
pub mod chat;
pub mod cli;
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
