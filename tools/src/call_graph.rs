//! The proof that `heap.wasm` never leaves its stacks: who calls whom, and how deep that gets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write as _};

use walrus::ir::{self, Visitor, dfs_in_order};
use walrus::{ExportItem, FunctionId, FunctionKind, LocalFunction, Module};

use crate::frame::frame;
use crate::{Result, function_name, parse, stack_pointer};

/// How deep each exported function may go, in bytes of shadow stack.
pub struct Limits {
    /// Of every export: the stack in an agent's body page.
    pub stack: i64,
    /// Of exports that run on less, by name. Each of them must be exported.
    pub by_export: Vec<(String, i64)>,
}

impl Default for Limits {
    /// The stacks of the heap's layout: claiming a slot has none yet, and attaching runs on the
    /// bootstrap stack inside the slot.
    fn default() -> Self {
        let by_export = vec![("coheap_claim".into(), 0), ("coheap_attach".into(), 640)];
        Limits { stack: 32 * 1024, by_export }
    }
}

/// What one function's instructions say about control.
#[derive(Default)]
pub struct Calls {
    /// The functions it calls by name.
    pub callees: BTreeSet<FunctionId>,
    /// Calls whose callee is only known as it runs.
    pub unknown_callees: usize,
    /// `memory.atomic.wait32` and `memory.atomic.wait64`.
    pub waits: usize,
    /// Loops, the nested ones included.
    pub loops: usize,
}

impl Calls {
    /// Counts in one walk over `function`.
    pub fn of(function: &LocalFunction) -> Calls {
        let mut calls = Calls::default();
        dfs_in_order(&mut calls, function, function.entry_block());
        calls
    }
}

impl Visitor<'_> for Calls {
    fn visit_call(&mut self, call: &ir::Call) {
        self.callees.insert(call.func);
    }
    fn visit_return_call(&mut self, call: &ir::ReturnCall) {
        self.callees.insert(call.func);
    }
    fn visit_call_indirect(&mut self, _: &ir::CallIndirect) {
        self.unknown_callees += 1;
    }
    fn visit_return_call_indirect(&mut self, _: &ir::ReturnCallIndirect) {
        self.unknown_callees += 1;
    }
    fn visit_call_ref(&mut self, _: &ir::CallRef) {
        self.unknown_callees += 1;
    }
    fn visit_return_call_ref(&mut self, _: &ir::ReturnCallRef) {
        self.unknown_callees += 1;
    }
    fn visit_atomic_wait(&mut self, _: &ir::AtomicWait) {
        self.waits += 1;
    }
    fn visit_loop(&mut self, _: &ir::Loop) {
        self.loops += 1;
    }
}

/// Every function that a call of one of `roots` may enter by name, the roots included.
pub fn reachable(module: &Module, roots: &[FunctionId]) -> BTreeSet<FunctionId> {
    let mut found = BTreeSet::new();
    let mut open = roots.to_vec();
    while let Some(function) = open.pop() {
        if found.insert(function)
            && let FunctionKind::Local(local) = &module.funcs.get(function).kind
        {
            open.extend(Calls::of(local).callees);
        }
    }
    found
}

/// What the walk found; prints as a table.
pub struct Report {
    /// By export: how deep it goes, and along which functions.
    pub exports: BTreeMap<String, Path>,
    /// Every function that an export reaches.
    pub functions: Vec<FunctionFigures>,
    /// What must not be; empty when the module passes.
    pub violations: Vec<String>,
}

/// The deepest way through the call graph from one function.
#[derive(Clone, Default)]
pub struct Path {
    /// The sum of the frames.
    pub bytes: i64,
    /// The names of the functions, the caller first, down to the last that has a frame.
    pub functions: Vec<String>,
}

/// One function by itself.
pub struct FunctionFigures {
    /// Its name.
    pub name: String,
    /// Bytes of shadow stack that a call takes, callees not counted.
    pub frame: i64,
    /// Loops, the nested ones included.
    pub loops: usize,
}

