//! Tokens for quick logins: who has which, until when, and what is left of them after each use (XEP-0484 §3, §5).
//!
//! # Why
//! - A token that is bound to the channel is the key of an HMAC over data that each connection has anew, so a hash of it would not
//!   do. The store therefore keeps only what it was derived from: whoever copies the database or a backup of it, and not the file
//!   with the [`TokenSecret`] beside it, cannot log in. Without that file all tokens are void, and clients use their passwords.
//! - Of an unbound token the hash of its one message is kept, and the one answer to it.
//! - Sixty days, or seven for unbound ones: a device that comes on line once a month keeps its token, a lost one does not for long.
//!   A new one is given after half of that, with the next login, so an ordinary login only reads.

use std::time::Duration;

use torg_core::{CredentialsUnavailable, TokenRefused};
use torg_store::{Batch, Row, StoreError, Value};
use torg_thing::Timestamp;
use torg_wire::jid::BareJid;
use torg_wire::sasl::{
    ClientId, IssuedToken, StoredToken, TokenCheck, TokenMechanism, TokenSecret, TokenSlot, TokenUse, Tokens, UsedToken,
};

use crate::service::{class, random};
use crate::{AccountError, Accounts, sql};

/// Life of a token that is bound to the channel.
pub const TOKEN_LIFE: Duration = Duration::from_secs(60 * DAY);
/// Life of one that is not: whoever has seen its message could log in as long.
pub const TOKEN_LIFE_UNBOUND: Duration = Duration::from_secs(7 * DAY);
/// Installations of one account that may have tokens, more than its sessions; beyond it the one that got its token longest ago
/// has to log in by password.
pub const TOKEN_CLIENTS_MAX: u32 = 20;
/// How long an expired token is kept to tell its client so, in microseconds: seven days.
const KEPT_MICROS: i64 = 7 * 24 * 3600 * 1_000_000;
const DAY: u64 = 24 * 3600;

fn life(mechanism: TokenMechanism) -> Duration {
    match mechanism {
        TokenMechanism::Exporter | TokenMechanism::EndPoint => TOKEN_LIFE,
        TokenMechanism::Unbound => TOKEN_LIFE_UNBOUND,
    }
}

impl Accounts {
    /// Keeps tokens, derived from this secret, which must not be in the store.
    #[must_use]
    pub fn with_tokens(mut self, secret: TokenSecret) -> Accounts {
        self.tokens = Some(secret);
        self
    }

    /// Drops all tokens of all accounts: clients log in with their passwords once.
    ///
    /// # Errors
    /// The store fails.
    pub async fn forget_tokens(&self) -> Result<(), AccountError> {
        self.engine.write(Batch::new().run(sql::DELETE_ALL_TOKENS, [])).await?;
        Ok(())
    }

    /// The tokens of one installation; `None` if there is no such account.
    ///
    /// # Errors
    /// The store fails or holds what we did not write.
    pub async fn tokens(&self, account: &BareJid, client: &ClientId) -> Result<Option<Tokens>, AccountError> {
        let args = vec![Value::from(account.as_str()), Value::from(client.as_str())];
        let rows = self.engine.query_key(sql::TOKENS, args).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (disabled, class) = (first.boolean(0)?, class(first, 1, account.as_str())?);
        let mut tokens = Vec::new();
        for row in rows.iter().filter(|row| !matches!(row.value(2), Ok(Value::Null))) {
            tokens.extend(self.token(row, account, client)?);
        }
        Ok(Some(Tokens { tokens, disabled, class }))
    }

    /// One token; `None` if there is no secret to derive it from.
    fn token(&self, row: &Row, account: &BareJid, client: &ClientId) -> Result<Option<StoredToken>, AccountError> {
        let damaged = |text: String| AccountError::StoreDamaged { account: account.to_string(), text };
        let mechanism =
            TokenMechanism::parse(row.text(4)?).ok_or_else(|| damaged("a token for no mechanism".into()))?;
        let Some(secret) = &self.tokens else { return Ok(None) };
        let check = match mechanism {
            TokenMechanism::Exporter | TokenMechanism::EndPoint => {
                TokenCheck::Key(secret.token(account, client, mechanism, row.blob(5)?))
            }
            TokenMechanism::Unbound => {
                let hash = |bytes: &[u8]| bytes.try_into().map_err(|_| damaged("a token of another length".into()));
                TokenCheck::Hashed { initiator: hash(row.blob(5)?)?, responder: hash(row.blob(6)?)? }
            }
        };
        let now = self.clock.now();
        let (issued, expiry) = (Timestamp::from_micros(row.integer(8)?), Timestamp::from_micros(row.integer(9)?));
        Ok(Some(StoredToken {
            id: row.integer(2)?,
            slot: if row.boolean(3)? { TokenSlot::New } else { TokenSlot::Current },
            mechanism,
            check,
            expired: expiry <= now,
            count: u32::try_from(row.integer(7)?).map_err(|error| damaged(error.to_string()))?,
            // A clock that was set back makes a token old: then a new one costs less than a doubt.
            ageing: now < issued || now.since(issued) >= life(mechanism) / 2,
        }))
    }

