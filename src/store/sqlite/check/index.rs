//! Verifies that the index has every message in the lists where it belongs, once and in order, and nothing else.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;

use super::{
    super::{
        blocks,
        list::{List, Partner},
        runs::{self, Lists},
        varint,
    },
    Check, Report,
};
use crate::{model::MessageId, store::front::ops::NameId};

/// Pairs of users in a run, from two sources that must agree: its conversations and its lists of partners.
#[derive(Default)]
struct Pairs {
    conversed: BTreeSet<(NameId, NameId)>,
    partners: BTreeSet<(NameId, NameId)>,
}

impl Pairs {
    fn add(&mut self, list: List, numbers: &[MessageId]) {
        if let Some((one, other)) = list.pair() {
            self.conversed.extend([(one, other), (other, one)]);
        }
        if let Some(user) = list.partners_of() {
            self.partners.extend(numbers.iter().map(|number| (user, Partner::from(number.0).0)));
        }
    }
}

impl Check<'_> {
    pub(super) fn blocks(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let mut statement = self
            .transaction
            .prepare("SELECT one, other, first, rest FROM blocks ORDER BY one, other, first")?;
        let mut rows = statement.query([])?;
        let mut before: Option<(List, MessageId)> = None;
        while let Some(row) = rows.next()? {
            let list = List { one: row.get(0)?, other: row.get(1)? };
            let ids = match blocks::decode(row.get(2)?, row.get_ref(3)?.as_blob()?) {
                Ok(ids) => ids,
                Err(error) => {
                    report.problem(error.to_string());
                    continue;
                }
            };
            for id in ids {
                if before.is_some_and(|before| before.0 == list && before.1 >= id) {
                    report.problem(format!("the index has message {} out of order", id.0));
                }
                before = Some((list, id));
                // Numbers above `merged` belong to an unfinished merge: they do not count.
                self.posting(list, id, id.0 <= self.merged, report)?;
            }
        }
        let strangers = "SELECT count(*) FROM (SELECT DISTINCT one, other FROM blocks WHERE other >= 0 AND first <= ?1) \
                         WHERE (one, other) NOT IN (SELECT user, other FROM partners) \
                         OR (other, one) NOT IN (SELECT user, other FROM partners)";
        let merged = self.merged.cast_signed();
        let strangers: i64 = self.transaction.query_row(strangers, [merged], |row| row.get(0))?;
        if strangers > 0 {
            report.problem(format!("{strangers} conversations are missing from the partners of their users"));
        }
        Ok(())
    }

    pub(super) fn runs(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let merged = MessageId(self.merged);
        let mut parts = self
            .transaction
            .prepare("SELECT one, other, lists FROM run_parts WHERE run = ?1 ORDER BY one, other")?;
        let mut begin = merged;
        for run in runs::after(self.transaction, merged)? {
            let mut pairs = Pairs::default();
            let mut rows = parts.query([run.0.cast_signed()])?;
            let mut before = None;
            while let Some(row) = rows.next()? {
                for entry in
                    Lists::new(List { one: row.get(0)?, other: row.get(1)? }, row.get_ref(2)?.as_blob()?)
                {
                    let (list, numbers) = entry?;
                    if before.is_some_and(|before| before >= list) {
                        report.problem(format!("the lists of run {} of the index are out of order", run.0));
                    }
                    before = Some(list);
                    let mut ids = Vec::new();
                    varint::growing(0, numbers, &mut ids, MessageId)?;
                    pairs.add(list, &ids);
                    for id in ids.into_iter().filter(|_| list.partners_of().is_none()) {
                        if id <= begin || id > run {
                            report.problem(format!(
                                "run {} of the index has message {}, which belongs elsewhere",
                                run.0, id.0
                            ));
                        }
                        self.posting(list, id, true, report)?;
                    }
                }
            }
            if pairs.conversed != pairs.partners {
                report.problem(format!(
                    "the partners in run {} of the index do not match its conversations",
                    run.0
                ));
            }
            begin = run;
        }
        if begin.0 != self.indexed {
            report.problem(format!("the index ends with message {}, not {}", begin.0, self.indexed));
        }
        let stray = "SELECT count(*) FROM run_parts WHERE run NOT IN (SELECT upto FROM runs)";
        if self.transaction.query_row(stray, [], |row| row.get::<_, i64>(0))? > 0 {
            report.problem("the index has parts of a run that does not exist".to_owned());
        }
        Ok(())
    }

    /// Sender and recipient of a message; `None` if it is not there.
    fn ends(&self, id: MessageId) -> rusqlite::Result<Option<(NameId, NameId)>> {
        if let Some(ends) = self.ends.get(id) {
            return Ok(Some(ends));
        }
        let sql = "SELECT sender, recipient FROM messages WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((NameId(row.get(0)?), NameId(row.get(1)?)));
        self.transaction.prepare_cached(sql)?.query_row([id.0.cast_signed()], read).optional()
    }

    /// Verifies that a message belongs in a list of the index. If it does, and `counts` is true, adds it to the recipient's
    /// tally.
    fn posting(
        &mut self,
        list: List,
        id: MessageId,
        counts: bool,
        report: &mut Report,
    ) -> rusqlite::Result<()> {
        let found = self.ends(id)?;
        let Some((_, recipient)) = found.filter(|(sender, recipient)| list.has(*sender, *recipient)) else {
            report.problem(format!("the index has message {} in a list where it does not belong", id.0));
            return Ok(());
        };
        if !counts {
            return Ok(());
        }
        if let Some(inbox) = self.user(recipient, "a part of the index", report) {
            if list.pair().is_some() {
                inbox.conversed += 1;
            } else {
                inbox.entries += 1;
                inbox.waiting += u64::from(id.0 > inbox.upto);
            }
        }
        Ok(())
    }
}
