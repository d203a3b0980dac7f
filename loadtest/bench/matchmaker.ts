/**
 * A pool of 10,000 tickets: what a cycle takes, and how good the matches are beside first come, first served on the same
 * tickets. In the steady stream whoever is matched is replaced by somebody new, so that the pool stays full; in the stuck
 * pool nobody fits, so that every ticket looks in vain. Also the processor time of a cycle, which other programs on the
 * machine do not lengthen.
 */
import { firstComeFirstServed } from '../../src/matchmaking/first-come.ts';
import { type Matcher, match } from '../../src/matchmaking/matcher.ts';
import { defineRules, FOUR_VS_FOUR, type Rules } from '../../src/matchmaking/rules.ts';
import { syntheticTickets } from '../../src/matchmaking/simulate.ts';
import type { Ticket } from '../../src/matchmaking/ticket.ts';
import { atMost, defineBench, percentile, type ResultRow } from './bench.ts';

/** Strict rules, under which a ticket waits for some seconds although thousands are there. */
const STEADY = defineRules({
  ...FOUR_VS_FOUR,
  mode: 'synthetic',
  ratingWindow: { start: 0, growthPerSecond: 0.004, max: 10 },
  bots: null,
});
/** Nobody accepts anybody. */
const STUCK = defineRules({
  ...STEADY,
  ratingWindow: { start: 0, growthPerSecond: 0, max: 0 },
  deadlineSeconds: 3_600,
});

interface Measured {
  readonly cycleMs: Float64Array;
  readonly cpuMs: Float64Array;
  readonly matches: number;
  readonly gap: number;
  readonly error: number;
  readonly waitSecondsP95: number;
}

export default defineBench({
  name: 'matchmaker',
  summary: 'cycles over a pool of 10,000 tickets, and how even matches are against first come, first served',
  options: {
    tickets: { type: 'number', default: 10_000, quick: 1_000, min: 100, max: 100_000, help: 'tickets in the pool' },
    cycles: { type: 'number', default: 120, quick: 12, min: 10, max: 10_000, help: 'cycles measured, a second apart' },
    seed: { type: 'number', default: 1, min: 0, max: 2 ** 31, help: 'of the stream' },
  },
  async run({ options, progress }) {
    const { tickets, cycles, seed } = options;
    // Enough for a pool that is matched completely in every cycle would be more; the streams begin anew at their end.
    const stream = syntheticTickets({ seed, perSecond: 1_000, seconds: (4 * tickets) / 1_000, partyMax: 4 });
    const runs = [
      ['steady stream', 'hypogeum', STEADY, match],
      ['steady stream', 'first come', STEADY, firstComeFirstServed],
      ['everybody at once', 'hypogeum', { ...FOUR_VS_FOUR, mode: 'synthetic' }, match],
      ['nobody fits', 'hypogeum', STUCK, match],
    ] as const;
    const results: ResultRow[] = [];
    const all: Measured[] = [];
    for (const [pool, matcher, rules, run] of runs) {
      progress(`${pool}, ${matcher}`);
      const measured = measure(stream, rules, run, tickets, cycles);
      all.push(measured);
      results.push({
        pool,
        matcher,
        matches: measured.matches,
        'cycle p50 ms': percentile(measured.cycleMs, 0.5),
        'cycle p99 ms': percentile(measured.cycleMs, 0.99),
        'cpu p50 ms': percentile(measured.cpuMs, 0.5),
        'cpu p99 ms': percentile(measured.cpuMs, 0.99),
        'wait p95 s': measured.waitSecondsP95,
        'rating gap': measured.gap,
        'win error': measured.error,
      });
    }
    const [ours, peer] = all as [Measured, Measured];
    return {
      results,
      goals: [
        atMost('cycle of the steady stream, p99', percentile(ours.cycleMs, 0.99), 100, 'ms'),
        atMost('rating gap over that of first come', ours.gap / peer.gap, 0.5, 'x'),
        atMost('win error over that of first come', ours.error / peer.error, 0.5, 'x'),
      ],
    };
  },
});

/** Cycles a second apart over a pool that is topped up before each. The first tenth warms up and is not counted. */
function measure(stream: readonly Ticket[], rules: Rules, run: Matcher, poolSize: number, cycles: number): Measured {
  const warm = Math.ceil(cycles / 10);
  const cycleMs = new Float64Array(cycles);
  const cpuMs = new Float64Array(cycles);
  const waits: number[] = [];
  let [matches, gaps, errors, drawn] = [0, 0, 0, 0];
  let pool: Ticket[] = [];
  for (let cycle = -warm; cycle < cycles; cycle++) {
    const nowMs = (cycle + warm + 1) * 1_000;
    while (pool.length < poolSize) {
      const turn = Math.floor(drawn / stream.length);
      pool.push(arriving(stream[drawn++ % stream.length]!, turn, nowMs));
    }
    const cpu = process.cpuUsage();
    const beganAtMs = performance.now();
    const result = run(pool, nowMs, rules);
    const tookMs = performance.now() - beganAtMs;
    const { user, system } = process.cpuUsage(cpu);
    pool = pool.filter(({ ticketId }) => result.reasons.has(ticketId));
    if (cycle < 0) continue;
    cycleMs[cycle] = tookMs;
    cpuMs[cycle] = (user + system) / 1_000;
    for (const { quality, teams } of result.matches) {
      matches++;
      gaps += quality.ratingGap;
      errors += quality.winProbabilityError;
      for (const { createdAtMs } of teams.flat()) waits.push((nowMs - createdAtMs) / 1_000);
    }
  }
  const waitSecondsP95 = waits.length === 0 ? 0 : percentile(waits, 0.95);
  return { cycleMs, cpuMs, matches, gap: gaps / matches, error: errors / matches, waitSecondsP95 };
}

function arriving(ticket: Ticket, turn: number, nowMs: number): Ticket {
  const players = ticket.players.map((player) => ({ ...player, playerId: `${turn}.${player.playerId}` }));
  const blocked = ticket.blocked.map((playerId) => `${turn}.${playerId}`);
  return { ...ticket, ticketId: `${turn}.${ticket.ticketId}`, players, blocked, createdAtMs: nowMs };
}
