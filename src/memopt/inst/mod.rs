//! What one instruction is: its effect on memory, and its address taken apart.

pub mod address;
pub mod bits;
pub mod coercion;
pub mod effect;
pub mod insertion;
pub mod isle;
pub mod location;
pub mod transfer;
