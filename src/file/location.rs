//! Where the file may be: on which file systems, in which folders, under how many names, and what is said where it
//! cannot be.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names;
use crate::error::{Error, Result, SETTING};

/// Network file systems, and ones that do not keep shared memory between the processes that map it: what `statfs(2)`
/// says of them, and where that stands. `magic.h` is `include/uapi/linux/magic.h` of Linux; modules outside of Linux
/// are as GNU coreutils' `src/stat.c` has them.
const UNSUPPORTED: &[(i64, &str)] = &[
    (0x6969, "NFS"),         // magic.h: NFS_SUPER_MAGIC
    (0x517B, "SMB"),         // magic.h: SMB_SUPER_MAGIC
    (0xFE53_4D42, "SMB2"),   // magic.h: SMB2_SUPER_MAGIC
    (0xFF53_4D42, "CIFS"),   // magic.h: CIFS_SUPER_MAGIC
    (0x0102_1997, "9p"),     // magic.h: V9FS_MAGIC
    (0x6573_5546, "FUSE"),   // magic.h: FUSE_SUPER_MAGIC
    (0x5346_414F, "AFS"),    // magic.h: AFS_SUPER_MAGIC
    (0x6B41_4653, "kAFS"),   // magic.h: AFS_FS_MAGIC
    (0x00C3_6400, "Ceph"),   // magic.h: CEPH_SUPER_MAGIC
    (0x0BD0_0BD0, "Lustre"), // stat.c: S_MAGIC_LUSTRE
    (0x7461_636F, "OCFS2"),  // magic.h: OCFS2_SUPER_MAGIC
    (0x0116_1970, "GFS2"),   // include/uapi/linux/gfs2_ondisk.h: GFS2_MAGIC
    (0x7375_7245, "Coda"),   // magic.h: CODA_SUPER_MAGIC
    (0x4750_4653, "GPFS"),   // stat.c: S_MAGIC_GPFS
    (0x1983_0326, "BeeGFS"), // stat.c: S_MAGIC_FHGFS, its name before
    (0x786F_4256, "vboxsf"), // fs/vboxsf/super.c: VBOXSF_SUPER_MAGIC
    (0x7C7C_6673, "prl_fs"), // stat.c: S_MAGIC_PRL_FS
    (0xBACB_ACBC, "vmhgfs"), // stat.c: S_MAGIC_VMHGFS
];

/// File systems that lose the file sooner than one should think, all of magic.h.
const PASSING: &[(i64, &str)] = &[
    (0x794C_7630, "a container's own layer, which is gone with the container"), // OVERLAYFS_SUPER_MAGIC
    (0x0102_1994, "memory (tmpfs), which is gone with the next start of the host"), // TMPFS_MAGIC
    (0x8584_58F6, "memory (ramfs), which is gone with the next start of the host"), // RAMFS_MAGIC
];

/// After how long without a byte a file that has not got its name yet is left over.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The absolute path, whose folder exists and has no link in its name; the last name stays as it is. Asked to follow no
/// link in the place of a file (`SQLITE_OPEN_NOFOLLOW`), SQLite opens no path that has one anywhere in it:
/// <https://sqlite.org/c3ref/open.html>.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| refuse(path, "it names no file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = real(folder).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => refuse(path, "its folder does not exist"),
        _ => cannot_open(path, e),
    })?;
    Ok(folder.join(name))
}

/// The absolute path, in a folder that exists, on a file system that can carry it.
pub(super) fn place(path: &Path) -> Result<PathBuf> {
    let path = absolute(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Whoever may write to the folder may put another file in this one's place, or a link.
    let mode = fs::metadata(folder).map_err(|e| cannot_open(&path, e))?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(refuse(
            &path,
            &format!(
                "every user of this system may write to its folder: chmod o-w {} (its mode is {:04o})",
                folder.display(),
                mode & 0o7777
            ),
        ));
    }
    // The file may be on another one than its folder: where it is a mount of its own, say.
    match kind(UNSUPPORTED, folder).or_else(|| kind(UNSUPPORTED, &path)) {
        Some(kind) => Err(Error::UnsupportedFilesystem { path, kind }),
        None => Ok(path),
    }
}

/// The folder by its one absolute name, as `realpath(3)` has it, written into memory of ours. (std's `canonicalize` has
/// the C library allocate the name, and frees it by the allocator that this library was bound to: with RTLD_DEEPBIND,
/// which PHP asks for, and jemalloc preloaded, these are two, and the process aborts.)
fn real(folder: &Path) -> io::Result<PathBuf> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let folder = CString::new(folder.as_os_str().as_bytes())?;
    let mut found = vec![0; libc::PATH_MAX as usize];
    // SAFETY: a C string, and a buffer of the size that realpath asks for, both alive over the call.
    if unsafe { libc::realpath(folder.as_ptr(), found.as_mut_ptr().cast()) }.is_null() {
        return Err(io::Error::last_os_error());
    }
    found.truncate(found.iter().position(|byte| *byte == 0).unwrap_or(found.len()));
    Ok(std::ffi::OsString::from_vec(found).into())
}

