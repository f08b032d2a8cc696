//! Data structures in one shared memory, over `coheap-alloc`: values, bytes, HTTP fields, and names for them.
//!
//! # Model
//! An *object* has an entry in the object table ([`object`]); a [`Handle`] names it by index and generation and is
//! checked, with the type, on every call. What a handle names is there or the answer is an error: never another object.
//!
//! | module | what |
//! |---|---|
//! | [`cell`] | one value: get, set, add, compare and set, wait for a change |
//! | [`fields`] | HTTP fields: ordered lines of a name and a value, found whatever the name's casing |
//! | [`map`] | keys and values in insertion order |
//! | [`pipe`] | a bounded stream of bytes: write, read, take on loan |
//! | [`list`] | values by their number: push, set, take out and put in |
//! | [`bytes`] | a fixed number of bytes: read, write, sum in place |
//! | [`name`] | the directory: a name finds or creates an object, in every agent the same |
//! | [`claim`] | the life of an entry |
//! | [`count`] | references: an object lives until the last one is given back |
//! | [`holdings`] | what each agent has references to |
//! | [`hold`] | why a write never meets an object that was taken away |
//! | [`wait`] | how waiters and setters never miss each other |
//! | [`recovery`] | what becomes of an object whose operation was cut short |
//! | [`references`] | what the audit asks: which blocks are referenced, and is the table well-formed |
//! | [`value`] | one word for each value |
//! | [`string`] | strings, bytes and big integers in blocks; how they are read while others write |
//! | [`atom`] | strings that have a number, the same in every agent |
//!
//! Functions that change something take the [`Operation`](coheap_alloc::Operation) they are part of; functions that
//! only read take the [`Table`] view and store nothing.
//!
//! # Consistency
//! Every operation is linearizable, and commits with one compare-exchange or swap of one word. There is no lock:
//! where a loop has no written bound, each round means that another agent succeeded. What is read is validated after
//! it was read; what is written is held first.
//!
//! # If the caller dies here
//! At any point an agent may stop for ever. Before the commit of an operation nothing has happened; what it had
//! allocated or claimed is named by its record and is taken back. After the commit the rest (a block to retire, a
//! directory to tidy, a waiter to wake) is done by recovery or by the next agent that comes by. The others never wait
//! for it.
//!
//! # Not promised
//! A range of bytes is not a unit. A waiter may sleep up to [`wait::SLICE`] milliseconds too long when the agent that
//! changed the cell died before it woke it. A parked object that nobody opens stays.
#![no_std]

#[cfg(any(
    all(feature = "std", any(not(target_arch = "wasm32"), feature = "embedded"), not(any(loom, shuttle))),
    all(feature = "imported", target_arch = "wasm32")
))]
extern crate std;

pub mod atom;
mod block;
pub mod bytes;
pub mod cell;
pub mod claim;
#[cfg(feature = "controls")]
pub mod controls;
pub mod count;
pub mod fields;
pub mod hold;
pub mod holdings;
#[cfg(all(feature = "imported", target_arch = "wasm32"))]
pub mod imported;
pub mod list;
pub mod map;
pub mod name;
mod nested;
pub mod object;
pub mod pipe;
pub mod reap;
pub mod recovery;
pub mod references;
pub mod rule;
#[cfg(any(
    all(feature = "std", any(not(target_arch = "wasm32"), feature = "embedded"), not(any(loom, shuttle))),
    all(feature = "imported", target_arch = "wasm32")
))]
mod scalar;
pub mod string;
#[cfg(all(feature = "std", any(not(target_arch = "wasm32"), feature = "embedded"), not(any(loom, shuttle))))]
pub mod typed;
pub mod value;
pub mod wait;

#[cfg(feature = "js")]
pub use coheap_js as js;
pub use count::{acquire, detach, park, release};
pub use object::{Handle, Table, Type};
pub use references::Objects;
