/**
 * Who is expected to win, by OpenSkill. The formula stands here and not in calls of the package, as the matcher asks it
 * thousands of times a cycle and the package takes 80 ms to load; a test holds the two together.
 */

/** The model's spread of performances, as ratings are worked out with (`MODEL` of src/ratings/rating.ts; tied by a test). */
const BETA_SQUARED = (25 / 6) ** 2;

/** One side: sums over its players. */
export interface Side {
  readonly mu: number;
  readonly sigmaSquared: number;
}

/** Each side's chance to come first as OpenSkill predicts it: they add up to 1. Error below 1e-6. */
export function winProbabilities(sides: readonly Side[]): number[] {
  const n = sides.length;
  const wins = new Array<number>(n).fill(0);
  if (n < 2) return wins.fill(1);
  for (let a = 0; a < n; a++) {
    for (let b = a + 1; b < n; b++) {
      const spread = Math.sqrt(n * BETA_SQUARED + sides[a]!.sigmaSquared + sides[b]!.sigmaSquared);
      const p = normalBelow((sides[a]!.mu - sides[b]!.mu) / spread);
      wins[a]! += p;
      wins[b]! += 1 - p;
    }
  }
  const pairs = (n * (n - 1)) / 2;
  return wins.map((won) => won / pairs);
}

/** Mean distance of the sides' chances from an equal share, 0 (fair) to 1; 0 for a single side. */
export function winProbabilityError(sides: readonly Side[]): number {
  const n = sides.length;
  if (n < 2) return 0;
  return winProbabilities(sides).reduce((sum, p) => sum + Math.abs(p - 1 / n), 0) / n;
}

/** The standard normal distribution below x (Abramowitz and Stegun 7.1.26). */
function normalBelow(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  const above = (series * Math.exp(-z * z)) / 2;
  return x < 0 ? above : 1 - above;
}