/// Walks the call graph of a post-linked module.
///
/// # Errors
/// When `wasm` is not a module, or has no stack pointer. What the walk objects to is in the report.
pub fn call_graph(wasm: &[u8], limits: &Limits) -> Result<Report> {
    let module = parse(wasm)?;
    let mut walk = Walk { nodes: HashMap::new(), deepest: HashMap::new(), open: Vec::new(), violations: Vec::new() };
    let exported: BTreeMap<String, FunctionId> = module
        .exports
        .iter()
        .filter_map(|export| match export.item {
            ExportItem::Function(function) => Some((export.name.clone(), function)),
            _ => None,
        })
        .collect();
    let roots: Vec<FunctionId> = exported.values().copied().chain(module.start).collect();
    let pointer = stack_pointer(&module)?;
    let entered = reachable(&module, &roots);
    for function in module.funcs.iter() {
        let id = function.id();
        let name = function_name(&module, id);
        let mut node = Node { name, frame: 0, calls: Calls::default() };
        if let FunctionKind::Local(local) = &function.kind {
            node.calls = Calls::of(local);
            if node.calls.waits > 0 {
                walk.violations.push(format!("{} has a wait instruction", node.name));
            }
            if entered.contains(&id) && node.calls.unknown_callees > 0 {
                walk.violations.push(format!("{} calls through a table", node.name));
            }
            match frame(local, pointer) {
                Ok(frame) => node.frame = frame.bytes,
                Err(fault) => walk.violations.push(format!("{} {fault}", node.name)),
            }
        }
        walk.nodes.insert(id, node);
    }

    let mut exports = BTreeMap::new();
    for (name, function) in &exported {
        let path = walk.deepest(*function);
        let own = limits.by_export.iter().find(|(limited, _)| limited == name);
        let limit = own.map_or(limits.stack, |(_, limit)| *limit);
        if path.bytes > limit {
            walk.violations.push(format!(
                "{name} takes {} bytes of stack and has {limit}: {}",
                path.bytes,
                path.functions.join(" > ")
            ));
        }
        exports.insert(name.clone(), path);
    }
    for (name, _) in &limits.by_export {
        if !exported.contains_key(name) {
            walk.violations.push(format!("{name} is not exported"));
        }
    }
    let mut functions: Vec<FunctionFigures> = entered
        .iter()
        .map(|function| &walk.nodes[function])
        .map(|node| FunctionFigures { name: node.name.clone(), frame: node.frame, loops: node.calls.loops })
        .collect();
    functions.sort_by(|a, b| b.frame.cmp(&a.frame).then_with(|| a.name.cmp(&b.name)));
    Ok(Report { exports, functions, violations: walk.violations })
}

struct Node {
    name: String,
    frame: i64,
    calls: Calls,
}

struct Walk {
    nodes: HashMap<FunctionId, Node>,
    deepest: HashMap<FunctionId, Path>,
    /// The calls from an export to the function at hand.
    open: Vec<FunctionId>,
    violations: Vec<String>,
}

impl Walk {
    fn deepest(&mut self, function: FunctionId) -> Path {
        if let Some(path) = self.deepest.get(&function) {
            return path.clone();
        }
        if let Some(start) = self.open.iter().position(|open| *open == function) {
            let cycle = self.open[start..].iter().chain([&function]);
            let names: Vec<&str> = cycle.map(|id| self.nodes[id].name.as_str()).collect();
            self.violations.push(format!("recursion: {}", names.join(" > ")));
            return Path::default();
        }
        self.open.push(function);
        let callees: Vec<FunctionId> = self.nodes[&function].calls.callees.iter().copied().collect();
        let mut below = Path::default();
        for callee in callees {
            let path = self.deepest(callee);
            if path.bytes > below.bytes {
                below = path;
            }
        }
        self.open.pop();
        let node = &self.nodes[&function];
        let mut path = Path { bytes: node.frame + below.bytes, functions: Vec::new() };
        if path.bytes > 0 {
            path.functions = [vec![node.name.clone()], below.functions].concat();
        }
        self.deepest.insert(function, path.clone());
        path
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:>8}  export, and its deepest path", "bytes")?;
        for (name, path) in &self.exports {
            writeln!(out, "{:>8}  {name}", path.bytes)?;
            for function in path.functions.iter().skip(1) {
                writeln!(out, "{:>12}{function}", "")?;
            }
        }
        writeln!(out, "\n{:>8}  {:>5}  function", "frame", "loops")?;
        for function in self.functions.iter().filter(|figures| figures.frame > 0 || figures.loops > 0) {
            writeln!(out, "{:>8}  {:>5}  {}", function.frame, function.loops, function.name)?;
        }
        Ok(())
    }
}

impl Report {
    /// The same as one JSON object: `exports`, `functions`, `violations`.
    pub fn json(&self) -> String {
        let exports = self.exports.iter().map(|(name, path)| {
            let functions = array(path.functions.iter().map(|name| quoted(name)));
            format!(r#"{{"name":{},"bytes":{},"path":{functions}}}"#, quoted(name), path.bytes)
        });
        let functions = self.functions.iter().map(|figures| {
            let FunctionFigures { name, frame, loops } = figures;
            format!(r#"{{"name":{},"frame":{frame},"loops":{loops}}}"#, quoted(name))
        });
        let violations = self.violations.iter().map(|violation| quoted(violation));
        format!(
            r#"{{"exports":{},"functions":{},"violations":{}}}"#,
            array(exports),
            array(functions),
            array(violations)
        )
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\u{1f}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}
