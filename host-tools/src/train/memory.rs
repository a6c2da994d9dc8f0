//! Peak memory of this process.

/// Greatest resident size of this process so far, bytes; `None` where the system does not say.
#[must_use]
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_peak_grows_with_what_is_used() {
        let before = super::peak_rss_bytes().unwrap();
        let used = vec![1u8; 64 << 20];
        assert!(used.iter().step_by(4096).map(|&b| u64::from(b)).sum::<u64>() > 0);
        assert!(super::peak_rss_bytes().unwrap() >= before.max(64 << 20));
    }
}
