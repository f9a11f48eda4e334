//! Several brokers in memory that talk to each other: links, proofs, presence across servers, failures, attacks.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod attacks;
mod components;
mod events;
mod exchange;
mod failures;
mod network;
mod server_info;
mod subscription;
