//! A heap that hands out addresses and no memory: how large a process grows for a given order of requests.

use std::collections::BTreeMap;

/// What an allocator adds to a request, and what it rounds to.
const HEADER_BYTES: u64 = 16;

/// A piece of the heap.
#[derive(Debug)]
#[must_use = "a block that is dropped is never released"]
pub(super) struct Block {
    at: u64,
    bytes: u64,
}

/// Gives each request the smallest gap that it fits into, or else grows, as the C library of GNU does with the settings of
/// [`crate::memory::keep_freed`]; neighbouring gaps are one.
#[derive(Debug, Default)]
pub(super) struct Heap {
    /// Sizes of gaps by their addresses; none touches another one or the end.
    gaps: BTreeMap<u64, u64>,
    end: u64,
    most: u64,
}

impl Heap {
    /// The largest size so far.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Takes a block of at least `bytes`.
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
                self.most = self.most.max(self.end);
                self.end - bytes
            }
        };
        Block { at, bytes }
    }

    /// Gives a block back.
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

    /// Holds a block and gives it back.
    pub fn pass(&mut self, bytes: u64) {
        let block = self.hold(bytes);
        self.release(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_the_smallest_gap_and_neighbours_join() {
        let mut heap = Heap::default();
        // With header and rounding: 112, 48, 64, 32 and 32 bytes.
        let [a, b, c, d, e] = [96, 32, 48, 16, 16].map(|bytes| heap.hold(bytes));
        assert_eq!(heap.most(), 288);
        heap.release(a);
        heap.release(c);
        // 64 bytes: the gap of c, though that of a comes first.
        let c = heap.hold(40);
        assert_eq!((c.at, heap.most()), (160, 288));
        heap.release(b);
        // The gaps of a and b are one of 160.
        let ab = heap.hold(144);
        assert_eq!((ab.at, heap.most()), (0, 288));
        // A gap at the end is no gap; the largest size stays.
        heap.release(e);
        let e = heap.hold(48);
        assert_eq!((e.at, heap.most()), (256, 320));
        for block in [ab, c, d, e] {
            heap.release(block);
        }
        assert_eq!((heap.end, heap.gaps.len()), (0, 0));
    }
}
