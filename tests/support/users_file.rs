//! A users file that a test changes while a server reads it.

use std::{fs, path::PathBuf};

use chat_service::{
    chat::Limits,
    model::UserName,
    users::{self, Directory},
};

use super::{Setup, TestServer, users_toml};

/// A users file in a folder of its own.
pub(crate) struct File {
    folder: tempfile::TempDir,
}

impl File {
    pub(crate) fn new() -> Self {
        let file = File { folder: tempfile::tempdir().expect("a folder") };
        file.write(&users_toml());
        file
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("written");
    }

    pub(crate) fn users(&self) -> users::Users {
        users::load(&self.path()).expect("a users file").users
    }

    pub(crate) fn directory(&self) -> Directory {
        Directory::of_file(self.users(), self.path())
    }

    pub(crate) async fn start(&self, chat_limits: Limits) -> TestServer {
        Setup { chat_limits, users: self.directory(), ..Setup::default() }.start().await
    }
}

pub(crate) fn names(all: &[&str]) -> Vec<UserName> {
    all.iter().map(|name| UserName::parse(name).expect("a name")).collect()
}
