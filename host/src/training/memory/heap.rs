//! A simulated heap, which hands out addresses without memory: how far a process grows for a given order of allocations.

use std::collections::BTreeMap;

/// Bytes that an allocator adds to a request, and rounds to.
const HEADER_BYTES: u64 = 16;

/// An allocated block.
#[derive(Debug)]
#[must_use = "a block that is dropped is never freed"]
pub(super) struct Block {
    at: u64,
    bytes: u64,
}

impl Block {
    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Best fit: a request gets the smallest gap that is large enough, else the heap grows. glibc works like this with the
/// settings of [`crate::memory::keep_freed`]. Adjacent gaps are merged.
#[derive(Debug, Default)]
pub(super) struct Heap {
    /// Sizes of gaps by address; none is adjacent to another one or to the end.
    gaps: BTreeMap<u64, u64>,
    end: u64,
    peak: u64,
}

impl Heap {
    /// The largest size so far.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Allocates a block of at least `bytes`.
    pub fn hold(&mut self, bytes: u64) -> Block {
        let bytes = (bytes + HEADER_BYTES).next_multiple_of(HEADER_BYTES);
        let gap = self.gaps.iter().filter(|(_, size)| **size >= bytes).min_by_key(|(_, size)| **size);
        let at = match gap.map(|(&at, &size)| (at, size)) {
            Some((at, size)) => {
                self.gaps.remove(&at);
                if size > bytes {
                    self.gaps.insert(at + bytes, size - bytes);
                }
                at
            }
            None => {
                self.end += bytes;
                self.peak = self.peak.max(self.end);
                self.end - bytes
            }
        };
        Block { at, bytes }
    }

    /// Frees a block.
    pub fn release(&mut self, block: Block) {
        let (mut at, mut bytes) = (block.at, block.bytes);
        if let Some((&before, &size)) = self.gaps.range(..at).next_back()
            && before + size == at
        {
            self.gaps.remove(&before);
            (at, bytes) = (before, bytes + size);
        }
        if let Some(size) = self.gaps.remove(&(at + bytes)) {
            bytes += size;
        }
        if at + bytes == self.end {
            self.end = at;
        } else {
            self.gaps.insert(at, bytes);
        }
    }

    /// Allocates a block and frees it.
    pub fn pass(&mut self, bytes: u64) {
        let block = self.hold(bytes);
        self.release(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_the_smallest_gap_and_adjacent_gaps_merge() {
        let mut heap = Heap::default();
        // With header and rounding: 112, 48, 64, 32 and 32 bytes.
        let [a, b, c, d, e] = [96, 32, 48, 16, 16].map(|bytes| heap.hold(bytes));
        assert_eq!(heap.peak(), 288);
        heap.release(a);
        heap.release(c);
        // 64 bytes fit the gap of c exactly, though that of a comes first.
        let c = heap.hold(40);
        assert_eq!((c.at, heap.peak()), (160, 288));
        heap.release(b);
        // The gaps of a and b are one of 160.
        let ab = heap.hold(144);
        assert_eq!((ab.at, heap.peak()), (0, 288));
        // A gap at the end shrinks the heap; the peak stays.
        heap.release(e);
        let e = heap.hold(48);
        assert_eq!((e.at, heap.peak()), (256, 320));
        for block in [ab, c, d, e] {
            heap.release(block);
        }
        assert_eq!((heap.end, heap.gaps.len()), (0, 0));
    }
}
