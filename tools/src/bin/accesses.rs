//! `accesses IN OUT`: from `heap.wasm` a module that says what it reads and writes, for the tests.

use std::process::ExitCode;
use std::{env, fs};

use coheap_tools::{Result, accesses::accesses};

fn main() -> ExitCode {
    match run() {
        Ok(places) => {
            println!("{places}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("accesses: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output] = &arguments[..] else {
        return Err("usage: accesses IN OUT".into());
    };
    let wasm = fs::read(input).map_err(|error| format!("{input}: {error}"))?;
    let instrumented = accesses(&wasm).map_err(|error| format!("{input}: {error}"))?;
    fs::write(output, instrumented.wasm).map_err(|error| format!("{output}: {error}"))?;
    Ok(instrumented.places)
}
