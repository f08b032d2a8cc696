//! The programs in front of the steps: their arguments, files, and what they print.

use std::fmt::Display;
use std::process::ExitCode;
use std::{env, fs};

use crate::Result;

/// Prints what the program of this name came to, or why it did not.
pub fn report(name: &str, result: Result<impl Display>) -> ExitCode {
    match result {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `NAME IN OUT`: makes a module of another, and prints the number that comes with it.
pub fn transform(name: &str, make: impl FnOnce(&[u8]) -> Result<(Vec<u8>, usize)>) -> ExitCode {
    let run = || {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let [input, output] = &arguments[..] else { return Err(format!("usage: {name} IN OUT")) };
        let wasm = fs::read(input).map_err(|error| format!("{input}: {error}"))?;
        let (made, number) = make(&wasm).map_err(|error| format!("{input}: {error}"))?;
        fs::write(output, made).map_err(|error| format!("{output}: {error}"))?;
        Ok(number)
    };
    report(name, run())
}
