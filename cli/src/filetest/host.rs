//! What machine code of a test finds outside of its file.
//!
//! Cranelift calls these where a processor has no instruction, and a test may
//! call them by name. They compute what `test interpret` computes, and do not
//! depend on the libraries of the machine.

use cranelift_codegen::ir::LibCall;
use cranelift_module::default_libcall_names;

/// A function of the host by its name.
pub fn address(name: &str) -> Option<*const u8> {
    FUNCTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, function)| function.0)
}

/// The names of all functions of the host.
pub fn names() -> Vec<&'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name).collect()
}

/// The name of what Cranelift calls for `libcall`, if the host lacks it.
pub fn lacks(libcall: LibCall) -> Option<String> {
    let name = default_libcall_names()(libcall);
    address(&name).is_none().then_some(name)
}

/// A pointer to code, which threads may share.
struct Code(*const u8);

// SAFETY: it points to a function, which nobody changes.
unsafe impl Sync for Code {}

static FUNCTIONS: &[(&str, Code)] = &[
    ("ceil", Code(float::ceil as *const u8)),
    ("ceilf", Code(float::ceilf as *const u8)),
    ("floor", Code(float::floor as *const u8)),
    ("floorf", Code(float::floorf as *const u8)),
    ("trunc", Code(float::trunc as *const u8)),
    ("truncf", Code(float::truncf as *const u8)),
    ("nearbyint", Code(float::nearbyint as *const u8)),
    ("nearbyintf", Code(float::nearbyintf as *const u8)),
    ("fma", Code(float::fma as *const u8)),
    ("fmaf", Code(float::fmaf as *const u8)),
    ("memcpy", Code(memory::memcpy as *const u8)),
    ("memmove", Code(memory::memmove as *const u8)),
    ("memset", Code(memory::memset as *const u8)),
    ("memcmp", Code(memory::memcmp as *const u8)),
    #[cfg(target_arch = "x86_64")]
    ("__cranelift_x86_pshufb", Code(vector::pshufb as *const u8)),
];

mod float {
    pub extern "C" fn ceil(x: f64) -> f64 {
        x.ceil()
    }

    pub extern "C" fn ceilf(x: f32) -> f32 {
        x.ceil()
    }

    pub extern "C" fn floor(x: f64) -> f64 {
        x.floor()
    }

    pub extern "C" fn floorf(x: f32) -> f32 {
        x.floor()
    }

    pub extern "C" fn trunc(x: f64) -> f64 {
        x.trunc()
    }

    pub extern "C" fn truncf(x: f32) -> f32 {
        x.trunc()
    }

    pub extern "C" fn nearbyint(x: f64) -> f64 {
        x.round_ties_even()
    }

    pub extern "C" fn nearbyintf(x: f32) -> f32 {
        x.round_ties_even()
    }

    pub extern "C" fn fma(x: f64, y: f64, z: f64) -> f64 {
        x.mul_add(y, z)
    }

    pub extern "C" fn fmaf(x: f32, y: f32, z: f32) -> f32 {
        x.mul_add(y, z)
    }
}

/// As the C standard has them; the pointers are the test's.
mod memory {
    use std::cmp::Ordering;
    use std::{ptr, slice};

    pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: the caller promises what `memcpy` asks for.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
        to
    }

    pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: the caller promises what `memmove` asks for.
        unsafe { ptr::copy(from, to, len) };
        to
    }

    pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        // SAFETY: the caller promises what `memset` asks for.
        unsafe { ptr::write_bytes(to, byte as u8, len) };
        to
    }

    pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        if len == 0 {
            return 0;
        }
        // SAFETY: the caller promises what `memcmp` asks for.
        let (a, b) = unsafe { (slice::from_raw_parts(a, len), slice::from_raw_parts(b, len)) };
        match a.cmp(b) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use std::arch::x86_64::__m128i;

    /// `pshufb` for processors before SSSE3: the byte of `a` that each byte of
    /// `b` names, or zero where its highest bit is set.
    #[expect(
        improper_ctypes_definitions,
        reason = "vectors are in registers, as Cranelift passes them"
    )]
    pub extern "C" fn pshufb(a: __m128i, b: __m128i) -> __m128i {
        let bytes = |vector| {
            // SAFETY: both are 16 bytes, of which every value is valid.
            unsafe { std::mem::transmute::<__m128i, [u8; 16]>(vector) }
        };
        let (a, b) = (bytes(a), bytes(b));
        let select = |byte: u8| match byte & 0x80 {
            0 => a[usize::from(byte & 0xf)],
            _ => 0,
        };
        // SAFETY: as above.
        unsafe { std::mem::transmute::<[u8; 16], __m128i>(b.map(select)) }
    }
}
