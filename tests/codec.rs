//! The codec and the parser handle any bytes without a panic.
//!
//! The test runs 500,000 inputs with `CHAT_TEST_LONG=1`, and 50,000 without.

use chat_service::{
    model::MAX_LINE,
    protocol::{codec::Lines, request::Request},
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

const SEEDS: &[&str] = &[
    "auth messi surabaya\r\n",
    "send messi haloo\nsend henderson hello gimana kabarnya son\n",
    "send 57ea03e6-234a-439d-9602-ea8cb00fed28 messi haloo\r\n",
    "inbox 57ea03e6-234a-439d-9602-ea8cb00fed28\r\ninbox\n\n \t\r\nlogout",
    r#"{"command": "send", "to": "messi", "message": "a\nb", "key": "ci-881"}"#,
    "{\"command\": \"inbox\", \"token\": \"57ea03e6-234a-439d-9602-ea8cb00fed28\"}\n",
    "{\"a\\u00e9\\ud83d\\udc4b\": [1, -2e3, true, null, {\"b\": {}}]}\n",
];

/// A change of a seed.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8),
        proptest::sample::select(vec![
            " ", "\t", "\r", "\n", "\0", "{", "}", "\"", "\\", "\\u", "é", "\u{feff}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<usize>(), bytes).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<usize>(), 0..40_usize).prop_map(|(at, len)| Mutation::Remove(at, len)),
        (any::<usize>(), 0..40_usize, 0..30_usize)
            .prop_map(|(at, len, times)| Mutation::Repeat(at, len, times)),
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let seed = proptest::sample::select(SEEDS.to_vec());
    (seed, proptest::collection::vec(mutation(), 0..6)).prop_map(|(seed, mutations)| {
        let mut bytes = seed.as_bytes().to_vec();
        for mutation in mutations {
            let len = bytes.len();
            let from = |at: usize| at % (len + 1);
            match mutation {
                Mutation::Replace(at, byte) if len > 0 => bytes[at % len] = byte,
                Mutation::Replace(..) => {}
                Mutation::Insert(at, what) => drop(bytes.splice(from(at)..from(at), what)),
                Mutation::Remove(at, n) => drop(bytes.drain(from(at)..len.min(from(at) + n))),
                Mutation::Repeat(at, n, times) => {
                    let what = bytes[from(at)..len.min(from(at) + n)].repeat(times);
                    bytes.splice(from(at)..from(at), what);
                }
            }
        }
        bytes
    })
}

/// Splits and parses all lines; returns the lines and the number of bytes that are left.
fn parse_all(bytes: &[u8], ended: bool) -> (Vec<Vec<u8>>, usize) {
    let mut lines = Lines::new(bytes, ended);
    let mut cut = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        assert!(line.len() <= MAX_LINE && !line.contains(&b'\n'));
        if let Ok(Some(mut request)) = Request::parse(line) {
            assert!(!request.command().contains('\0'));
            if request.take_token().is_ok() {
                let parameters = chat_service::protocol::spec::find("send").expect("a command").parameters;
                request.bind(parameters).ok();
            }
        }
        cut.push(line.to_vec());
    }
    (cut, lines.rest().len())
}

#[test]
fn no_bytes_make_the_codec_panic() {
    let long = std::env::var_os("CHAT_TEST_LONG").is_some();
    let config = Config {
        cases: if long { 500_000 } else { 50_000 },
        failure_persistence: None,
        // Without `CHAT_TEST_LONG`, the inputs are the same in every run.
        rng_algorithm: RngAlgorithm::ChaCha,
        ..Config::default()
    };
    let mut runner = if long {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let input = prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), mutated()];
    runner
        .run(&(input, any::<usize>()), |(bytes, at)| {
            let (whole, rest) = parse_all(&bytes, true);
            prop_assert_eq!(rest, 0);
            // The position at which the bytes are cut makes no difference.
            let at = at % (bytes.len() + 1);
            let (mut parts, left) = parse_all(&bytes[..at], false);
            parts.extend(parse_all(&bytes[at - left..], true).0);
            prop_assert_eq!(parts, whole);
            Ok(())
        })
        .expect("no input breaks it");
}