/// Why the file will not last where it is, if it will not.
pub(crate) fn passing(path: &Path) -> Option<&'static str> {
    kind(PASSING, path)
}

fn kind(of: &[(i64, &'static str)], path: &Path) -> Option<&'static str> {
    let magic = imp::magic(path)?;
    of.iter().find(|(known, _)| *known == magic).map(|(_, kind)| *kind)
}

/// The error of opening a file, which says what names it.
pub(crate) fn with_setting(error: Error) -> Error {
    match error {
        Error::CannotOpen { path, why } => Error::CannotOpen { path, why: format!("{why}; {SETTING}") },
        other => other,
    }
}

/// Whether there is a file at `path`: a regular one, with something in it.
pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(refuse(path, "it is a symbolic link")),
        Ok(_) if imp::is_mount(path) => Err(refuse(
            path,
            "it is mounted by itself, so its log and its index stay outside, where no other container sees them: mount \
             its folder instead of the file",
        )),
        Ok(found) if !found.is_file() => Err(refuse(path, "it is not a regular file")),
        Ok(found) if found.len() == 0 => Err(Error::NotACache { path: path.into(), why: "it is empty" }),
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(cannot_open(path, e)),
    }
}

/// Refuses a file with a second name (a hard link): who opens it by the one has another log than who opens it by the
/// other. The name under which it was made does not count, and goes: its maker was killed.
pub(super) fn has_one_name(path: &Path) -> Result<()> {
    let names = |path: &Path| fs::symlink_metadata(path).map(|found| (found.nlink(), found.ino()));
    let (count, inode) = names(path).map_err(|e| cannot_open(path, e))?;
    if count <= 1 {
        return Ok(());
    }
    let own = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let folder = path.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).map_err(|e| cannot_open(path, e))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&own)
            && name.ends_with(".new")
            && names(&entry.path()).is_ok_and(|(_, found)| found == inode)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
    match names(path) {
        Ok((count, _)) if count > 1 => Err(refuse(
            path,
            &format!(
                "it has {count} names (hard links), and who opens it by another one would have a log of his own: \
                 remove the others (find FOLDER -inum {inode} finds them), or put a copy in its place"
            ),
        )),
        Ok(_) => Ok(()),
        Err(e) => Err(cannot_open(path, e)),
    }
}

/// A name beside `path` for a file that is to bear that one once it is whole.
pub(super) fn unnamed(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| refuse(path, "it names no file"))?.to_string_lossy();
    let random = getrandom::u64().map_err(|e| Error::Storage(format!("no random numbers: {e}")))?;
    Ok(path.with_file_name(format!(".{name}.{random:016x}.new")))
}

/// Takes away what a creation, a backup or a copy of a log left under such a name when its process was killed. None
/// takes longer than a few minutes from one byte to the next.
pub(super) fn clean_up(path: &Path) {
    let own = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let Ok(entries) = fs::read_dir(path.parent().unwrap_or(Path::new("."))) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.starts_with(&own) && (name.ends_with(".new") || name.ends_with(".new-journal"));
        let age = entry.metadata().and_then(|found| found.modified()).map(|written| written.elapsed());
        if is_ours && age.is_ok_and(|age| age.is_ok_and(|age| age > ABANDONED)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Gives a file that was made under another name its own, unless that is taken: at no moment has it two, where the file
/// system can do so.
pub(super) fn give_name(new: &Path, path: &Path) -> io::Result<()> {
    match imp::rename_to_free(new, path) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => fs::hard_link(new, path),
        other => other,
    }
}

/// Asks before SQLite does, whose words are "unable to open database file".
pub(super) fn may_be_written(path: &Path) -> Result<()> {
    access(path, libc::R_OK | libc::W_OK).map_err(|e| cannot_open(path, e))?;
    // What is beside it already need not be made.
    if [names::LOG, names::INDEX].iter().any(|suffix| fs::symlink_metadata(names::beside(path, suffix)).is_err()) {
        let folder = path.parent().unwrap_or(Path::new("."));
        access(folder, libc::W_OK | libc::X_OK).map_err(|e| cannot_open(path, e))?;
    }
    Ok(())
}

/// Who else may write, by the bit that says so.
const OTHERS: [(u32, &str); 2] = [(0o002, "every user of this system"), (0o020, "its whole group")];

/// What others of this system may change about the file, in words: for `verify`.
pub(crate) fn exposed(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in [path.to_owned(), names::beside(path, names::LOG), names::beside(path, names::INDEX)] {
        let Ok(mode) = fs::symlink_metadata(&file).map(|found| found.mode() & 0o7777) else { continue };
        for (bit, who) in OTHERS {
            if mode & bit != 0 {
                let file = file.display();
                found.push(format!("{who} may write to {file} (mode {mode:04o}): chmod go-w {file}"));
                break;
            }
        }
    }
    // Whoever may replace a folder above the file may replace the file with it. Two folders that others may write to
    // are harmless: a sticky one, such as /tmp, where only the owner of an entry may replace it; and one of group 0,
    // since only root is in that group, or the one user of a container.
    for folder in path.ancestors().skip(1) {
        let Ok(is) = fs::metadata(folder) else { continue };
        let mode = is.mode() & 0o7777;
        let others = OTHERS.iter().find(|(bit, _)| mode & bit != 0 && (*bit != 0o020 || is.gid() != 0));
        if let Some((_, who)) = others.filter(|_| mode & 0o1000 == 0) {
            let folder = folder.display();
            found.push(format!(
                "{who} may replace what is in {folder}, above the file (mode {mode:04o}): chmod go-w {folder}"
            ));
        }
    }
    found
}

/// Whether the effective user may do this, without opening anything.
fn access(path: &Path, how: libc::c_int) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a C string that outlives the call.
    match unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), how, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(super) fn refuse(path: &Path, why: &str) -> Error {
    Error::CannotOpen { path: path.into(), why: why.into() }
}

