//! A layer over SQLite's unix VFS that shows every call to a hook, which may make it fail.
//!
//! It is registered as the default VFS, so the library, which names none, opens its files through it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::ffi;

/// One call into the file system.
#[derive(Debug)]
#[allow(dead_code)] // Each fault looks at some of it.
pub(crate) enum Call<'a> {
    Open { name: &'a str, create: bool },
    Close,
    Delete { name: &'a str },
    Access,
    Read,
    Write { name: &'a str, at: u64, data: &'a [u8] },
    Truncate { name: &'a str, size: u64 },
    Sync { name: &'a str },
    SyncFolder,
    Size,
    Lock,
    Unlock,
    ShmMap,
    ShmLock,
    ShmUnlock,
}

/// Sees a call before it is made; `Some`: it is not made, and fails with this code.
pub(crate) trait Hook: Send + Sync {
    fn before(&self, call: &Call<'_>) -> Option<c_int>;
}

static HOOK: Mutex<Option<Arc<dyn Hook>>> = Mutex::new(None);
static VFS: OnceLock<Registered> = OnceLock::new();

/// The layer and what it lies on.
struct Registered {
    layer: *mut ffi::sqlite3_vfs,
    unix: *mut ffi::sqlite3_vfs,
    open_folder: ffi::sqlite3_syscall_ptr,
}
// SAFETY: both are registered for the life of the process and not changed after that.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

fn vfs() -> &'static Registered {
    VFS.get_or_init(|| {
        // SAFETY: no name means the default VFS, which is the unix one: nobody has registered another.
        let unix = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!unix.is_null(), "SQLite has a default VFS");
        // SAFETY: a registered VFS stays; the struct is plain data.
        let mut layer = unsafe { ptr::read(unix) };
        layer.szOsFile += size_of::<File>() as c_int;
        layer.pNext = ptr::null_mut();
        layer.zName = c"torture".as_ptr();
        layer.xOpen = Some(open);
        layer.xDelete = Some(delete);
        layer.xAccess = Some(access);
        layer.xFullPathname = Some(full_pathname);
        // SAFETY: the unix VFS has version 3, and so these; its system calls may be replaced at any time.
        let open_folder = unsafe {
            let get = (*unix).xGetSystemCall.expect("version 3");
            let set = (*unix).xSetSystemCall.expect("version 3");
            let original = get(unix, c"openDirectory".as_ptr());
            let ours: unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int = open_folder;
            let ours = std::mem::transmute::<
                unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int,
                unsafe extern "C" fn(),
            >(ours);
            set(unix, c"openDirectory".as_ptr(), Some(ours));
            original
        };
        Registered { layer: Box::into_raw(Box::new(layer)), unix, open_folder }
    })
}

/// Puts the layer under every file that is opened from now on, with this hook.
pub(crate) fn install(hook: Arc<dyn Hook>) {
    *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    // SAFETY: the layer lives for ever.
    assert_eq!(unsafe { ffi::sqlite3_vfs_register(vfs().layer, 1) }, ffi::SQLITE_OK);
}

/// Files that are opened from now on have nothing under them but the unix VFS. Those that are open go on without hook.
pub(crate) fn remove() {
    *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = None;
    // SAFETY: the unix VFS is registered already; this makes it the default again.
    assert_eq!(unsafe { ffi::sqlite3_vfs_register(vfs().unix, 1) }, ffi::SQLITE_OK);
}

fn before(call: &Call<'_>) -> Option<c_int> {
    let hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    hook.and_then(|hook| hook.before(call))
}

/// What SQLite sees as its file; the unix VFS's own file follows it in memory.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// SQLite's name of the file, which outlives it; null for a temporary one.
    name: *const c_char,
}

/// The unix VFS's file, and its methods.
///
/// # Safety
/// `file` was opened by `open` here and is not closed.
unsafe fn under(file: *mut ffi::sqlite3_file) -> (*mut ffi::sqlite3_file, &'static ffi::sqlite3_io_methods) {
    // SAFETY: `szOsFile` made room for both; the unix VFS's methods are statics.
    unsafe {
        let real = file.cast::<u8>().add(size_of::<File>()).cast::<ffi::sqlite3_file>();
        (real, &*(*real).pMethods)
    }
}

/// # Safety
/// As `under`.
unsafe fn name<'a>(file: *mut ffi::sqlite3_file) -> &'a str {
    // SAFETY: an open file of ours; SQLite keeps the name as long as the file.
    unsafe { text((*file.cast::<File>()).name) }
}

/// The last part of a path.
///
/// # Safety
/// Null or a C string that lives for `'a`.
unsafe fn text<'a>(name: *const c_char) -> &'a str {
    if name.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    let whole = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("");
    whole.rsplit('/').next().unwrap_or(whole)
}

unsafe extern "C" fn open_folder(path: *const c_char, descriptor: *mut c_int) -> c_int {
    if let Some(code) = before(&Call::SyncFolder) {
        return code;
    }
    // SAFETY: SQLite's own function of this type was there before, and these are its arguments.
    unsafe {
        let original = std::mem::transmute::<
            unsafe extern "C" fn(),
            unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int,
        >(vfs().open_folder.expect("SQLite has one"));
        original(path, descriptor)
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments: `file` has `szOsFile` bytes, `path` is null or a C string that outlives the file.
    unsafe {
        (*file).pMethods = ptr::null();
        if let Some(code) = before(&Call::Open { name: text(path), create: flags & ffi::SQLITE_OPEN_CREATE != 0 }) {
            return code;
        }
        (*file.cast::<File>()).name = path;
        let real = file.cast::<u8>().add(size_of::<File>()).cast::<ffi::sqlite3_file>();
        let code = (*vfs().unix).xOpen.expect("a VFS opens")(vfs().unix, path, real, flags, out);
        if code == ffi::SQLITE_OK {
            (*file).pMethods = &METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite's arguments, passed on.
    unsafe {
        match before(&Call::Delete { name: text(path) }) {
            Some(code) => code,
            None => (*vfs().unix).xDelete.expect("a VFS deletes")(vfs().unix, path, sync),
        }
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, path: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    match before(&Call::Access) {
        Some(code) => code,
        // SAFETY: SQLite's arguments, passed on.
        None => unsafe { (*vfs().unix).xAccess.expect("a VFS looks")(vfs().unix, path, flags, out) },
    }
}

unsafe extern "C" fn full_pathname(_: *mut ffi::sqlite3_vfs, path: *const c_char, n: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite's arguments, passed on.
    unsafe { (*vfs().unix).xFullPathname.expect("a VFS has paths")(vfs().unix, path, n, out) }
}

/// A method that asks the hook and calls the unix VFS's method of the same name.
macro_rules! method {
    ($name:ident, $method:ident, $call:expr, ($($argument:ident: $type:ty),*)) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($argument: $type),*) -> c_int {
            #[allow(clippy::redundant_closure_call)]
            // SAFETY: SQLite calls the methods of an open file, with arguments that are right for them.
            unsafe {
                if let Some(code) = before(&$call(file, $($argument),*)) {
                    return code;
                }
                let (real, methods) = under(file);
                methods.$method.expect("the unix VFS has it")(real, $($argument),*)
            }
        }
    };
}

type This = *mut ffi::sqlite3_file;

method!(close, xClose, |_: This| Call::Close, ());
method!(truncate, xTruncate, |file, size: i64| Call::Truncate { name: name(file), size: size as u64 }, (size: i64));
method!(sync, xSync, |file, _| Call::Sync { name: name(file) }, (flags: c_int));
method!(file_size, xFileSize, |_, _| Call::Size, (size: *mut i64));
method!(lock, xLock, |_, _| Call::Lock, (level: c_int));
method!(unlock, xUnlock, |_, _| Call::Unlock, (level: c_int));
method!(check_reserved, xCheckReservedLock, |_, _| Call::Lock, (out: *mut c_int));
method!(shm_map, xShmMap, |_, _, _, _, _| Call::ShmMap,
    (page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void));
method!(shm_lock, xShmLock, |_, _, _, flags| if flags & ffi::SQLITE_SHM_UNLOCK != 0 { Call::ShmUnlock } else { Call::ShmLock },
    (offset: c_int, n: c_int, flags: c_int));

unsafe extern "C" fn read(file: This, buffer: *mut c_void, n: c_int, at: i64) -> c_int {
    // SAFETY: SQLite's arguments, passed on.
    unsafe {
        match before(&Call::Read) {
            Some(code) => code,
            None => {
                let (real, methods) = under(file);
                methods.xRead.expect("the unix VFS has it")(real, buffer, n, at)
            }
        }
    }
}

unsafe extern "C" fn write(file: This, data: *const c_void, n: c_int, at: i64) -> c_int {
    // SAFETY: SQLite's arguments: `n` readable bytes at `data`.
    unsafe {
        let (real, methods) = under(file);
        let write = methods.xWrite.expect("the unix VFS has it");
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), n as usize);
        match before(&Call::Write { name: name(file), at: at as u64, data: bytes }) {
            // A write that fails has often done a part of its work.
            Some(code) => {
                write(real, data, n / 2, at);
                code
            }
            None => write(real, data, n, at),
        }
    }
}

unsafe extern "C" fn file_control(file: This, operation: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: SQLite's arguments, passed on.
    unsafe {
        let (real, methods) = under(file);
        methods.xFileControl.expect("the unix VFS has it")(real, operation, argument)
    }
}

unsafe extern "C" fn sector_size(file: This) -> c_int {
    // SAFETY: as above.
    unsafe {
        let (real, methods) = under(file);
        methods.xSectorSize.expect("the unix VFS has it")(real)
    }
}

unsafe extern "C" fn characteristics(file: This) -> c_int {
    // SAFETY: as above.
    unsafe {
        let (real, methods) = under(file);
        methods.xDeviceCharacteristics.expect("the unix VFS has it")(real)
    }
}

unsafe extern "C" fn shm_barrier(file: This) {
    // SAFETY: as above.
    unsafe {
        let (real, methods) = under(file);
        methods.xShmBarrier.expect("the unix VFS has it")(real);
    }
}

unsafe extern "C" fn shm_unmap(file: This, delete: c_int) -> c_int {
    // SAFETY: as above.
    unsafe {
        let (real, methods) = under(file);
        methods.xShmUnmap.expect("the unix VFS has it")(real, delete)
    }
}

/// Version 2: shared memory, and no mapping of the database itself.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
