//! Long texts that are the same every time.

/// What a text is made of: plain words mostly, and what tends to break: characters that JSON
/// escapes, characters of two, three and four bytes, an emoji of several code points.
const WORDS: [&str; 32] = [
    "river",
    "lamp",
    "under",
    "seven",
    "quiet",
    "garden",
    "makes",
    "of",
    "a",
    "window",
    "slowly",
    "and",
    "paper",
    "north",
    "with",
    "salt",
    "evening",
    "bridge",
    "is",
    "copper",
    "\"so\"",
    "C:\\tmp",
    "\tx",
    "naïve",
    "Łódź",
    "пример",
    "山川",
    "今天天气",
    "言葉",
    "🙂",
    "👩‍🚀",
    "x<y",
];

const GAPS: [&str; 16] =
    [" ", " ", " ", " ", " ", " ", " ", " ", " ", " ", ", ", ". ", "; ", " ", "\n", "\n\n"];

/// A text of exactly so many bytes, the same for the same seed. It neither begins nor ends with
/// white space.
pub fn words(bytes: usize, seed: u64) -> String {
    let mut random = SplitMix(seed);
    let mut text = String::with_capacity(bytes);
    loop {
        let mut word = WORDS[random.below(WORDS.len())];
        if text.is_empty() {
            word = word.trim_start();
        }
        let gap = GAPS[random.below(GAPS.len())];
        // One byte stays free, so that a text never ends with a gap.
        if text.len() + word.len() + gap.len() + 1 > bytes {
            break;
        }
        text.push_str(word);
        text.push_str(gap);
    }
    while text.len() < bytes {
        text.push('z');
    }
    text
}

/// Sebastiano Vigna's splitmix64: small, and good enough to mix words.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_exactly_as_long_as_asked() {
        for bytes in (0..300).chain([4096, 100_000]) {
            let text = words(bytes, bytes as u64);
            assert_eq!(text.len(), bytes);
            assert_eq!(text.trim(), text);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_text() {
        assert_eq!(words(5000, 7), words(5000, 7));
        assert_ne!(words(5000, 7), words(5000, 8));
    }

    #[test]
    fn a_long_text_has_what_tends_to_break() {
        let text = words(10_000, 1);
        for sign in ["\n", "\"", "\\", "\t", "山", "🙂", "ï"] {
            assert!(text.contains(sign), "{sign:?}");
        }
    }
}
