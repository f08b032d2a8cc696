//! Nothing: this crate only names the version of the C source (see `harness.c`).
#![no_std]
