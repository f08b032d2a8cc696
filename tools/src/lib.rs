//! What the build of `heap.wasm` needs after the linker: [`post_link`] makes the module safe to
//! instantiate over a memory that is already in use, and [`call_graph`] proves that its stacks fit. For the tests,
//! [`crash_points`] makes one that dies where it is told to, [`accesses`] one that says what it reads.

pub mod accesses;
pub mod arrange;
pub mod call_graph;
pub mod crash_points;
pub mod frame;
pub mod fuel;
pub mod instrument;
pub mod loops;
pub mod post_link;
pub mod program;

/// The answer of every step here; the error is a sentence for the person who runs the build.
pub type Result<T> = std::result::Result<T, String>;

/// Reads and validates a module.
///
/// # Errors
/// When `wasm` is not a valid module.
pub fn parse(wasm: &[u8]) -> Result<walrus::Module> {
    walrus::Module::from_buffer(wasm).map_err(|error| format!("not a valid module: {error:#}"))
}

/// The linker's stack pointer.
///
/// # Errors
/// When the module does not export `__stack_pointer` as a global.
pub fn stack_pointer(module: &walrus::Module) -> Result<walrus::GlobalId> {
    let exported = module.exports.iter().find(|export| export.name == "__stack_pointer");
    match exported.map(|export| &export.item) {
        Some(walrus::ExportItem::Global(pointer)) => Ok(*pointer),
        _ => Err("no exported global __stack_pointer: link with --export=__stack_pointer".into()),
    }
}

/// The name of a function, or its index in the module when names are stripped.
pub fn function_name(module: &walrus::Module, function: walrus::FunctionId) -> String {
    let exported = module.exports.get_exported_func(function).map(|export| export.name.clone());
    let name = exported.or_else(|| module.funcs.get(function).name.clone());
    name.unwrap_or_else(|| format!("function[{}]", function.index()))
}
