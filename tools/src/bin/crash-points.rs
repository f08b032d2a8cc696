//! `crash-points IN OUT`: from `heap.wasm` a module that dies at the point it is told to, for the tests.

use std::process::ExitCode;

use coheap_tools::crash_points::crash_points;
use coheap_tools::program::transform;

fn main() -> ExitCode {
    transform("crash-points", |wasm| crash_points(wasm).map(|made| (made.wasm, made.places)))
}
