//! The structures, for a WebAssembly program with a memory of its own: by the functions of `heap.wasm`, which JavaScript
//! hands in.
//!
//! ```js
//! const program = new WebAssembly.Instance(module, { coheap: heap.imports(() => program.exports.memory) });
//! ```
//!
//! ```ignore
//! use coheap::imported::{Map, Str, agent};
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn count() -> f64 {
//!     let words: Map<Str, f64> = agent().and_then(|agent| agent.map("words")).expect("a heap");
//!     words.add("the", 1.0).expect("room")
//! }
//! ```
//!
//! Names and types are those of `coheap::typed`, which native programs have. An instance is an
//! agent of its own: what it opens is its own, whatever the JavaScript around it lets go.
//!
//! # Consistency
//! Each call is one step, as the module of the structure says: nobody sees half of it. No call blocks.
//!
//! # Errors
//! Everything that can fail says so by [`coheap_alloc::Error`]; nothing is lost then, and every call can be made again. After
//! [`Agent::leave`], or when the JavaScript that made the imports has detached, every call is
//! [`coheap_alloc::Error::AgentLost`].
//!
//! # If the caller dies here
//! Before the commit of a call nothing has happened, after it everything has. A long value on its way is a region of bytes
//! that goes with the agent's other references.

mod agent;
mod cell;
mod crossing;
mod import;
mod map;
mod owned;
mod value;

pub use agent::{Agent, Structure, agent};
pub use cell::Cell;
pub use map::{Map, MapKey};
pub use value::{Any, Bytes, CellValue, Number, Str, Value};

pub use crate::scalar::Scalar;
pub use coheap_alloc::{Error, Result};