    /// Notes what became of a token and makes a new one if that is wanted.
    ///
    /// # Errors
    /// The login is a copy of an earlier one, or the account has changed since; or the store fails.
    pub async fn use_token(&self, token_use: &TokenUse, since: i64) -> Result<Option<IssuedToken>, TokenRefused> {
        let TokenUse { account, client, used, issue } = token_use;
        let mut batch = torg_core::unchanged(Batch::new(), account, since);
        if let Some(used) = used {
            batch = note(batch, account, client, used);
        }
        let mut issued = None;
        if let (Some(mechanism), Some(secret)) = (issue, &self.tokens) {
            let (token, with) = self.issue(batch, account, client, *mechanism, secret).map_err(unavailable)?;
            (issued, batch) = (Some(token), with);
        }
        match self.engine.write(batch).await {
            Ok(_) => Ok(issued),
            Err(StoreError::Conflict { .. } | StoreError::Constraint { .. }) => Err(TokenRefused::Outdated),
            Err(error) => Err(unavailable(error.into())),
        }
    }

    fn issue(
        &self,
        batch: Batch,
        account: &BareJid,
        client: &ClientId,
        mechanism: TokenMechanism,
        secret: &TokenSecret,
    ) -> Result<(IssuedToken, Batch), AccountError> {
        let now = self.clock.now();
        let expiry = now.plus(life(mechanism)).whole_seconds();
        let nonce: [u8; 32] = random()?;
        let token = secret.token(account, client, mechanism, &nonce);
        let (seed, answer) = match TokenCheck::new(mechanism, token.clone()) {
            TokenCheck::Key(_) => (nonce.to_vec(), Vec::new()),
            TokenCheck::Hashed { initiator, responder } => (initiator.to_vec(), responder.to_vec()),
        };
        let id = i64::from_be_bytes(random()?);
        let [jid, name] = [account.as_str(), client.as_str()].map(Value::from);
        let batch = batch
            .run(sql::DELETE_NEW_TOKEN, [jid.clone(), name.clone()])
            .guard(
                1,
                sql::INSERT_TOKEN,
                [
                    jid.clone(),
                    name,
                    Value::from(id),
                    Value::from(mechanism.name()),
                    Value::from(seed),
                    Value::from(answer),
                    Value::from(now.micros()),
                    Value::from(expiry.micros()),
                ],
            )
            .run(sql::DELETE_OLD_TOKENS, [jid.clone(), Value::from(now.micros().saturating_sub(KEPT_MICROS))])
            .run(sql::DELETE_SURPLUS_TOKENS, [jid, Value::from(TOKEN_CLIENTS_MAX)]);
        Ok((IssuedToken { token, expiry }, batch))
    }
}

/// What a use changes: the count grows, the token is the current one from now on, the other one goes if it is older; or it goes itself.
fn note(batch: Batch, account: &BareJid, client: &ClientId, used: &UsedToken) -> Batch {
    let token = || [Value::from(account.as_str()), Value::from(client.as_str()), Value::from(used.id)];
    let batch = match used.count {
        Some(count) => {
            let [jid, name, id] = token();
            batch.guard(1, sql::COUNT_TOKEN, [jid, name, id, Value::from(count)])
        }
        None => batch,
    };
    if used.invalidate {
        return batch.guard(1, sql::DELETE_TOKEN, token());
    }
    batch.run(sql::DELETE_EARLIER_TOKENS, token()).guard(1, sql::MAKE_TOKEN_CURRENT, token())
}

fn unavailable(error: AccountError) -> TokenRefused {
    TokenRefused::Unavailable(CredentialsUnavailable(error.to_string()))
}
