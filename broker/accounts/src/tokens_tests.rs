//! The life of tokens in the store: issue, use, rotation, counting, expiry, removal.

use std::sync::Arc;
use std::time::Duration;

use torg_core::TokenRefused;
use torg_store::{Engine, Sqlite, Value, migrate};
use torg_thing::{ManualClock, Timestamp};
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{
    AccountClass, ChannelBindings, ClientId, Context, Failure, IssuedToken, Mechanism, Policy, Server, ServerSecret,
    ServerStep, TokenMechanism, TokenSecret, TokenSlot, TokenUse, Tokens, UsedToken, token_message,
};
use torg_wire::secret::Secret;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

struct World {
    accounts: Accounts,
    clock: Arc<ManualClock>,
    engine: Arc<dyn Engine>,
}

fn anna() -> BareJid {
    BareJid::parse("anna@site.example").expect("an address")
}

fn client(text: &str) -> ClientId {
    ClientId::parse(text).expect("a name")
}

fn password(text: &str) -> Secret<String> {
    Secret::new(text.into())
}

async fn world() -> World {
    let engine: Arc<dyn Engine> = Arc::new(Sqlite::in_memory().expect("memory"));
    migrate(&*engine, &[MIGRATIONS]).await.expect("migrated");
    migrate(&*engine, torg_core::MIGRATIONS).await.expect("migrated");
    let clock = Arc::new(ManualClock::new("2026-03-01T10:15:00Z".parse::<Timestamp>().expect("a time")));
    let domain = DomainPart::parse("site.example").expect("a domain");
    let accounts = Accounts::new(engine.clone(), domain, clock.clone()).with_tokens(TokenSecret::new([4; 32]));
    accounts.create(&anna(), password("pencil")).await.expect("created");
    World { accounts, clock, engine }
}

impl World {
    async fn use_token(
        &self,
        used: Option<UsedToken>,
        issue: Option<TokenMechanism>,
    ) -> Result<Option<IssuedToken>, TokenRefused> {
        self.use_token_of("phone", used, issue, 0).await
    }

    async fn use_token_of(
        &self,
        name: &str,
        used: Option<UsedToken>,
        issue: Option<TokenMechanism>,
        since: i64,
    ) -> Result<Option<IssuedToken>, TokenRefused> {
        let token_use = TokenUse { account: anna(), client: client(name), used, issue };
        self.accounts.use_token(&token_use, since).await
    }

    async fn issue(&self, mechanism: TokenMechanism) -> IssuedToken {
        self.use_token(None, Some(mechanism)).await.expect("written").expect("issued")
    }

    async fn tokens(&self) -> Tokens {
        self.accounts.tokens(&anna(), &client("phone")).await.expect("read").expect("an account")
    }

    async fn count(&self) -> usize {
        self.engine.query("SELECT client FROM account_token", Vec::new()).await.expect("read").len()
    }

