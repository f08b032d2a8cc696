//! `loops MODULE`: the functions that the loops of a linked module come from, as a JSON object: name and number of loops.

use std::process::ExitCode;
use std::{env, fs};

use coheap_tools::program::report;
use coheap_tools::{Result, loops::loops};

fn main() -> ExitCode {
    report("loops", run())
}

fn run() -> Result<String> {
    let [module] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("usage: loops MODULE".into());
    };
    let wasm = fs::read(module).map_err(|error| format!("{module}: {error}"))?;
    let found = loops(&wasm).map_err(|error| format!("{module}: {error}"))?;
    let rows: Vec<String> = found.iter().map(|(name, count)| format!("{name:?}: {count}")).collect();
    Ok(format!("{{{}}}", rows.join(",\n")))
}
