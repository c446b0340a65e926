//! Small states for the tests of this room.

use crate::ownership::fixtures::{SCHEMA, sqlite3};
use crate::state::archive::Archive;
use crate::state::{Effort, KeyCache, Limits, MemberEdit, State, gzip};

/// A bare `local.tgz` of these files.
pub(super) fn state(files: &[(&str, &[u8])]) -> State {
    let add = |(path, content): &(&str, &[u8])| MemberEdit::Add {
        path: (*path).to_owned(),
        content: content.to_vec().into(),
        mode: 0o644,
        mtime: 1_628_668_000,
    };
    let edits: Vec<MemberEdit> = files.iter().map(add).collect();
    let archive = Archive::parse(vec![0; 1024]).unwrap().edit(&edits).unwrap();
    packed(&archive.bytes().to_vec())
}

/// A bare `local.tgz` of this tar.
pub(super) fn packed(tar: &[u8]) -> State {
    let file = gzip::pack(&gzip::Header::host(), tar, Effort::Usual).unwrap();
    open(&file)
}

/// The state in a changed file.
pub(super) fn open(file: &[u8]) -> State {
    State::open("local.tgz", file, &Limits::default(), &KeyCache::new()).unwrap()
}

/// A ConfigStore with these rows of component `esx`: group, name, identifier, UserValue,
/// VitalValue; empty texts are NULL.
pub(super) fn store(rows: &[[&str; 5]]) -> Vec<u8> {
    let mut sql = SCHEMA.to_owned();
    for [group, name, identifier, user, vital] in rows {
        sql += &format!(
            "INSERT INTO Config VALUES('esx','{group}','{name}','{identifier}','2021-08-11 07:33:45',
             '2021-07-01 08:00:16','proposed',1,NULL,NULLIF('{user}',''),NULLIF('{vital}',''),NULL,NULL,7);"
        );
    }
    sqlite3(&[], &sql).1
}
