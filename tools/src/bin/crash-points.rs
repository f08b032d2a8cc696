//! `crash-points IN OUT`: from `heap.wasm` a module that dies at the point it is told to, for the tests.

use std::process::ExitCode;
use std::{env, fs};

use coheap_tools::{Result, crash_points::crash_points};

fn main() -> ExitCode {
    match run() {
        Ok(places) => {
            println!("{places}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("crash-points: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output] = &arguments[..] else {
        return Err("usage: crash-points IN OUT".into());
    };
    let wasm = fs::read(input).map_err(|error| format!("{input}: {error}"))?;
    let instrumented = crash_points(&wasm).map_err(|error| format!("{input}: {error}"))?;
    fs::write(output, instrumented.wasm).map_err(|error| format!("{output}: {error}"))?;
    Ok(instrumented.places)
}
