//! Protocols under shuttle, which keeps one order of all accesses: waiting, holding, counting, maps, lists, pipes.
//! What runs is what ships: `cell::put`, `cell::watch_word`, `hold::publish`, `hold::holds`, `count`.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
#![cfg(shuttle)]

#[path = "shuttle/counts.rs"]
mod counts;
#[path = "shuttle/eras.rs"]
mod eras;
#[path = "shuttle/explore.rs"]
mod explore;
#[path = "shuttle/holds.rs"]
mod holds;
#[path = "shuttle/list.rs"]
mod list;
#[path = "shuttle/maps.rs"]
mod maps;
#[path = "shuttle/pipes.rs"]
mod pipes;
#[path = "shuttle/transactions.rs"]
mod transactions;
#[path = "shuttle/waits.rs"]
mod waits;
