//! The system calls this program makes, and no others: a filter in the kernel (seccomp).
//!
//! Landlock knows nothing of `chmod` and `chown`, of sockets other than TCP, of modules and of much
//! else. Here every call that is not listed ends the process with a message ([`super::denied`]).
//! Two kinds are met in another way. `clone3`, whose arguments a filter cannot see, does not exist
//! for this process, so that the C library falls back to `clone`. A call by the numbers of another
//! architecture kills the process at once: this is the kernel's advice, and no compiler makes one.
//!
//! The list is what strace shows of every command, with the names that other versions of the
//! kernel and of the C library (musl as well as glibc) have for the same. Where a call could do
//! more than what it is here for, its arguments are looked at too.

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;
use std::str::FromStr as _;

/// Calls that are allowed whatever their arguments. Files are opened, made and removed where
/// Landlock lets them be; the rest works on what is open, or on this process alone.
const CALLS: &str = "
    read write readv writev pread64 pwrite64 preadv pwritev lseek fstat fstatfs fgetxattr ftruncate
    fsync fdatasync fadvise64 flock fcntl dup close copy_file_range sendfile splice
    poll ppoll select pselect6 recvfrom shutdown

    open openat stat lstat newfstatat statx statfs access faccessat faccessat2 readlink readlinkat
    getdents64 getcwd rename renameat renameat2 link linkat unlink unlinkat mkdir mkdirat rmdir

    brk munmap mremap madvise membarrier
    futex set_robust_list set_tid_address rseq sched_yield sched_getaffinity gettid exit
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall

    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time
    getpid getppid getuid geteuid getgid getegid getrandom getrlimit getrusage getcpu sysinfo uname
    wait4 waitid exit_group
";

/// What `ioctl` may be asked, by the kernel's numbers, which are the same on both architectures.
const REQUESTS: [u64; 12] = [
    0x1268,      // BLKSSZGET: logical sector size
    0x127b,      // BLKPBSZGET: physical sector size
    0x8008_1272, // BLKGETSIZE64: size
    0x125e,      // BLKROGET: write-protected?
    0x1261,      // BLKFLSBUF: write out and forget what is cached
    0x4004_9409, // FICLONE: share the blocks of a file
    0x5401,      // TCGETS: is it a terminal?
    0x802c_542a, // TCGETS2: the same, as newer C libraries ask
    0x5413,      // TIOCGWINSZ: how wide is it?
    0x5451,      // FIOCLEX: close when another program is started
    0x541b,      // FIONREAD: how much can be read
    0x5421,      // FIONBIO: whether to wait
];

/// `clone` flags: what makes a thread, and each namespace a process could get.
const CLONE_THREAD: u64 = 0x0001_0000;
const CLONE_NAMESPACES: u64 = 0x7e02_0080;

/// What `prctl` may be asked: names of threads (15, 16) and of memory, and whether new rights can
/// be gained.
const PRCTL: [u64; 4] = [15, 16, 0x5356_4d41, 39];

/// The number of no call at all (-1): what a tracer puts in the place of one that it answers itself.
const NO_CALL: i64 = 0xffff_ffff;

const PROT_EXEC: u64 = 4;
const SIGABRT: u64 = 6;
const ENOSYS: u32 = 38;

/// Calls that are allowed with these arguments: any of the rules, each with all its conditions.
fn conditional() -> Result<Vec<(&'static str, Vec<SeccompRule>)>, BackendError> {
    let me = u64::from(std::process::id());
    let no_code = Op::MaskedEq(PROT_EXEC);
    let thread = Op::MaskedEq(CLONE_THREAD | CLONE_NAMESPACES);
    Ok(vec![
        ("ioctl", any_of(1, &REQUESTS)?),
        ("prctl", any_of(0, &PRCTL)?),
        // Memory for data, never for code.
        ("mmap", one(&[(2, Len::Dword, no_code.clone(), 0)])?),
        ("mprotect", one(&[(2, Len::Dword, no_code, 0)])?),
        // A thread, no process and no namespace.
        ("clone", one(&[(0, Len::Dword, thread, CLONE_THREAD)])?),
        // What is connected already, no address.
        ("sendto", one(&[(4, Len::Qword, Op::Eq, 0)])?),
        // This process, no other.
        ("prlimit64", one(&[(0, Len::Dword, Op::Eq, 0)])?),
        ("tgkill", one(&[(0, Len::Dword, Op::Eq, me)])?),
        ("tkill", one(&[(1, Len::Dword, Op::Eq, SIGABRT)])?),
    ])
}

