//! `test interpret`: calls functions in Cranelift's interpreter.
//!
//! It knows no `try_call`, and it traps on an access with a negative offset.

use crate::filetest::execute::Machine;
use crate::guard;
use anyhow::{Result, bail};
use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir::{Function, LibCall};
use cranelift_interpreter::environment::FunctionStore;
use cranelift_interpreter::interpreter::{Interpreter, InterpreterState, LibCallValues};
use cranelift_interpreter::step::{ControlFlow, CraneliftTrap};

/// After so many instructions a function counts as endless. Filetests run for
/// hundreds; what is given up is a test of a very long loop.
const FUEL: u64 = 1 << 26;

/// The functions of a file, ready to be interpreted.
pub struct Interpreted<'f> {
    functions: &'f [Function],
    store: FunctionStore<'f>,
}

impl<'f> Interpreted<'f> {
    /// Makes `functions` known to each other by name.
    pub fn new(functions: &'f [Function]) -> Self {
        let mut store = FunctionStore::default();
        for func in functions {
            store.add(func.name.to_string(), func);
        }
        Self { functions, store }
    }
}

impl Machine for Interpreted<'_> {
    fn call(&self, index: usize, arguments: &[DataValue]) -> Result<Vec<DataValue>> {
        // A state of its own for each call, so that calls do not see what
        // others left in memory.
        let state = InterpreterState::default()
            .with_function_store(self.store.clone())
            .with_libcall_handler(libcall);
        let name = self.functions[index].name.to_string();
        guard::catch(|| {
            let mut interpreter = Interpreter::new(state).with_fuel(Some(FUEL));
            match interpreter.call_by_name(&name, arguments)? {
                ControlFlow::Return(values) => Ok(values.to_vec()),
                ControlFlow::Trap(trap) => bail!("{name} trapped: {trap}"),
                other => bail!("{name} ended with {other:?}"),
            }
        })
    }
}

/// The library functions that the lowering of rounding may call.
fn libcall(call: LibCall, arguments: LibCallValues) -> Result<LibCallValues, CraneliftTrap> {
    use DataValue::{F32, F64};
    let rounded = match (call, &arguments[..]) {
        (LibCall::CeilF32, [F32(x)]) => F32(x.ceil()),
        (LibCall::CeilF64, [F64(x)]) => F64(x.ceil()),
        (LibCall::FloorF32, [F32(x)]) => F32(x.floor()),
        (LibCall::FloorF64, [F64(x)]) => F64(x.floor()),
        (LibCall::TruncF32, [F32(x)]) => F32(x.trunc()),
        (LibCall::TruncF64, [F64(x)]) => F64(x.trunc()),
        _ => unimplemented!("the library call {call}"),
    };
    Ok([rounded].into_iter().collect())
}
