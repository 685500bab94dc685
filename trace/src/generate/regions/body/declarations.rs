//! What a function declares before it has instructions.

use super::super::super::module::{import, signature};
use super::{Body, HOST_FUNCTIONS, Home, Param, Slot};
use crate::layout::{self, HOMES};
use cranelift_codegen::ir::{
    AliasRegionData, GlobalValueData, MemFlagsData, StackSlotData, StackSlotKey, StackSlotKind,
    Type, UserExternalName, types,
};
use std::borrow::Cow;

impl Body<'_> {
    pub(super) fn declare(&mut self) {
        for id in 1..=layout::READ_ONLY {
            self.func.dfg.alias_regions.insert(AliasRegionData {
                user_id: id,
                description: Cow::Borrowed("region"),
            });
        }
        self.sig = self.func.import_signature(signature());
        for index in 0..self.plan.functions as u32 {
            self.import(0, index);
        }
        for index in 0..HOST_FUNCTIONS {
            self.import(layout::HOST, index);
        }
        for _ in 0..self.rng.usize(..5) {
            self.slot();
        }
        if self.plan.rare.dynamic {
            self.declare_dynamic_slot();
        }
        if self.plan.rare.records {
            self.declare_taker();
        }
        if let Some(home) = self.plan.limits[self.index] {
            self.stack_limit(home);
        }
        self.blocks = (0..self.graph.exits.len())
            .map(|_| self.func.dfg.make_block())
            .collect();
        self.params = vec![Vec::new(); self.blocks.len()];
        for at in self.graph.order.clone() {
            self.func.layout.append_block(self.blocks[at]);
            if at > 0 {
                self.block_params(at);
            }
        }
    }

    pub(super) fn import(&mut self, namespace: u32, index: u32) {
        let name = UserExternalName { namespace, index };
        let callee = import(&mut self.func, self.sig, name);
        self.callees.push(callee);
    }

    pub(super) fn slot(&mut self) {
        let size = 8 * self.rng.u32(1..5);
        let mut data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        if self.rng.u8(..25) == 0 {
            data.key = Some(StackSlotKey::new(7));
        }
        let public = data.key.is_some();
        let slot = self.func.create_sized_stack_slot(data);
        let home = match self.rng.u8(..if self.plan.discreet { 2 } else { 4 }) {
            0 if self.plan.discreet && !self.plan.forgotten.is_empty() => {
                let at = self.rng.usize(..self.plan.forgotten.len());
                Home::Shared(self.plan.forgotten[at])
            }
            0 | 1 if !public => Home::Secret(self.slots.len()),
            2 => Home::Shared(1),
            _ if self.style.tagged => Home::Shared(2),
            _ => Home::Shared(0),
        };
        let mapped = self.mapped_words(size);
        self.slots.push(Slot {
            slot,
            size: size.into(),
            home,
            mapped,
            // What the outside can name has to keep to one region.
            tagged: matches!(home, Home::Shared(_)) && self.rng.u8(..12) == 0,
        });
    }

    /// The words of a slot that hold references: mostly none.
    fn mapped_words(&mut self, size: u32) -> Vec<(u32, Type)> {
        if self.rng.u8(..6) != 0 {
            return Vec::new();
        }
        let words = (0..size / 8).map(|word| 8 * word);
        let mut words: Vec<u32> = words.filter(|_| self.rng.u8(..3) != 0).collect();
        if words.is_empty() {
            words.push(0);
        }
        let ty = [types::I64, types::I64, types::I32][self.rng.usize(..3)];
        words.into_iter().map(|word| (word, ty)).collect()
    }

    pub(super) fn stack_limit(&mut self, home: usize) {
        let vmctx = self.func.create_global_value(GlobalValueData::VMContext);
        let region = (home > 0).then(|| self.region(home as u32)).flatten();
        let flags = MemFlagsData::trusted().with_alias_region(region);
        let flags = self.func.dfg.mem_flags.insert(flags);
        let limit = flags.map(|flags| GlobalValueData::Load {
            base: vmctx,
            offset: (layout::home(home) as i32).into(),
            global_type: types::I64,
            flags,
        });
        if let Ok(limit) = limit {
            self.func.stack_limit = Some(self.func.create_global_value(limit));
        }
    }

    pub(super) fn block_params(&mut self, at: usize) {
        let mut params = Vec::new();
        if self.graph.is_header[at] {
            params.push(Param::Tick);
        }
        for _ in 0..self.rng.usize(..4) {
            params.push(match self.rng.u8(..5) {
                0 | 1 => Param::Data,
                // A slot's address goes nowhere by a parameter.
                _ if self.plan.discreet => Param::Data,
                2 | 3 if !self.slots.is_empty() => {
                    Param::Pointer(self.slots[self.rng.usize(..self.slots.len())].home)
                }
                _ => Param::Pointer(Home::Shared(self.some_home())),
            });
        }
        for _ in &params {
            self.func
                .dfg
                .append_block_param(self.blocks[at], types::I64);
        }
        self.params[at] = params;
    }

    /// A home that this function may access.
    pub(super) fn some_home(&mut self) -> usize {
        self.rng.usize(usize::from(self.style.tagged)..HOMES)
    }

    pub(super) fn region(&self, id: u32) -> Option<cranelift_codegen::ir::AliasRegion> {
        self.func.dfg.alias_regions.get(id)
    }
}
