//! Numbers that look random and are the same in every run.

/// Mixes two numbers into one; the finalizer of SplitMix64.
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(b)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Mixes the bytes into `seed`.
pub fn mix_bytes(seed: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(seed, |seed, byte| mix(seed, u64::from(*byte)))
}
