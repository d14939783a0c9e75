//! BLAS and LAPACK for FAISS, loaded on the first call.
//!
//! FAISS links a dozen of their functions, for clustering, rotations and searches of twenty queries at once. autopack
//! uses none of these, yet linked libraries would be loaded at every start of the program, including every supervisor:
//! OpenBLAS is 36 MiB, with a thread spinning for a while. So autopack defines these names and loads the libraries on
//! the first call. All arguments are addresses, as in Fortran.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

/// The library, then other libraries with the same functions.
const BLAS: [&CStr; 3] = [c"libblas.so.3", c"libopenblas.so.0", c"libblas.so"];
const LAPACK: [&CStr; 3] = [c"liblapack.so.3", c"libopenblas.so.0", c"liblapack.so"];

macro_rules! forwarded {
    ($($libraries:ident: $name:ident($($argument:ident)*);)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: *mut c_void),*) -> c_int {
            type Function = unsafe extern "C" fn($(forwarded!(@address $argument)),*) -> c_int;
            static FOUND: OnceLock<usize> = OnceLock::new();
            let name = concat!(stringify!($name), "\0");
            let address = *FOUND.get_or_init(|| find(&$libraries, name));
            // SAFETY: the function found under this name takes, by definition, this number of addresses. They are
            // passed on unchanged.
            unsafe {
                let function = std::mem::transmute::<*const c_void, Function>(address as *const c_void);
                function($($argument),*)
            }
        }
    )*};
    (@address $argument:ident) => { *mut c_void };
}

forwarded! {
    BLAS: sgemm_(transa transb m n k alpha a lda b ldb beta c ldc);
    BLAS: dgemm_(transa transb m n k alpha a lda b ldb beta c ldc);
    BLAS: ssyrk_(uplo trans n k alpha a lda beta c ldc);
    LAPACK: sgeqrf_(m n a lda tau work lwork info);
    LAPACK: sorgqr_(m n k a lda tau work lwork info);
    LAPACK: sgetrf_(m n a lda ipiv info);
    LAPACK: dgetrf_(m n a lda ipiv info);
    LAPACK: sgetri_(n a lda ipiv work lwork info);
    LAPACK: dgetri_(n a lda ipiv work lwork info);
    LAPACK: dsyev_(jobz uplo n a lda w work lwork info);
    LAPACK: sgesvd_(jobu jobvt m n a lda s u ldu vt ldvt work lwork info);
    LAPACK: dgesvd_(jobu jobvt m n a lda s u ldu vt ldvt work lwork info);
    LAPACK: sgelsd_(m n nrhs a lda b ldb s rcond rank work lwork iwork info);
}

/// Returns the address of a function. FAISS cannot continue without the function, and C++ offers no way to report the
/// error.
fn find(libraries: &[&CStr], name: &'static str) -> usize {
    for library in libraries {
        // SAFETY: both are C strings; the libraries' initializers are as safe as at the start of the program. A handle
        // is never closed.
        let found = unsafe {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            match handle.is_null() {
                true => continue,
                false => libc::dlsym(handle, name.as_ptr().cast()),
            }
        };
        if !found.is_null() {
            return found as usize;
        }
    }
    let name = name.trim_end_matches('\0');
    eprintln!(
        "error: FAISS needs {name}, but no installed BLAS or LAPACK has it; install libopenblas0, or set use_qdrant"
    );
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_loaded(library: &str) -> bool {
        std::fs::read_to_string("/proc/self/maps").unwrap().contains(library)
    }

    #[test]
    fn library_is_loaded_on_the_first_call() {
        assert!(!is_loaded("libblas") && !is_loaded("libopenblas") && !is_loaded("liblapack"));
        // Column by column: [1 3; 2 4] * [5 7; 6 8] = [23 31; 34 46].
        let (mut a, mut b, mut c) = ([1f32, 2.0, 3.0, 4.0], [5f32, 6.0, 7.0, 8.0], [0f32; 4]);
        let (mut no, mut two, mut one, mut zero) = (b'N', 2 as c_int, 1f32, 0f32);
        fn at<T>(value: &mut T) -> *mut c_void {
            std::ptr::from_mut(value).cast()
        }
        let (n, two) = (at(&mut no), at(&mut two));
        let (one, zero) = (at(&mut one), at(&mut zero));
        let (a, b, product) = (at(&mut a), at(&mut b), at(&mut c));
        // SAFETY: matrices of two by two, and everything outlives the call.
        unsafe { sgemm_(n, n, two, two, two, one, a, two, b, two, zero, product, two) };
        assert_eq!(c, [23.0, 34.0, 31.0, 46.0]);
        assert!(is_loaded("blas"));
    }
}
