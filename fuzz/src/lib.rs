//! What has to hold for any input at all: a function for each fuzz target, which panics if it does not.

#![forbid(unsafe_code)]

pub mod codec;
mod model;
pub mod request;
pub mod session;
pub mod users_file;
