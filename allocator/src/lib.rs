#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::arithmetic_side_effects)]
//! The allocator of one shared memory: pages, slabs, granules and runs; the seats of agents and the fence between them;
//! the record of the operation in flight; recovery; the audit.

#[cfg(all(test, not(feature = "std")))]
extern crate std;

#[cfg(all(feature = "embedded", target_arch = "wasm32", not(target_feature = "atomics")))]
compile_error!(
    "A heap in a WebAssembly program's own memory needs a nightly toolchain with -Z build-std=std,panic_abort and \
     -C target-feature=+atomics: on stable Rust std is built without threads, so that each thread_local! would be one for \
     all threads, the allocator's seats among them. On stable, a program with a memory of its own has the feature \
     `imported`, and a program of wasm-bindgen the feature `js`."
);

mod agent;
#[cfg(not(any(loom, shuttle)))]
pub mod arena;
pub mod audit;
#[cfg(feature = "controls")]
pub mod controls;
mod error;
mod figures;
pub mod generated;
#[cfg(all(feature = "std", any(not(target_arch = "wasm32"), feature = "embedded"), not(any(loom, shuttle))))]
mod global;
mod granule;
mod heap;
mod hints;
mod kept;
pub mod layout;
mod operation;
mod page;
#[cfg(all(feature = "embedded", target_arch = "wasm32"))]
pub mod program;
pub mod reap;
mod reclaim;
mod record;
mod recovery;
mod run;
#[cfg(not(any(loom, shuttle)))]
mod shared;
mod sight;
pub mod size_class;
mod slab;
pub mod slot;
pub mod sync;
mod words;

pub use agent::{Agent, Entry, nothing_to_settle};
pub use error::{Amount, Error, Result};
pub use figures::Figures;
#[cfg(all(feature = "std", any(not(target_arch = "wasm32"), feature = "embedded"), not(any(loom, shuttle))))]
pub use global::GlobalAlloc;
pub use heap::{Heap, Options, Seat};
pub use operation::{Exchange, Named, Operation};
pub use page::check_own;
pub use reclaim::Pages;
pub use record::Block;
#[cfg(not(any(loom, shuttle)))]
pub use shared::SharedAllocator;
pub use sight::{Sight, sight};
pub use sync::{Address, Memory};
pub use words::{GranuleWord, Header, Kind, PageKind, PageName, PageWord, SlotWord, State};
