//! Files of evidence: names that are safe on any file system, and writing that is all or nothing.
//!
//! Invariant: a path made here stays below the folder that it is meant for.

use std::io::{self, Write as _};
use std::path::Path;

/// The longest part of a path, in bytes.
const LONGEST: usize = 120;

/// A relative path of safe parts: other characters than `[A-Za-z0-9._-]` become `_`; empty parts, `.` and `..` go; a
/// leading dot becomes `_`. Never empty.
pub fn sanitise(path: &str) -> String {
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .map(|part| {
            let mut safe = String::new();
            for c in part.chars() {
                let c = match c {
                    'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
                    '.' if !safe.is_empty() => c,
                    _ => '_',
                };
                safe.push(c);
            }
            if safe.len() > LONGEST {
                let tail = safe.split_off(safe.len() - LONGEST / 4);
                safe.truncate(LONGEST - LONGEST / 4 - 1);
                safe.push('_');
                safe.push_str(&tail);
            }
            safe
        })
        .collect();
    if parts.is_empty() {
        return "evidence".to_owned();
    }
    parts.join("/")
}

/// `path` itself for `n` 1, else with `-n` before its extension.
pub(crate) fn numbered(path: &str, n: usize) -> String {
    if n < 2 {
        return path.to_owned();
    }
    let name = path.rfind('/').map_or(0, |at| at + 1);
    match path[name..].rfind('.') {
        Some(dot) => format!("{}-{n}{}", &path[..name + dot], &path[name + dot..]),
        None => format!("{path}-{n}"),
    }
}

/// Writes a file beside its place and renames it there, so that no reader sees half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.part"));
    let written = std::fs::File::create(&fresh)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_folder() {
        assert_eq!(sanitise("../../etc/passwd"), "etc/passwd");
        assert_eq!(sanitise("/etc//./passwd"), "etc/passwd");
        assert_eq!(sanitise(".."), "evidence");
        assert_eq!(sanitise("a/.hidden"), "a/_hidden");
    }

    #[test]
    fn names_are_safe_and_bounded() {
        assert_eq!(sanitise("pod x/«vars.p»: ä.log"), "pod_x/_vars.p____.log");
        let long = sanitise(&format!("{}.previous.log", "x".repeat(500)));
        assert!(long.len() <= LONGEST && long.ends_with(".previous.log"), "{long}");
    }

    #[test]
    fn a_second_file_of_a_name_gets_a_number() {
        assert_eq!(numbered("a.b/pod.log", 1), "a.b/pod.log");
        assert_eq!(numbered("a.b/pod.log", 2), "a.b/pod-2.log");
        assert_eq!(numbered("a.b/pod", 3), "a.b/pod-3");
    }
}
