//! Tables and statements, in the SQL both engines understand.

use torg_store::{Migration, Migrations};

/// The tables of this service.
pub const MIGRATIONS: Migrations = Migrations { service: "account", steps: &[FIRST, CLASSES] };

const FIRST: Migration = Migration {
    number: 1,
    about: "Accounts, their keys, the secret behind answers for unknown users",
    sqlite: &[
        "CREATE TABLE account_account (
                jid TEXT NOT NULL PRIMARY KEY,
                disabled INTEGER NOT NULL,
                created INTEGER NOT NULL,
                changed INTEGER NOT NULL
            )",
        "CREATE TABLE account_keys (
                jid TEXT NOT NULL,
                hash TEXT NOT NULL,
                salt BLOB NOT NULL,
                iterations INTEGER NOT NULL,
                stored_key BLOB NOT NULL,
                server_key BLOB NOT NULL,
                PRIMARY KEY (jid, hash)
            )",
        "CREATE TABLE account_secret (id INTEGER NOT NULL PRIMARY KEY, secret BLOB NOT NULL)",
    ],
};

const CLASSES: Migration = Migration {
    number: 2,
    about: "What stands behind an account: a person or a thing",
    sqlite: &["ALTER TABLE account_account ADD COLUMN class TEXT NOT NULL DEFAULT 'person'"],
};

pub(crate) const INSERT: &str =
    "INSERT INTO account_account (jid, disabled, created, changed, class) VALUES (?1, 0, ?2, ?2, ?3)";
pub(crate) const INSERT_KEYS: &str =
    "INSERT INTO account_keys (jid, hash, salt, iterations, stored_key, server_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const DELETE: &str = "DELETE FROM account_account WHERE jid = ?1";
pub(crate) const DELETE_KEYS: &str = "DELETE FROM account_keys WHERE jid = ?1";
pub(crate) const TOUCH: &str = "UPDATE account_account SET changed = ?2 WHERE jid = ?1";
pub(crate) const DISABLE: &str = "UPDATE account_account SET disabled = ?2, changed = ?3 WHERE jid = ?1";
pub(crate) const LIST: &str = "SELECT jid, disabled, created, class FROM account_account ORDER BY jid";
pub(crate) const STATE: &str = "SELECT disabled, class FROM account_account WHERE jid = ?1";
pub(crate) const KEYS: &str = "SELECT a.disabled, k.salt, k.iterations, k.stored_key, k.server_key, a.class
    FROM account_account a JOIN account_keys k ON k.jid = a.jid WHERE a.jid = ?1 AND k.hash = ?2";
pub(crate) const HAS_KEYS: &str = "SELECT 1 FROM account_keys WHERE jid = ?1 AND hash = ?2";
pub(crate) const SECRET: &str = "SELECT secret FROM account_secret WHERE id = 1";
pub(crate) const INSERT_SECRET: &str =
    "INSERT INTO account_secret (id, secret) VALUES (1, ?1) ON CONFLICT (id) DO NOTHING";
