//! Cranelift's own functions on memory.
//!
//! CLIF says of them that they are the functions of these names in C, and so this table is what C
//! says of those: `memcpy` and `memmove` copy the bytes behind their second argument to those
//! behind the first, `memset` writes the low byte of the second argument there, as many times as
//! the third one says. All return the first. `memcmp` compares two ranges. None of them keeps a
//! pointer, or calls anybody. Copying between ranges that overlap is undefined for `memcpy`.

use cranelift_codegen::ir::{
    ArgumentPurpose, ExternalName, Function, Inst, InstructionData, LibCall, Opcode, Value,
};
use smallvec::SmallVec;

/// One call of such a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What it does.
    pub function: LibCall,
    /// The arguments, as they stand in the call.
    pub args: [Value; 3],
}

impl Transfer {
    /// What the call `inst` does, if it is one, with the signature that C has for it.
    pub fn of(func: &Function, inst: Inst) -> Option<Self> {
        let dfg = &func.dfg;
        let InstructionData::Call {
            opcode: Opcode::Call,
            func_ref,
            ..
        } = dfg.insts[inst]
        else {
            return None;
        };
        let ExternalName::LibCall(function) = dfg.ext_funcs[func_ref].name else {
            return None;
        };
        let args = <[Value; 3]>::try_from(dfg.inst_args(inst)).ok()?;
        let [first, second, third] = args.map(|arg| dfg.value_type(arg));
        let second_fits = match function {
            LibCall::Memcpy | LibCall::Memmove | LibCall::Memcmp => second == first,
            LibCall::Memset => second.is_int(),
            _ => return None,
        };
        let result_fits = match dfg.inst_results(inst) {
            [] => true,
            [result] => function == LibCall::Memcmp || dfg.value_type(*result) == first,
            _ => false,
        };
        let signature = &dfg.signatures[dfg.ext_funcs[func_ref].signature];
        let mut params = signature.params.iter();
        let by_value = params.all(|param| param.purpose == ArgumentPurpose::Normal);
        let fits = first.is_int() && third == first && second_fits && result_fits && by_value;
        // A collector may run where there is a stack map.
        let is_bare = dfg.user_stack_map_entries(inst).is_none();
        (fits && is_bare).then_some(Self { function, args })
    }

    /// Does it write behind its first argument?
    pub fn writes(&self) -> bool {
        self.function != LibCall::Memcmp
    }

    /// The pointers that it reads behind.
    pub fn read(&self) -> SmallVec<[Value; 2]> {
        let [first, second, _] = self.args;
        match self.function {
            LibCall::Memcmp => SmallVec::from_slice(&[first, second]),
            LibCall::Memset => SmallVec::new(),
            _ => SmallVec::from_slice(&[second]),
        }
    }

    /// The arguments that are no pointers.
    pub fn numbers(&self) -> &[Value] {
        match self.function {
            LibCall::Memset => &self.args[1..],
            _ => &self.args[2..],
        }
    }
}
