//! Repeatable random numbers: with the printed seed, a run can be repeated.

/// xorshift64*, sufficient to spread moments and choices.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeded by `AUTOPACK_TEST_SEED`, else randomly; prints the seed.
    pub fn thrown() -> Self {
        let given = std::env::var("AUTOPACK_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) | 1 << 40);
        println!("seed {seed} (AUTOPACK_TEST_SEED={seed} repeats it)");
        Self(seed)
    }

    /// Always the same sequence for a seed; seed 0 would give only 0.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub fn seed(&self) -> u64 {
        self.0
    }

    /// 53 random bits.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 53) as f64
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}