    /// A login with this token: the answer of the server's side of SASL.
    async fn login(&self, token: &IssuedToken, mechanism: TokenMechanism, count: Option<u32>) -> Result<i64, Failure> {
        let policy = Policy { tokens: true, ..Policy::new(ServerSecret::new([1; 32])) };
        let bindings = ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) };
        let data = mechanism.binding().and_then(|kind| bindings.data(kind)).unwrap_or_default();
        let message = token_message("anna", &token.token, data);
        let domain = DomainPart::parse("site.example").expect("a domain");
        let context = Context { policy: &policy, domain: &domain, bindings: &bindings, proven: &[] };
        let (mut server, step) = Server::start(Mechanism::Token(mechanism), Some(&message), "n".into(), context);
        let ServerStep::Tokens(account) = step else { panic!("{step:?}") };
        let found = self.accounts.tokens(&account, &client("phone")).await.expect("read");
        match server.tokens(found, count) {
            ServerStep::Success(success) => Ok(success.token.expect("by token").id),
            ServerStep::Failure(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn tokens_that_are_forgotten_open_nothing() {
    let world = world().await;
    let token = world.issue(TokenMechanism::Exporter).await;
    world.accounts.forget_tokens().await.expect("written");
    assert_eq!(world.count().await, 0);
    assert!(world.login(&token, TokenMechanism::Exporter, None).await.is_err());
}

fn used(id: i64) -> UsedToken {
    UsedToken { id, count: None, invalidate: false }
}

#[tokio::test]
async fn a_token_of_each_kind_logs_in() {
    for mechanism in TokenMechanism::ALL {
        let world = world().await;
        let token = world.issue(mechanism).await;
        assert!(world.login(&token, mechanism, None).await.is_ok(), "{mechanism:?}");
    }
}

#[tokio::test]
async fn an_unbound_token_lives_shorter_than_a_bound_one() {
    let world = world().await;
    let lives = [TokenMechanism::Exporter, TokenMechanism::EndPoint, TokenMechanism::Unbound].map(async |mechanism| {
        let now = "2026-03-01T10:15:00Z".parse::<Timestamp>().expect("a time");
        world.issue(mechanism).await.expiry.since(now)
    });
    let [exporter, end_point, unbound] = lives;
    assert_eq!((exporter.await, end_point.await, unbound.await), (60 * DAY, 60 * DAY, 7 * DAY));
}

#[tokio::test]
async fn the_store_holds_neither_token_nor_message() {
    for mechanism in TokenMechanism::ALL {
        let world = world().await;
        let token = world.issue(mechanism).await;
        let rows = world.engine.query("SELECT seed, answer FROM account_token", Vec::new()).await.expect("read");
        let row = rows.first().expect("a row");
        let kept = [row.blob(0).expect("bytes"), row.blob(1).expect("bytes")].concat();
        let message = token_message("", &token.token, &[]);
        for secret in [token.token.expose().as_bytes(), message.get(1..).expect("a hash")] {
            assert!(!kept.windows(secret.len()).any(|window| window == secret), "{mechanism:?}");
        }
        // With another secret, as after a restore elsewhere, what was derived is void.
        let elsewhere = world.accounts.clone().with_tokens(TokenSecret::new([5; 32]));
        let elsewhere = World { accounts: elsewhere, ..world };
        let expected = mechanism == TokenMechanism::Unbound;
        assert_eq!(elsewhere.login(&token, mechanism, None).await.is_ok(), expected, "{mechanism:?}");
    }
}

#[tokio::test]
async fn a_new_token_replaces_the_current_one_when_it_is_used_and_not_before() {
    let mechanism = TokenMechanism::Exporter;
    let world = world().await;
    let first = world.issue(mechanism).await;
    let id = world.login(&first, mechanism, None).await.expect("in");
    let second = world.use_token(Some(used(id)), Some(mechanism)).await.expect("written").expect("issued");
    // The client never got it, and uses the old one again.
    let id = world.login(&first, mechanism, None).await.expect("still in");
    let third = world.use_token(Some(used(id)), Some(mechanism)).await.expect("written").expect("issued");
    assert_eq!(world.login(&second, mechanism, None).await, Err(Failure::NotAuthorized), "replaced unused");
    let id = world.login(&third, mechanism, None).await.expect("in");
    world.use_token(Some(used(id)), None).await.expect("written");
    assert_eq!(world.login(&first, mechanism, None).await, Err(Failure::NotAuthorized), "its successor was used");
    assert!(world.login(&third, mechanism, None).await.is_ok());
    assert_eq!(world.count().await, 1);
}

#[tokio::test]
async fn a_token_ages_after_half_its_life_and_ends_with_it() {
    let world = world().await;
    let token = world.issue(TokenMechanism::Unbound).await;
    let ageing = async || world.tokens().await.tokens.first().is_some_and(|token| token.ageing);
    world.clock.advance(7 * DAY / 2 - Duration::from_secs(1));
    assert!(!ageing().await);
    world.clock.advance(Duration::from_secs(1));
    assert!(ageing().await);
    world.clock.advance(7 * DAY / 2 - Duration::from_secs(1));
    assert!(world.login(&token, TokenMechanism::Unbound, None).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.login(&token, TokenMechanism::Unbound, None).await, Err(Failure::CredentialsExpired));
}

#[tokio::test]
async fn a_count_that_was_seen_before_is_refused_even_if_two_come_at_once() {
    let world = world().await;
    let token = world.issue(TokenMechanism::Unbound).await;
    let id = world.login(&token, TokenMechanism::Unbound, Some(5)).await.expect("in");
    let again = world.login(&token, TokenMechanism::Unbound, Some(5)).await.expect("not written yet");
    let counted = |id| Some(UsedToken { count: Some(5), ..used(id) });
    world.use_token(counted(id), None).await.expect("the first");
    assert!(matches!(world.use_token(counted(again), None).await, Err(TokenRefused::Outdated)));
    assert_eq!(world.login(&token, TokenMechanism::Unbound, Some(5)).await, Err(Failure::NotAuthorized));
    assert_eq!(world.login(&token, TokenMechanism::Unbound, Some(4)).await, Err(Failure::NotAuthorized));
    assert!(world.login(&token, TokenMechanism::Unbound, Some(6)).await.is_ok());
}

#[tokio::test]
async fn an_invalidated_token_is_gone() {
    let world = world().await;
    let token = world.issue(TokenMechanism::Exporter).await;
    let id = world.login(&token, TokenMechanism::Exporter, None).await.expect("in");
    world.use_token(Some(UsedToken { invalidate: true, ..used(id) }), None).await.expect("written");
    assert_eq!(world.login(&token, TokenMechanism::Exporter, None).await, Err(Failure::NotAuthorized));
    assert_eq!(world.count().await, 0);
}

#[tokio::test]
async fn a_new_password_and_the_end_of_the_account_end_its_tokens() {
    let world = world().await;
    let token = world.issue(TokenMechanism::Exporter).await;
    world.accounts.set_password(&anna(), password("crayon")).await.expect("changed");
    assert_eq!(world.login(&token, TokenMechanism::Exporter, None).await, Err(Failure::NotAuthorized));
    assert_eq!(world.count().await, 0);

    let since = 1; // the log has the new password
    world.use_token_of("phone", None, Some(TokenMechanism::Exporter), since).await.expect("written").expect("issued");
    world.accounts.remove(&anna()).await.expect("removed");
    assert_eq!(world.count().await, 0);
    assert_eq!(world.accounts.tokens(&anna(), &client("phone")).await.expect("read"), None);
}

#[tokio::test]
async fn a_login_that_a_new_password_has_overtaken_gets_no_token() {
    let world = world().await;
    world.accounts.set_password(&anna(), password("crayon")).await.expect("changed");
    let refused = world.use_token(None, Some(TokenMechanism::Exporter)).await;
    assert!(matches!(refused, Err(TokenRefused::Outdated)), "{refused:?}");
    assert_eq!(world.count().await, 0);
}

#[tokio::test]
async fn a_disabled_account_is_refused_after_a_right_token() {
    let world = world().await;
    let token = world.issue(TokenMechanism::Exporter).await;
    world.accounts.set_disabled(&anna(), true).await.expect("switched off");
    assert_eq!(world.login(&token, TokenMechanism::Exporter, None).await, Err(Failure::AccountDisabled));
    let refused = world.use_token(None, Some(TokenMechanism::Exporter)).await;
    assert!(matches!(refused, Err(TokenRefused::Outdated)), "{refused:?}");
}

#[tokio::test]
async fn the_installation_that_got_its_token_longest_ago_makes_room() {
    let world = world().await;
    let clients = |n: u32| format!("client-{n}");
    for n in 0..=TOKEN_CLIENTS_MAX {
        world.clock.advance(Duration::from_secs(1));
        world.use_token_of(&clients(n), None, Some(TokenMechanism::Exporter), 0).await.expect("written");
        let expected = usize::try_from((n + 1).min(TOKEN_CLIENTS_MAX)).expect("small");
        assert_eq!(world.count().await, expected);
    }
    let of = async |n| world.accounts.tokens(&anna(), &client(&clients(n))).await.expect("read").expect("anna").tokens;
    assert!(of(0).await.is_empty());
    assert!(!of(1).await.is_empty());
}

#[tokio::test]
async fn tokens_belong_to_their_installation() {
    let world = world().await;
    world.issue(TokenMechanism::Exporter).await;
    let other = world.accounts.tokens(&anna(), &client("desk")).await.expect("read").expect("anna");
    assert_eq!((other.tokens.len(), other.class), (0, AccountClass::Person));
    assert_eq!(world.tokens().await.tokens.first().map(|token| token.slot), Some(TokenSlot::New));
}

#[tokio::test]
async fn long_expired_tokens_are_swept_out_with_the_next_issue() {
    let world = world().await;
    world.issue(TokenMechanism::Unbound).await;
    world.clock.advance(14 * DAY);
    world.use_token_of("desk", None, Some(TokenMechanism::Unbound), 0).await.expect("written");
    assert_eq!(world.count().await, 2, "still kept to be told");
    world.clock.advance(Duration::from_secs(1));
    world.use_token_of("desk", None, Some(TokenMechanism::Unbound), 0).await.expect("written");
    assert_eq!(world.count().await, 1);
}

#[tokio::test]
async fn keys_that_a_client_brings_are_added_and_never_replace_others() {
    use torg_wire::sasl::{ITERATIONS, SALT_BYTES, ScramHash, StoredKeys};
    let world = world().await;
    let keys = |text| {
        StoredKeys::derive(ScramHash::Sha256, &password(text), &[3; SALT_BYTES], ITERATIONS).expect("a password")
    };
    world.accounts.add_keys(&anna(), &keys("forged")).await.expect("written");
    let found = world.accounts.credentials(&anna(), ScramHash::Sha256).await.expect("read").expect("there");
    assert!(found.keys.verify(&password("pencil")), "hers stay");

    let delete =
        torg_store::Batch::new().run("DELETE FROM account_keys WHERE jid = ?1", [Value::from("anna@site.example")]);
    world.engine.write(delete).await.expect("deleted");
    world.accounts.add_keys(&anna(), &keys("pencil")).await.expect("written");
    let found = world.accounts.credentials(&anna(), ScramHash::Sha256).await.expect("read").expect("there");
    assert!(found.keys.verify(&password("pencil")));
    let nobody = BareJid::parse("nobody@site.example").expect("an address");
    world.accounts.add_keys(&nobody, &keys("pencil")).await.expect("nothing to write");
    assert!(world.accounts.credentials(&nobody, ScramHash::Sha256).await.expect("read").is_none());
}
