//! Compares every store with a model.

use std::collections::{BTreeMap, HashMap};

use chat_service::model::Refusal;

use crate::support::{
    random::Random,
    subject::{Subject, USERS},
};

/// A naive store, too simple to be wrong.
#[derive(Default)]
struct Model {
    next: u64,
    inboxes: BTreeMap<String, Vec<String>>,
    keys: HashMap<(String, String), (String, String)>,
}

impl Model {
    fn append(
        &mut self,
        from: &str,
        to: &str,
        text: &str,
        key: Option<&str>,
        limit: usize,
    ) -> Result<bool, Refusal> {
        let content = (to.to_owned(), text.to_owned());
        if let Some(known) = key.and_then(|key| self.keys.get(&(from.to_owned(), key.to_owned()))) {
            return if *known == content { Ok(true) } else { Err(Refusal::KeyReused) };
        }
        let inbox = self.inboxes.entry(to.to_owned()).or_default();
        if inbox.len() >= limit {
            return Err(Refusal::InboxFull { limit: u32::try_from(limit).expect("small") });
        }
        inbox.push(text.to_owned());
        if let Some(key) = key {
            self.keys.insert((from.to_owned(), key.to_owned()), content);
        }
        self.next += 1;
        Ok(false)
    }

    fn take(&mut self, user: &str, limit: usize) -> Vec<String> {
        let inbox = self.inboxes.entry(user.to_owned()).or_default();
        inbox.drain(..limit.min(inbox.len())).collect()
    }
}

/// Runs random commands on each store and on the model, which must give equal results. 10,000 sequences with `CHAT_TEST_LONG=1`.
#[tokio::test]
async fn a_store_and_a_naive_model_answer_alike() {
    let sequences = if std::env::var_os("CHAT_TEST_LONG").is_some() { 10_000 } else { 150 };
    let mut random = Random::new(1);
    for sequence in 0..sequences {
        let limit = 1 + random.index(6);
        for mut subject in Subject::all(limit) {
            let mut model = Model::default();
            let mut last = 0;
            for step in 0..30 {
                let at = format!("{}, sequence {sequence}, step {step}", subject.kind);
                let mut user = || USERS[random.index(3)];
                let (from, to) = (user(), user());
                match random.below(10) {
                    0..=5 => {
                        let text = format!("{}", random.below(3));
                        let key = format!("k{}", random.below(4));
                        let key = (random.below(2) == 0).then_some(key.as_str());
                        let got = subject.append(from, to, &text, key).await;
                        let expected = model.append(from, to, &text, key, limit);
                        assert_eq!(got.map(|stored| stored.duplicate), expected, "{at}");
                        if let Ok(stored) = got
                            && !stored.duplicate
                        {
                            assert!(stored.id.0 > last, "{at}");
                            last = stored.id.0;
                        }
                    }
                    6..=8 => {
                        let limit = random.index(4);
                        assert_eq!(subject.take(to, limit).await, model.take(to, limit), "{at}");
                    }
                    _ => drop(subject.reopen()),
                }
            }
            for user in USERS {
                assert_eq!(
                    subject.take(user, 100).await,
                    model.take(user, 100),
                    "{} {sequence}",
                    subject.kind
                );
            }
        }
    }
}
