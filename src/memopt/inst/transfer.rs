//! Cranelift's own functions on memory: `memcpy`, `memmove`, `memset` and `memcmp`.
//!
//! A call of one of them by its libcall is no call of somebody else, but a load, a store, or
//! both, of as many bytes as it says: they keep no pointer, and show nobody what they read. What
//! they return of their own is the destination, as it was passed, or how two ranges compare.
//! That a range is no memory is undefined, as in C: the function has no trap of its own that
//! anybody could handle. That the ranges of a `memcpy` overlap is undefined too: it counts as a
//! `memmove`, whose result is one of those that such a copy may have.

use crate::ir::{
    ArgumentPurpose, ExternalName, Function, Inst, InstructionData, LibCall, Opcode, Value,
};
use crate::memopt::inst::bits::number;

/// Some bytes behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The address of the first.
    pub address: Value,
    /// How many; `None` if that is not known.
    pub bytes: Option<u32>,
}

/// What a call of one of the functions does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    function: LibCall,
    args: [Value; 3],
    bytes: Option<u32>,
}

impl Transfer {
    /// The call `inst`, if it is one of them, in the form that they have: two pointers, or one and
    /// a byte, and a number of bytes.
    ///
    /// One in another form, or with a stack map, is a call like others.
    ///
    /// Cost: constant, and a comparison for other calls.
    pub fn of(func: &Function, inst: Inst) -> Option<Self> {
        let dfg = &func.dfg;
        let InstructionData::Call {
            opcode: Opcode::Call,
            func_ref,
            args,
        } = dfg.insts[inst]
        else {
            return None;
        };
        let callee = &dfg.ext_funcs[func_ref];
        let ExternalName::LibCall(function) = callee.name else {
            return None;
        };
        let is_comparing = function == LibCall::Memcmp;
        let is_filling = function == LibCall::Memset;
        let is_copying = matches!(function, LibCall::Memcpy | LibCall::Memmove);
        let [first, second, count] = *args.as_slice(&dfg.value_lists) else {
            return None;
        };
        let args = [first, second, count].map(|arg| dfg.resolve_aliases(arg));
        let [first, second, count] = args.map(|arg| dfg.value_type(arg));
        let mut params = dfg.signatures[callee.signature].params.iter();
        let is_plain = params.all(|param| param.purpose == ArgumentPurpose::Normal);
        let has_form = first.is_int()
            && count == first
            && ((is_filling && second.is_int())
                || ((is_copying || is_comparing) && second == first));
        let returns = match *dfg.inst_results(inst) {
            [] => true,
            [result] => is_comparing || dfg.value_type(result) == first,
            _ => false,
        };
        let has_map = dfg.user_stack_map_entries(inst).is_some();
        (is_plain && has_form && returns && !has_map).then(|| Self {
            function,
            args,
            bytes: number(dfg, args[2]).and_then(|it| u32::try_from(it).ok()),
        })
    }

    /// The bytes that it writes; `None` if there are none.
    pub fn written(&self) -> Option<Range> {
        let writes = self.function != LibCall::Memcmp && self.bytes != Some(0);
        writes.then(|| self.range(0))
    }

    /// The bytes that it reads.
    pub fn read(&self) -> impl Iterator<Item = Range> + use<> {
        let (first, second) = match self.function {
            _ if self.bytes == Some(0) => (None, None),
            LibCall::Memcmp => (Some(self.range(0)), Some(self.range(1))),
            LibCall::Memset => (None, None),
            _ => (None, Some(self.range(1))),
        };
        first.into_iter().chain(second)
    }

    /// All bytes that it touches.
    pub fn touched(&self) -> impl Iterator<Item = Range> + use<> {
        self.written().into_iter().chain(self.read())
    }

    /// The pointers, also if there are no bytes behind them.
    pub fn pointers(&self) -> &[Value] {
        match self.function {
            LibCall::Memset => &self.args[..1],
            _ => &self.args[..2],
        }
    }

    /// What it is passed besides the pointers.
    pub fn others(&self) -> &[Value] {
        match self.function {
            LibCall::Memset => &self.args[1..],
            _ => &self.args[2..],
        }
    }

    /// The value of which the low byte is written everywhere; `None` if it does not fill.
    pub fn filling(&self) -> Option<Value> {
        (self.function == LibCall::Memset).then_some(self.args[1])
    }

    /// What its result is, if that is the destination.
    pub fn returned(&self) -> Option<Value> {
        (self.function != LibCall::Memcmp).then_some(self.args[0])
    }

    fn range(&self, at: usize) -> Range {
        Range {
            address: self.args[at],
            bytes: self.bytes,
        }
    }
}