fn any_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    let rules = values
        .iter()
        .map(|&value| rule(&[(argument, Len::Dword, Op::Eq, value)]));
    rules.collect()
}

fn one(conditions: &[(u8, Len, Op, u64)]) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![rule(conditions)?])
}

fn rule(conditions: &[(u8, Len, Op, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().cloned();
    let conditions = conditions
        .map(|(argument, len, op, value)| SeccompCondition::new(argument, len, op, value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// The number of a call on an architecture, where that has it.
fn number(name: &str, arch: TargetArch) -> Option<i64> {
    let id = match arch {
        TargetArch::x86_64 => syscalls::x86_64::Sysno::from_str(name).ok()?.id(),
        TargetArch::aarch64 => syscalls::aarch64::Sysno::from_str(name).ok()?.id(),
        _ => return None,
    };
    Some(id.into())
}

/// The two filters. The kernel asks both and takes the stricter answer.
fn filters(arch: TargetArch) -> Result<[BpfProgram; 2], BackendError> {
    let numbered = |name| number(name, arch);
    let missing: BTreeMap<i64, Vec<SeccompRule>> = numbered("clone3")
        .map(|call| (call, Vec::new()))
        .into_iter()
        .collect();
    let mut allowed = missing.clone();
    allowed.extend(
        CALLS
            .split_whitespace()
            .filter_map(numbered)
            .map(|call| (call, Vec::new())),
    );
    allowed.insert(NO_CALL, Vec::new());
    for (name, rules) in conditional()? {
        allowed.extend(number(name, arch).map(|call| (call, rules)));
    }
    let there_is_none = SeccompAction::Errno(ENOSYS);
    Ok([
        SeccompFilter::new(missing, SeccompAction::Allow, there_is_none, arch)?.try_into()?,
        SeccompFilter::new(allowed, SeccompAction::Trap, SeccompAction::Allow, arch)?.try_into()?,
    ])
}

/// Limits all threads, and what they start, to these calls. There is no way back.
///
/// # Errors
/// What the kernel would not do; one without such filters among them.
pub fn limit() -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    for filter in filters(arch)? {
        apply_filter_all_threads(&filter)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [TargetArch; 2] = [TargetArch::x86_64, TargetArch::aarch64];

    fn names() -> impl Iterator<Item = &'static str> {
        let conditional = conditional().unwrap();
        CALLS
            .split_whitespace()
            .chain(conditional.into_iter().map(|(name, _)| name))
    }

    #[test]
    fn every_name_is_a_call_and_no_name_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for name in names() {
            assert!(
                BOTH.iter().any(|&arch| number(name, arch).is_some()),
                "{name}"
            );
            assert!(seen.insert(name), "{name} is there twice");
        }
    }

    #[test]
    fn both_architectures_have_what_the_program_cannot_do_without() {
        for name in "read write pread64 pwrite64 openat fstat statx mmap munmap futex clone \
                     exit_group rt_sigreturn ioctl renameat2 getrandom fdatasync"
            .split_whitespace()
        {
            for arch in BOTH {
                assert!(number(name, arch).is_some(), "{name}");
            }
            assert!(names().any(|allowed| allowed == name), "{name}");
        }
        for arch in BOTH {
            let [missing, allowed] = filters(arch).unwrap();
            assert!(!missing.is_empty() && allowed.len() > 100);
        }
    }
}
