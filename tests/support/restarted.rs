//! A server that is started again and again on what it has stored.

use std::{fs, sync::Arc};

use chat_service::{
    chat::{Clock, Limits},
    store::{Options, Sqlite, Store},
};

use super::{Setup, TestServer, users_file::File};

/// The limits, with weak hashes left as they are: a renewed one would change the users file.
pub(crate) fn unlimited() -> Limits {
    Limits { renews_hashes: false, ..Limits::default() }
}

/// A server that is started several times on the same data.
pub(crate) struct Restarted {
    pub(crate) file: File,
    /// The data folders, one for each start: what a server has in memory may keep a folder locked for a moment.
    folders: Vec<tempfile::TempDir>,
    store: Arc<Sqlite>,
}

impl Restarted {
    pub(crate) async fn start(clock: Clock) -> (Self, TestServer) {
        let (file, folder) = (File::new(), tempfile::tempdir().expect("a folder"));
        let store = Arc::new(Sqlite::open(folder.path(), &Options::default()).expect("a store"));
        let restarted = Restarted { file, folders: vec![folder], store };
        let server = restarted.serve(clock).await;
        (restarted, server)
    }

    pub(crate) async fn restart(&mut self, server: TestServer, clock: Clock) -> TestServer {
        server.stop().await;
        self.store.close();
        let folder = tempfile::tempdir().expect("a folder");
        let before = self.folders.last().expect("a folder").path().join("chat.db");
        fs::copy(before, folder.path().join("chat.db")).expect("copied");
        self.store = Arc::new(Sqlite::open(folder.path(), &Options::default()).expect("a store"));
        self.folders.push(folder);
        self.serve(clock).await
    }

    /// A server that has decided about all names, as at a start.
    async fn serve(&self, clock: Clock) -> TestServer {
        let (store, users) = (self.store.clone(), self.file.directory());
        let server =
            Setup { store, users, chat_limits: unlimited(), clock, ..Setup::default() }.start().await;
        server.server.chat().admit_users(self.file.users()).await;
        server
    }
}
