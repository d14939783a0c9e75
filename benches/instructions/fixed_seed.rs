//! The same keys for every hash map: the standard library takes them from this function instead of the kernel.

/// Replaces the function of the C library.
///
/// # Safety
/// `buffer` has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    unsafe { buffer.write_bytes(7, length) };
    length.cast_signed()
}
