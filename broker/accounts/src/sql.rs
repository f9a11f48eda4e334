//! Tables and statements, in the SQL both engines understand.

use torg_store::{Migration, Migrations};

/// The tables of this service.
pub const MIGRATIONS: Migrations = Migrations { service: "account", steps: &[FIRST, CLASSES, TOKENS_TABLE] };

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

const TOKENS_TABLE: Migration = Migration {
    number: 3,
    about: "Tokens for quick logins",
    sqlite: &[
        // `is_new`: given out and not yet used. `seed`: what a bound token is derived from, or the hash of an unbound one's message.
        "CREATE TABLE account_token (
            jid TEXT NOT NULL,
            client TEXT NOT NULL,
            id INTEGER NOT NULL,
            is_new INTEGER NOT NULL,
            mechanism TEXT NOT NULL,
            seed BLOB NOT NULL,
            answer BLOB NOT NULL,
            uses INTEGER NOT NULL,
            issued INTEGER NOT NULL,
            expiry INTEGER NOT NULL,
            PRIMARY KEY (jid, client, id)
        )",
    ],
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
pub(crate) const COUNT: &str = "SELECT COUNT(*) FROM account_account";
pub(crate) const NAMES: &str = "SELECT jid FROM account_account WHERE jid > ?1 ORDER BY jid LIMIT ?2";
pub(crate) const STATE: &str = "SELECT disabled, class FROM account_account WHERE jid = ?1";
pub(crate) const KEYS: &str = "SELECT a.disabled, k.salt, k.iterations, k.stored_key, k.server_key, a.class
    FROM account_account a JOIN account_keys k ON k.jid = a.jid WHERE a.jid = ?1 AND k.hash = ?2";
pub(crate) const ALL_KEYS: &str =
    "SELECT hash, salt, iterations, stored_key, server_key FROM account_keys WHERE jid = ?1 ORDER BY hash";
pub(crate) const HAS_KEYS: &str = "SELECT 1 FROM account_keys WHERE jid = ?1 AND hash = ?2";
pub(crate) const ADD_KEYS: &str = "INSERT INTO account_keys (jid, hash, salt, iterations, stored_key, server_key)
    SELECT jid, ?2, ?3, ?4, ?5, ?6 FROM account_account WHERE jid = ?1 ON CONFLICT (jid, hash) DO NOTHING";
pub(crate) const TOKENS: &str =
    "SELECT a.disabled, a.class, t.id, t.is_new, t.mechanism, t.seed, t.answer, t.uses, t.issued, t.expiry
    FROM account_account a LEFT JOIN account_token t ON t.jid = a.jid AND t.client = ?2 WHERE a.jid = ?1";
pub(crate) const INSERT_TOKEN: &str =
    "INSERT INTO account_token (jid, client, id, is_new, mechanism, seed, answer, uses, issued, expiry)
    SELECT jid, ?2, ?3, 1, ?4, ?5, ?6, 0, ?7, ?8 FROM account_account WHERE jid = ?1 AND disabled = 0";
pub(crate) const COUNT_TOKEN: &str =
    "UPDATE account_token SET uses = ?4 WHERE jid = ?1 AND client = ?2 AND id = ?3 AND uses < ?4";
pub(crate) const MAKE_TOKEN_CURRENT: &str =
    "UPDATE account_token SET is_new = 0 WHERE jid = ?1 AND client = ?2 AND id = ?3";
/// After a use: what the used one has replaced, and what would end sooner (XEP-0484 §3.5).
pub(crate) const DELETE_EARLIER_TOKENS: &str =
    "DELETE FROM account_token WHERE jid = ?1 AND client = ?2 AND id <> ?3 AND (is_new = 0 OR expiry <
    (SELECT used.expiry FROM account_token used WHERE used.jid = ?1 AND used.client = ?2 AND used.id = ?3))";
pub(crate) const DELETE_TOKEN: &str = "DELETE FROM account_token WHERE jid = ?1 AND client = ?2 AND id = ?3";
pub(crate) const DELETE_NEW_TOKEN: &str = "DELETE FROM account_token WHERE jid = ?1 AND client = ?2 AND is_new = 1";
pub(crate) const DELETE_OLD_TOKENS: &str = "DELETE FROM account_token WHERE jid = ?1 AND expiry < ?2";
pub(crate) const DELETE_SURPLUS_TOKENS: &str =
    "DELETE FROM account_token WHERE jid = ?1 AND client NOT IN (SELECT kept.client FROM account_token kept
    WHERE kept.jid = ?1 GROUP BY kept.client ORDER BY MAX(kept.issued) DESC, kept.client LIMIT ?2)";
pub(crate) const DELETE_TOKENS: &str = "DELETE FROM account_token WHERE jid = ?1";
pub(crate) const DELETE_ALL_TOKENS: &str = "DELETE FROM account_token";
pub(crate) const SECRET: &str = "SELECT secret FROM account_secret WHERE id = 1";
pub(crate) const INSERT_SECRET: &str =
    "INSERT INTO account_secret (id, secret) VALUES (1, ?1) ON CONFLICT (id) DO NOTHING";
