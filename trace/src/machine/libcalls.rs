//! Cranelift's own functions that copy memory.
//!
//! They are loads and stores without a region, of which nobody outside learns.

use super::state::Machine;
use crate::trace::End;
use cranelift_codegen::ir::{Function, LibCall, MemFlagsData};

/// Bytes that are copied at one time.
const MAX_BYTES: u128 = 4096;

impl Machine<'_> {
    /// Calls a function that copies, sets or compares memory, and returns its result.
    ///
    /// # Errors
    ///
    /// Bytes that are not there, or another function.
    pub(super) fn libcall(&mut self, libcall: LibCall, args: &[u128]) -> Result<Vec<u128>, End> {
        let [first, second, count] = *args else {
            return Err(End::Unsupported(libcall.to_string()));
        };
        if count > MAX_BYTES {
            return Err(End::Undefined(format!("{count} bytes at one time")));
        }
        let (to, from, count) = (first as u64, second as u64, count as u64);
        match libcall {
            LibCall::Memcpy if to.abs_diff(from) < count => {
                return Err(End::Undefined("a copy to where it comes from".into()));
            }
            LibCall::Memcpy | LibCall::Memmove => {
                let bytes = self.bytes(from, count)?;
                self.put_bytes(to, &bytes)?;
            }
            LibCall::Memset => self.put_bytes(to, &vec![second as u8; count as usize])?,
            LibCall::Memcmp => {
                let order = self.bytes(to, count)?.cmp(&self.bytes(from, count)?);
                return Ok(vec![order as i32 as u32 as u128]);
            }
            other => return Err(End::Unsupported(other.to_string())),
        }
        Ok(vec![first])
    }

    fn bytes(&mut self, from: u64, count: u64) -> Result<Vec<u8>, End> {
        let flags = MemFlagsData::new().with_notrap();
        let nothing = Function::new();
        let bytes = (0..count).map(|at| {
            let byte = self.load(from.wrapping_add(at), 1, &nothing, flags);
            byte.map(|byte| byte as u8)
        });
        bytes.collect()
    }

    fn put_bytes(&mut self, to: u64, bytes: &[u8]) -> Result<(), End> {
        let flags = MemFlagsData::new().with_notrap();
        let nothing = Function::new();
        for (at, byte) in (0..).zip(bytes) {
            self.store(to.wrapping_add(at), 1, (*byte).into(), &nothing, flags)?;
        }
        Ok(())
    }
}
