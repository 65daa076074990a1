//! How long the work of a request takes: `cargo bench --bench micro`.

mod cases;

use std::fmt;

use divan::Bencher;

use self::cases::{CASES, Case};

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn main() {
    divan::main();
}

#[divan::bench(args = CASES)]
fn request(bencher: Bencher<'_, '_>, case: &Case) {
    bencher.bench_local((case.prepare)());
}
