//! Calls, and how they come back.

use super::super::outside::{Call, Header, Site, THROWN};
use super::edit::{Lowering, Place};
use crate::trace;
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, DebugTag, ExceptionTableItem, Inst, InstBuilder, InstructionData,
    MemFlagsData, Value,
};

impl Lowering<'_, '_> {
    /// The frame waits at `inst`, where its debug tags make slots visible; the site,
    /// if there is anything to see.
    pub(super) fn stop_at(&mut self, inst: Inst) -> Option<Value> {
        let site = self.site_of(inst);
        site.here.as_ref()?;
        let site = self.site(inst, site);
        self.call_out(Place::Before(inst), Call::Name, &[site]);
        Some(site)
    }

    /// What can be seen of a frame that waits at `inst`.
    pub(super) fn site_of(&self, inst: Inst) -> Site {
        let tags = self.func.debug_tags.get(inst);
        let named = tags.iter().filter_map(|tag| match tag {
            DebugTag::StackSlot(slot) => Some(slot.as_u32()),
            DebugTag::User(_) => None,
        });
        let loc = self.func.srcloc(inst);
        let is_seen = !loc.is_default() || !tags.is_empty();
        Site {
            named: named.collect(),
            here: is_seen.then(|| trace::Site {
                loc: loc.bits(),
                tags: tags.to_vec(),
            }),
            ..Site::default()
        }
    }

    pub(super) fn go_on(&mut self, site: Option<Value>, before: Inst) {
        if let Some(site) = site {
            self.call_out(Place::Before(before), Call::Forget, &[site]);
        }
    }

    /// The collector runs at a call, and visits what its stack map names.
    pub(super) fn collect(&mut self, inst: Inst) {
        let entries = self.func.dfg.user_stack_map_entries(inst).unwrap_or(&[]);
        let cells = entries.iter();
        let cells = cells.map(|e| (e.slot.as_u32(), e.offset, e.ty.bytes() as usize));
        let cells: Vec<_> = cells.collect();
        if cells.is_empty() {
            return;
        }
        let site = Site {
            cells,
            ..Site::default()
        };
        let site = self.site(inst, site);
        self.call_out(Place::Before(inst), Call::Collect, &[site]);
    }

    /// Has an indirect call go to the machine code of its callee.
    pub(super) fn resolve(&mut self, inst: Inst) {
        let callee = self.func.dfg.inst_args(inst)[0];
        let code = self.call_out(Place::Before(inst), Call::Resolve, &[callee]);
        self.func.dfg.inst_args_mut(inst)[0] = code;
    }

    pub(super) fn call(&mut self, inst: Inst) {
        self.collect(inst);
        let named = self.stop_at(inst);
        let Some(next) = self.func.layout.next_inst(inst) else {
            return;
        };
        self.go_on(named, next);
        let pending = self.header(Place::Before(next), offset_of!(Header, pending));
        let unwind = self.unwind();
        self.leave_if(pending, unwind, next);
    }

    pub(super) fn try_call(&mut self, inst: Inst) -> Result<(), String> {
        let block = self.func.layout.inst_block(inst).ok_or("no block")?;
        self.collect(inst);
        let named = self.stop_at(inst);
        let args = self.func.dfg.inst_args(inst).to_vec();
        let place = Place::Before(inst);
        let (call, table) = match self.func.dfg.insts[inst] {
            InstructionData::TryCall {
                func_ref,
                exception,
                ..
            } => (self.at(place).ins().call(func_ref, &args), exception),
            InstructionData::TryCallIndirect { exception, .. } => {
                let callee = self.call_out(place, Call::Resolve, &args[..1]);
                let signature = self.func.dfg.exception_tables[exception].signature();
                let mut cursor = self.at(place);
                let call = cursor.ins().call_indirect(signature, callee, &args[1..]);
                (call, exception)
            }
            _ => return Err("no call".into()),
        };
        self.go_on(named, inst);
        let table = self.func.dfg.exception_tables[table].clone();
        let results = self.func.dfg.inst_results(call).to_vec();
        let pending = self.header(place, offset_of!(Header, pending));
        let (normal, thrown) = (self.new_block(), self.new_block());
        self.func.layout.remove_inst(inst);
        let mut end = self.at(Place::End(block));
        end.ins().brif(pending, thrown, &[], normal, &[]);
        self.go(normal, table.normal_return(), &results);
        let items: Vec<ExceptionTableItem> = table.items().collect();
        self.dispatch(thrown, pending, &items);
        Ok(())
    }

    /// Finds the handler of what is pending.
    pub(super) fn dispatch(&mut self, thrown: Block, pending: Value, items: &[ExceptionTableItem]) {
        let unwind = self.unwind();
        let mut at = self.new_block();
        let place = Place::End(thrown);
        let code = self.number(place, THROWN);
        let is_thrown = self.at(place).ins().icmp(IntCC::Equal, pending, code);
        self.at(place).ins().brif(is_thrown, at, &[], unwind, &[]);
        let payload = self.header(Place::End(at), offset_of!(Header, payload));
        let tag = self.header(Place::End(at), offset_of!(Header, tag));
        for item in items {
            let place = Place::End(at);
            match item {
                ExceptionTableItem::Tag(caught, call) => {
                    let caught = self.number(place, caught.as_u32().into());
                    let is_it = self.at(place).ins().icmp(IntCC::Equal, tag, caught);
                    let (handler, next) = (self.new_block(), self.new_block());
                    self.at(place).ins().brif(is_it, handler, &[], next, &[]);
                    self.handle(handler, call, [payload, tag]);
                    at = next;
                }
                ExceptionTableItem::Default(call) => return self.handle(at, call, [payload, tag]),
                ExceptionTableItem::Context(_) => {}
            }
        }
        self.at(Place::End(at)).ins().jump(unwind, &[]);
    }

    /// Goes to a handler, with nothing pending any more.
    pub(super) fn handle(&mut self, block: Block, call: &BlockCall, thrown: [Value; 2]) {
        let place = Place::End(block);
        let address = self.number(place, self.surroundings.address);
        let zero = self.number(place, 0);
        let offset = offset_of!(Header, pending) as i32;
        let flags = MemFlagsData::trusted();
        self.at(place).ins().store(flags, zero, address, offset);
        self.go(block, call, &thrown);
    }

    /// Ends `block` as `call` says, with the results or the payload of a call.
    pub(super) fn go(&mut self, block: Block, call: &BlockCall, results: &[Value]) {
        let lists = &self.func.dfg.value_lists;
        let to = call.block(lists);
        let args = call.args(lists).map(|arg| match arg {
            BlockArg::Value(value) => BlockArg::Value(value),
            BlockArg::TryCallRet(at) | BlockArg::TryCallExn(at) => {
                BlockArg::Value(results[at as usize])
            }
        });
        let args: Vec<BlockArg> = args.collect();
        self.at(Place::End(block)).ins().jump(to, &args);
    }
}
