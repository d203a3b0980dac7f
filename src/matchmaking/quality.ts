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

/** The chance that one side comes before the other, as OpenSkill predicts it for the two. Error below 1e-6. */
export function winProbability(side: Side, other: Side): number {
  const spread = Math.sqrt(2 * BETA_SQUARED + side.sigmaSquared + other.sigmaSquared);
  return normalBelow((side.mu - other.mu) / spread);
}

/**
 * How far from even a match is: the mean, over all pairs of sides, of the distance of their chances from one half; 0 (even)
 * to 0.5, and 0 for a single side. It does not depend on how many sides there are.
 */
export function winProbabilityError(sides: readonly Side[]): number {
  const n = sides.length;
  if (n < 2) return 0;
  let sum = 0;
  for (let a = 0; a < n; a++) {
    for (let b = a + 1; b < n; b++) sum += Math.abs(winProbability(sides[a]!, sides[b]!) - 0.5);
  }
  return sum / ((n * (n - 1)) / 2);
}

/** The standard normal distribution below x (Abramowitz and Stegun 7.1.26). */
function normalBelow(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  const above = (series * Math.exp(-z * z)) / 2;
  return x < 0 ? above : 1 - above;
}
