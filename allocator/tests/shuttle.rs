//! Random schedules, sequentially consistent: what stands on a store before a load (the fence, the hints), the audit of
//! a heap that is in use, and three agents doing everything at once.
#![cfg(shuttle)]
#![allow(missing_docs)]

mod common;

#[path = "shuttle/everything.rs"]
mod everything;
#[path = "shuttle/explore.rs"]
mod explore;
#[path = "shuttle/gate.rs"]
mod gate;
#[path = "shuttle/hints.rs"]
mod hints;
#[path = "shuttle/pages.rs"]
mod pages;
#[path = "shuttle/slabs.rs"]
mod slabs;
