//! The C ABI of coheap: what becomes `heap.wasm`.
//!
//! Numbers only. A call answers a status: 0, or the number of an error in `errors.json`, whose details stand in the
//! slot's eight detail words, as do answers that are more than a status ([`heap::coheap_detail`]). No string is made
//! and nothing is allocated on the way of an error, so errors work when memory is exhausted.
//!
//! Every call that touches the heap is one operation of the agent whose slot the global `agent` names. If an exception
//! leaves one, the caller resets `__stack_pointer` to [`heap::coheap_stack_top`] and calls [`heap::coheap_recover`].
//!
//! Nothing here blocks but [`cell::coheap_cell_wait`], [`cell::coheap_cell_wait_value`] and, for agents that may block, an entry that meets the gate of
//! an audit (one second at most); both through the import `wait`.
//!
//! With the feature `embedded` this crate is [`coheap`] with the C ABI for a threaded program: [`export!`].
#![cfg_attr(target_arch = "wasm32", no_std)]
#![cfg(target_arch = "wasm32")]

pub mod atom;
pub mod audit;
pub mod bytes;
mod call;
pub mod cell;
#[cfg(feature = "controls")]
pub mod control;
pub mod death;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod fields;
pub mod heap;
pub mod list;
pub mod map;
pub mod object;
pub mod pipe;
mod seat;
pub mod value;

#[cfg(feature = "embedded")]
pub use coheap::*;
#[cfg(feature = "embedded")]
pub use coheap_alloc::{Error, GlobalAlloc, Result};
