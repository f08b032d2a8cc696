//! The structures as Rust programs use them: typed, owned, one call each.
//!
//! A [`Heap`] is one for all threads; each thread that works with it attaches an [`Agent`] of its own. What an agent opens
//! is owned and stays on its thread; a [`Handle`] goes anywhere, also to JavaScript, and keeps nothing alive.
//!
//! ```
//! use coheap::typed::{Cell, Heap, Str};
//!
//! let heap = Heap::in_process(64 << 20)?;
//! let agent = heap.attach()?;
//! let hits: Cell<f64> = agent.cell("hits")?;
//! std::thread::scope(|scope| {
//!     for _ in 0..2 {
//!         scope.spawn(move || {
//!             let hits: Cell<f64> = heap.attach()?.cell("hits")?;
//!             (0..1000).try_for_each(|_| hits.add(1.0).map(drop))
//!         });
//!     }
//! });
//! assert_eq!(hits.get()?, 2000.0);
//!
//! let state: Cell<Str> = agent.cell("state")?;
//! state.set("running")?;
//! assert_eq!(state.get()?, "running");
//! # Ok::<(), coheap::typed::Error>(())
//! ```
//!
//! # Consistency
//! Each call is one step, as the module of the structure says: nobody sees half of it. No call blocks, but those of a
//! [`Pipe`] that take a timeout.
//!
//! # If the caller dies here
//! A thread that ends without dropping what it opened keeps its seat, and what it holds, until it is reaped.
//!
//! # Errors
//! Everything that can fail says so by [`coheap_alloc::Error`]; nothing is lost then, and every call can be made again.

mod cell;
mod fields;
mod handle;
mod heap;
mod list;
mod map;
mod owned;
mod pipe;
mod value;

pub use cell::Cell;
pub use fields::Fields;
pub use handle::{Handle, Structure};
pub use heap::{Agent, Heap};
pub use list::List;
pub use map::{Map, MapKey};
pub use pipe::{Lease, Pipe, Until};
pub use value::{Any, Bytes, CellValue, Number, Scalar, Str, Value};

pub use coheap_alloc::{Error, Result};
