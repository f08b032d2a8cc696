//! Orders what the order of means nothing to engines, but much to compression: `heap.wasm` goes over the wire.
//!
//! Functions come after those that they resemble, and the locals of a function by how often they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Instruction};
use wasmparser::{CodeSectionReader, FunctionBody, FunctionSectionReader, Operator, Parser, Payload, TypeRef};

use crate::Result;

/// Bytes of code that count as one likeness.
const PIECE: usize = 6;
/// What stands in this many functions says nothing about any two of them.
const COMMON: usize = 60;
/// So many functions before are looked at: about as far as likeness carries.
const NEAR: usize = 2;

/// The same module in the order that compresses best.
///
/// # Errors
/// When the module cannot be read.
pub fn arrange(wasm: &[u8]) -> Result<Vec<u8>> {
    let unreadable = |error: &dyn std::fmt::Display| format!("the module cannot be arranged: {error}");
    let Functions { imported, parameters, bodies } = Functions::of(wasm).map_err(|error| unreadable(&error))?;
    let order = by_likeness(&bodies);
    let mut place = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        place[from] = to as u32;
    }
    let mut module = wasm_encoder::Module::new();
    let mut arranged = Arranged { imported, parameters, order, place };
    arranged.parse_core_module(&mut module, Parser::new(0), wasm).map_err(|error| unreadable(&error))?;
    Ok(module.finish())
}

/// What is to be known of the functions before the first is written.
struct Functions<'a> {
    imported: u32,
    /// Of the module's own: how many parameters each has, and its code.
    parameters: Vec<u32>,
    bodies: Vec<&'a [u8]>,
}

impl<'a> Functions<'a> {
    fn of(wasm: &'a [u8]) -> wasmparser::Result<Self> {
        let mut types = Vec::new();
        let mut functions = Self { imported: 0, parameters: Vec::new(), bodies: Vec::new() };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for signature in section.into_iter_err_on_gc_types() {
                        types.push(signature?.params().len() as u32);
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        functions.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(section) => {
                    for signature in section {
                        functions.parameters.push(types[signature? as usize]);
                    }
                }
                Payload::CodeSectionEntry(body) => functions.bodies.push(body.as_bytes()),
                _ => {}
            }
        }
        Ok(functions)
    }
}

/// A chain that begins with the largest function; the next one is always that which shares most with the last ones, measured by its
/// own length and by how rare it is what they share.
fn by_likeness(bodies: &[&[u8]]) -> Vec<usize> {
    let pieces: Vec<BTreeSet<&[u8]>> = bodies.iter().map(|body| body.windows(PIECE).collect()).collect();
    let mut having: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (index, pieces) in pieces.iter().enumerate() {
        for piece in pieces {
            having.entry(piece).or_default().push(index);
        }
    }
    having.retain(|_, functions| (2..COMMON).contains(&functions.len()));

    let mut left: BTreeSet<usize> = (0..bodies.len()).collect();
    let mut order = Vec::with_capacity(bodies.len());
    let mut next = (0..bodies.len()).max_by_key(|&index| bodies[index].len());
    while let Some(index) = next {
        left.remove(&index);
        order.push(index);
        let mut shared = vec![0.0; bodies.len()];
        for &near in order.iter().rev().take(NEAR) {
            for functions in pieces[near].iter().filter_map(|piece| having.get(piece)) {
                for &function in functions {
                    shared[function] += 1.0 / functions.len() as f64;
                }
            }
        }
        let likeness = |index: usize| shared[index] / (50.0 + pieces[index].len() as f64).sqrt();
        // Of equals the first: the same module is arranged the same way everywhere.
        next = left.iter().copied().rev().max_by(|&one, &other| likeness(one).total_cmp(&likeness(other)));
    }
    order
}

type Encoded<T> = std::result::Result<T, reencode::Error>;

struct Arranged {
    imported: u32,
    parameters: Vec<u32>,
    /// Which function comes where, and where each one goes.
    order: Vec<usize>,
    place: Vec<u32>,
}

impl Reencode for Arranged {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Encoded<u32> {
        Ok(match function.checked_sub(self.imported) {
            Some(own) => self.imported + self.place[own as usize],
            None => function,
        })
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Encoded<()> {
        let types = section.into_iter().collect::<wasmparser::Result<Vec<u32>>>()?;
        for &function in &self.order {
            functions.function(types[function]);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Encoded<()> {
        let bodies = section.into_iter().collect::<wasmparser::Result<Vec<FunctionBody<'_>>>>()?;
        for function in self.order.clone() {
            self.function(code, self.parameters[function], &bodies[function])?;
        }
        Ok(())
    }
}

impl Arranged {
    /// A function with its locals in the order of their use, those of a type together.
    fn function(&mut self, code: &mut CodeSection, parameters: u32, body: &FunctionBody<'_>) -> Encoded<()> {
        let mut types = Vec::new();
        for run in body.get_locals_reader()? {
            let (count, kind) = run?;
            types.resize(types.len() + count as usize, kind);
        }
        let mut uses = vec![0_u32; types.len()];
        for operator in body.get_operators_reader()? {
            if let Operator::LocalGet { local_index: at }
            | Operator::LocalSet { local_index: at }
            | Operator::LocalTee { local_index: at } = operator?
                && let Some(own) = at.checked_sub(parameters)
            {
                uses[own as usize] += 1;
            }
        }
        let mut kinds = Vec::new();
        for &kind in &types {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let kind_of = |local: usize| kinds.iter().position(|&kind| kind == types[local]);
        let mut order: Vec<usize> = (0..types.len()).collect();
        order.sort_by_key(|&local| (kind_of(local), std::cmp::Reverse(uses[local])));
        let mut place = vec![0; types.len()];
        for (to, &from) in order.iter().enumerate() {
            place[from] = parameters + to as u32;
        }

        let mut locals = Vec::new();
        for &local in &order {
            locals.push(self.val_type(types[local])?);
        }
        let mut function = wasm_encoder::Function::new_with_locals_types(locals);
        for operator in body.get_operators_reader()? {
            let mut instruction = self.instruction(operator?)?;
            if let Instruction::LocalGet(at) | Instruction::LocalSet(at) | Instruction::LocalTee(at) = &mut instruction
                && let Some(own) = at.checked_sub(parameters)
            {
                *at = place[own as usize];
            }
            function.instruction(&instruction);
        }
        code.function(&function);
        Ok(())
    }
}
