//! Nothing in the README yet.
