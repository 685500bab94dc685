//! What guards against defects of Cranelift, to be deleted with them.

pub mod one_region;
