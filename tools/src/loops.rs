//! Which functions of the source the loops of a linked module come from, whatever they were inlined into.
//!
//! A loop belongs to the innermost function that all of its instructions have in common, as the line tables tell. What stands in the
//! standard library belongs to who calls it: its loops are as long as what they are given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use rustc_demangle::demangle;
use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::Result;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// From the outermost function to the innermost: its name, and where in it the next one was inlined.
type Frames = Vec<(String, Option<u32>)>;

/// Who is taken for the owner of a loop; what is in no such crate is somebody else's code.
const OURS: [&str; 3] = ["coheap", "coheap_alloc", "coheap_wasm"];

/// How many loops one instance of each function has at most, by the function's name.
///
/// # Errors
/// When it is no module, or has no line tables: link it with debug information.
pub fn loops(wasm: &[u8]) -> Result<BTreeMap<String, usize>> {
    let sections = Sections::of(wasm)?;
    let dwarf = Dwarf::load(|section: SectionId| -> Result<Bytes<'_>> { Ok(sections.debug(section.name())) })?;
    let lines = Context::from_dwarf(dwarf).map_err(|error| format!("its debug information: {error}"))?;
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for body in &sections.bodies {
        // Two instances in one function differ in where they were inlined.
        let mut instances: BTreeMap<Frames, usize> = BTreeMap::new();
        for span in spans(body)? {
            let owner = owner(&lines, sections.code, &span)?;
            *instances.entry(owner).or_default() += 1;
        }
        for (frames, count) in instances {
            let (name, _) = frames.last().ok_or("a loop without a name: no line tables")?;
            let most = found.entry(name.clone()).or_default();
            *most = count.max(*most);
        }
    }
    Ok(found)
}

/// What is needed of a module.
struct Sections<'a> {
    /// Where the code section's contents begin: addresses of line tables count from there.
    code: usize,
    bodies: Vec<FunctionBody<'a>>,
    custom: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Sections<'a> {
    fn of(wasm: &'a [u8]) -> Result<Sections<'a>> {
        let mut sections = Sections { code: 0, bodies: Vec::new(), custom: BTreeMap::new() };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(|error| format!("not a valid module: {error}"))? {
                Payload::CodeSectionStart { range, .. } => sections.code = range.start,
                Payload::CodeSectionEntry(body) => sections.bodies.push(body),
                Payload::CustomSection(custom) => {
                    sections.custom.insert(custom.name(), custom.data());
                }
                _ => {}
            }
        }
        Ok(sections)
    }

    fn debug(&self, name: &str) -> Bytes<'a> {
        EndianSlice::new(self.custom.get(name).copied().unwrap_or_default(), LittleEndian)
    }
}

/// Of each loop, where its instructions are; those of the loops in it are among them.
fn spans(body: &FunctionBody<'_>) -> Result<Vec<Vec<usize>>> {
    let mut done = Vec::new();
    let mut open: Vec<Option<Vec<usize>>> = Vec::new();
    let operators = body.get_operators_reader().map_err(|error| error.to_string())?;
    for operator in operators.into_iter_with_offsets() {
        let (operator, offset) = operator.map_err(|error| error.to_string())?;
        open.iter_mut().flatten().for_each(|span| span.push(offset));
        match operator {
            Operator::Loop { .. } => open.push(Some(Vec::new())),
            Operator::Block { .. } | Operator::If { .. } => open.push(None),
            Operator::End => done.extend(open.pop().flatten()),
            _ => {}
        }
    }
    Ok(done)
}

/// The functions that all of these instructions have in common.
fn owner(lines: &Context<Bytes<'_>>, code: usize, span: &[usize]) -> Result<Frames> {
    let mut common: Option<Frames> = None;
    for offset in span {
        let frames = frames(lines, (offset - code) as u64)?;
        if frames.is_empty() {
            continue;
        }
        common = Some(match common {
            None => frames,
            Some(before) => shared(&before, &frames),
        });
    }
    let mut common = common.unwrap_or_default();
    // Where the loop is in its owner says nothing of who that is.
    while common.len() > 1 && common.last().is_some_and(|(name, _)| !is_ours(name)) {
        common.pop();
    }
    if let Some((name, place)) = common.last_mut() {
        *name = name.trim_end_matches("::{{closure}}").to_owned();
        *place = None;
    }
    Ok(common)
}

/// What two have in common; of the last of them, whatever the place.
fn shared(one: &Frames, two: &Frames) -> Frames {
    let mut common = Frames::new();
    for (a, b) in one.iter().zip(two) {
        if a.0 != b.0 {
            break;
        }
        common.push(a.clone());
        if a.1 != b.1 {
            break;
        }
    }
    common
}

fn frames(lines: &Context<Bytes<'_>>, address: u64) -> Result<Frames> {
    let broken = |error| format!("its line tables: {error}");
    let mut found = Frames::new();
    let mut frames = lines.find_frames(address).skip_all_loads().map_err(broken)?;
    while let Some(frame) = frames.next().map_err(broken)? {
        let line = frame.location.and_then(|location| location.line);
        let name = match &frame.function {
            Some(function) => plain(&function.raw_name().map_err(broken)?),
            None => continue,
        };
        found.push((name, line));
    }
    found.reverse();
    Ok(found)
}

/// The name without its hash, and without a type's path before a trait's method.
fn plain(raw: &str) -> String {
    let name: Cow<'_, str> = raw.into();
    format!("{:#}", demangle(&name))
}

fn is_ours(name: &str) -> bool {
    let path = name.trim_start_matches(['<', '&']);
    OURS.contains(&path.split("::").next().unwrap_or_default()) || path.starts_with("coheap_")
}
