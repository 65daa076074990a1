//! x
use crate::bench::{Bench, Result};
pub(crate) fn measure(_: &Bench) -> Result<()> {
    Err("not yet".into())
}
