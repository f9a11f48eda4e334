//! What the stream's machine asks while a client logs in, answered by the accounts.

use std::time::Duration;

use torg_wire::jid::BareJid;
use torg_wire::sasl::{ClientId, Failure, PasswordCheck, ScramHash, StoredKeys, TokenUse};

use super::connection::Connection;
use super::gate::Place;
use crate::credentials::{Credentials, CredentialsUnavailable, TokenRefused};
use crate::session::now;

/// A question about an account.
pub(super) enum Question {
    Authorise(BareJid),
    CheckPassword(PasswordCheck),
    Lookup { account: BareJid, hash: ScramHash },
    StoreKeys { account: BareJid, keys: StoredKeys },
    Tokens { account: BareJid, client: ClientId },
    UseToken(TokenUse),
}

impl<C> Connection<C> {
    /// Answers the machine, if only that there is no answer.
    pub(super) async fn answer(&mut self, question: Question) {
        if let Err(error) = self.try_answer(question).await {
            tracing::error!(%error, "A login could not be checked.");
            self.machine.store_failed(now());
        }
    }

    async fn try_answer(&mut self, question: Question) -> Result<(), CredentialsUnavailable> {
        match question {
            Question::Authorise(account) => {
                self.note_changes().await?;
                let class = self.credentials().class(&account).await?;
                self.machine.authorised(class, now());
            }
            Question::CheckPassword(check) => self.check(check).await,
            Question::Lookup { account, hash } => {
                self.hold_back(&account).await;
                self.note_changes().await?;
                let found = self.credentials().lookup(&account, hash).await?;
                self.machine.credentials(found, now());
            }
            Question::StoreKeys { account, keys } => {
                // The login has succeeded without them; the client is asked again at its next one.
                if let Err(error) = self.credentials().add_keys(&account, keys).await {
                    tracing::debug!(%error, %account, "Better keys could not be kept.");
                }
                self.machine.keys_stored(now());
            }
            Question::Tokens { account, client } => {
                self.hold_back(&account).await;
                self.note_changes().await?;
                let found = self.credentials().tokens(&account, &client).await?;
                self.machine.tokens(found, now());
            }
            Question::UseToken(token_use) => {
                let answer = match self.credentials().use_token(&token_use, self.since).await {
                    Ok(issued) => Ok(issued),
                    Err(TokenRefused::Outdated) => Err(Failure::NotAuthorized),
                    // Only a new one was wanted: whoever has shown the password gets in without, even if the disk is full. A use
                    // that cannot be counted could be played again, so that is another matter.
                    Err(TokenRefused::Unavailable(error)) if token_use.used.is_none() => {
                        tracing::debug!(%error, account = %token_use.account, "No token could be kept.");
                        Ok(None)
                    }
                    Err(TokenRefused::Unavailable(error)) => return Err(error),
                };
                self.machine.token_used(answer, now());
            }
        }
        Ok(())
    }

    fn credentials(&self) -> &dyn Credentials {
        &*self.shell.router.shared().credentials
    }

    /// Before anything is read of the account: a change in between makes the session too old, never too new.
    async fn note_changes(&mut self) -> Result<(), CredentialsUnavailable> {
        let latest = self.shell.router.shared().changes.latest().await;
        self.since = latest.map_err(|error| CredentialsUnavailable(error.to_string()))?;
        Ok(())
    }

    /// An attempt to log in begins: it waits if many have failed. A guesser's place among those who have not logged in stays taken
    /// meanwhile, and so does the time for it.
    async fn hold_back(&mut self, account: &BareJid) {
        self.attempts.begin(account);
        let address = self.place.as_ref().and_then(Place::address);
        let wait = self.shell.backoff.begin(account, address, now());
        if wait > Duration::ZERO {
            tracing::debug!(%account, ?address, ?wait, "A login waits: many have failed.");
            let stop = self.shell.router.shared().stop.clone();
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    /// The account has logged in: its attempts do not count, and its place among those who have not is free.
    pub(super) fn welcome(&mut self, account: &BareJid) {
        if let Some(place) = self.place.take() {
            let attempts = std::mem::take(&mut self.attempts).at(account);
            self.shell.backoff.succeed(account, place.address(), attempts, now());
        }
    }

    async fn check(&mut self, check: PasswordCheck) {
        let Ok(_permit) = self.shell.hashing.acquire().await else { return self.machine.store_failed(now()) };
        match tokio::task::spawn_blocking(move || check.run()).await {
            Ok(verdict) => self.machine.password_checked(verdict, now()),
            Err(_) => self.machine.store_failed(now()),
        }
    }
}