/// The system's refusal; where it is one of rights, with whose everything is.
pub(super) fn cannot_open(path: &Path, error: io::Error) -> Error {
    let mut why = error.to_string();
    if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        why += &format!("; {}", rights(path));
    }
    Error::CannotOpen { path: path.into(), why }
}

/// Whose the file and its folder are, and who asks.
pub(super) fn rights(path: &Path) -> String {
    let mut said = String::new();
    let folder = path.parent().unwrap_or(Path::new("."));
    for (what, of) in [("its folder", folder), ("the file", path)] {
        if let Ok(found) = fs::metadata(of) {
            let (mode, uid, gid) = (found.mode() & 0o7777, found.uid(), found.gid());
            said += &format!("{what} {} has mode {mode:04o}, owner {uid} and group {gid}; ", of.display());
        }
    }
    // SAFETY: neither takes or changes anything.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    said + &format!("this process is of user {uid} and group {gid}, and must be able to write to both")
}

/// Gives a file that root has made to the owner of its folder: who opens first may be a console or a task that was run
/// as root, and the app's own processes could not open what is root's. SQLite gives the log and the index to the file's
/// owner. Where root may not do so, those processes are told whose the file is.
pub(super) fn give_to_folders_owner(new: &Path) {
    // SAFETY: takes and changes nothing.
    let is_root = unsafe { libc::geteuid() } == 0;
    if let (true, Ok(folder)) = (is_root, fs::metadata(new.parent().unwrap_or(Path::new(".")))) {
        let _ = std::os::unix::fs::lchown(new, Some(folder.uid()), Some(folder.gid()));
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::ffi::CString;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    /// Which file system it is on.
    pub(super) fn magic(path: &Path) -> Option<i64> {
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        let mut found = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: `path` is a C string and `found` has room for the answer, both alive over the call.
        if unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: statfs returned 0, so it has filled the answer in.
        let found = unsafe { found.assume_init() };
        // Of another width, or without a sign, with another processor or C library.
        #[allow(clippy::unnecessary_cast)]
        Some(found.f_type as i64 & 0xFFFF_FFFF)
    }

    /// Whether something is mounted just there. A kernel before 5.8 does not say, and then it is not.
    pub(super) fn is_mount(path: &Path) -> bool {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
        let mut found = MaybeUninit::<libc::statx>::zeroed();
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
        // The call itself: musl has a function of its name from 1.2.4 on, and without it nothing would load.
        // SAFETY: `path` is a C string and `found` has room for the answer, both alive over the call.
        let status =
            unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), flags, 0, found.as_mut_ptr()) };
        // SAFETY: all zeros is a valid answer too, in which nothing is mounted.
        let found = unsafe { found.assume_init() };
        status == 0 && found.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0
    }

    pub(super) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (CString::new(from.as_os_str().as_bytes())?, CString::new(to.as_os_str().as_bytes())?);
        let here = libc::AT_FDCWD;
        // SAFETY: C strings that outlive the call.
        let status = unsafe {
            libc::syscall(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), libc::RENAME_NOREPLACE)
        };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;
    use std::path::Path;

    pub(super) fn magic(_path: &Path) -> Option<i64> {
        None
    }

    pub(super) fn is_mount(_path: &Path) -> bool {
        false
    }

    pub(super) fn rename_to_free(_from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }
}
