//! Calls, and how they come back.

use super::names::{name_of, position};
use super::state::{Activation, Arguments, Callee, Machine, Next, Outcome};
use crate::layout;
use crate::memory::Reach;
use crate::trace::End;
use crate::world::Reply;
use cranelift_codegen::ir::{
    ArgumentPurpose, Endianness, ExceptionTableItem, ExternalName, Inst, InstructionData,
};
use cranelift_memopt::CalleeName;

impl<'a> Machine<'a> {
    /// A call of any kind.
    pub(super) fn call_inst(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<Next, End> {
        let func = here.func;
        let dfg = &func.dfg;
        let mut args = here.all(dfg.inst_args(inst));
        let callee = match dfg.insts[inst] {
            InstructionData::Call { func_ref, .. } | InstructionData::TryCall { func_ref, .. } => {
                if let ExternalName::LibCall(libcall) = dfg.ext_funcs[func_ref].name {
                    let values = self.libcall(libcall, &args)?;
                    return self.after_call(here, inst, true, Outcome::Return(values));
                }
                self.callee(name_of(func, func_ref)?)
            }
            _ => {
                let address = args.remove(0) as u64;
                let name = self.function_at(address).ok_or_else(|| {
                    End::Undefined(format!("a call of {address:#x}, where no function is"))
                })?;
                self.callee(name)
            }
        };
        let args = self.by_value(here, inst, args)?;
        if dfg.insts[inst].opcode().is_return() {
            return Ok(Next::TailCall(callee, args));
        }
        self.collect(func, inst)?;
        let named = self.stop_at(func, inst);
        let is_internal = matches!(callee, Callee::Function(_));
        let outcome = self.call(callee, args)?;
        self.go_on(named);
        self.after_call(here, inst, is_internal, outcome)
    }

    /// Reads the records that the call passes by value.
    fn by_value(
        &mut self,
        here: &Activation<'a>,
        inst: Inst,
        values: Vec<u128>,
    ) -> Result<Arguments, End> {
        let dfg = &here.func.dfg;
        let signature = dfg.call_signature(inst);
        let params = signature.map_or(&[][..], |sig| &dfg.signatures[sig].params);
        let mut records = Vec::new();
        for (at, param) in params.iter().enumerate() {
            let ArgumentPurpose::StructArgument(size) = param.purpose else {
                continue;
            };
            let address = values.get(at).map_or(0, |value| *value as u64);
            let bytes = (0..u64::from(size)).map(|byte| {
                let address = address.wrapping_add(byte);
                match self.memory.reach(address, 1) {
                    Reach::Plain => Ok(self.memory.read(address, 1, Endianness::Little) as u8),
                    Reach::Asynchronous | Reach::Outside => {
                        let text = format!("an argument at {address:#x}, where nothing is");
                        Err(End::Undefined(text))
                    }
                }
            });
            records.push((at, bytes.collect::<Result<Vec<u8>, End>>()?));
        }
        Ok(Arguments { values, records })
    }

    pub(super) fn after_call(
        &mut self,
        here: &mut Activation<'a>,
        inst: Inst,
        is_internal: bool,
        outcome: Outcome,
    ) -> Result<Next, End> {
        let dfg = &here.func.dfg;
        let table = dfg.insts[inst].exception_table();
        match (outcome, table) {
            (Outcome::Return(values), Some(table)) => {
                let normal = *dfg.exception_tables[table].normal_return();
                Ok(here.destination(&normal, &values))
            }
            (Outcome::Return(values), None) => {
                for (result, value) in dfg.inst_results(inst).iter().zip(values) {
                    here.set(*result, value);
                }
                Ok(Next::Step)
            }
            (Outcome::Throw(tag, payload), table) => {
                let handler = table.and_then(|table| {
                    dfg.exception_tables[table]
                        .items()
                        .find_map(|item| match item {
                            ExceptionTableItem::Tag(caught, call) => {
                                (caught.as_u32() == tag).then_some(call)
                            }
                            ExceptionTableItem::Default(call) => Some(call),
                            ExceptionTableItem::Context(_) => None,
                        })
                });
                let Some(handler) = handler else {
                    return Ok(Next::Leave(Outcome::Throw(tag, payload)));
                };
                if is_internal && self.loses_regions {
                    // A region that does not survive holds anything from here.
                    return Err(End::Cut);
                }
                Ok(here.destination(&handler, &[payload.into(), tag.into()]))
            }
        }
    }

    /// The host gets records as their words, which is all that it sees of them.
    pub(super) fn host(&mut self, name: &CalleeName, args: &Arguments) -> Result<Outcome, End> {
        let mut values = args.values.clone();
        for (at, record) in &args.records {
            values[*at] = 0;
            let words = record.chunks(8).map(|bytes| {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                u128::from(u64::from_le_bytes(word))
            });
            values.extend(words);
        }
        match self.world.host(&mut self.memory, name, &values) {
            Reply::Return(value) => Ok(Outcome::Return(vec![value.into()])),
            Reply::Throw(tag, payload) => Ok(Outcome::Throw(tag, payload)),
            Reply::Trap(code) => Err(self.trap(code)),
        }
    }

    pub(super) fn callee(&self, name: CalleeName) -> Callee {
        match position(self.functions, &name) {
            Some(index) => Callee::Function(index),
            None => Callee::Host(name),
        }
    }

    /// The name of the function at `address`.
    pub(super) fn function_at(&self, address: u64) -> Option<CalleeName> {
        let named = || {
            let names = self.functions.iter().flat_map(|func| {
                let refs = func.dfg.ext_funcs.keys();
                refs.filter_map(|func_ref| CalleeName::of_ref(func, func_ref))
            });
            let names = names.filter(|name| matches!(name, CalleeName::Named(_)));
            let mut names = names.chain(self.hosts.iter().cloned());
            names.find(|name| layout::function_address(name) == address)
        };
        layout::function_at(address).or_else(named)
    }
}
