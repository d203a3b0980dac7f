/**
 * A pool of 10,000 tickets: what a cycle takes, and how good the matches are beside first come, first served on the same
 * tickets. In the steady stream whoever is matched is replaced by somebody new, so that the pool stays full; in the stuck
 * pool nobody fits, so that every ticket looks in vain; roles are scarce where few play what every team needs, and block lists
 * long where every ticket names two hundred of a hundred thousand. A cycle is one call, and the reading of all reasons. Also
 * its processor time, collector included, which other programs on the machine lengthen less.
 */
import { loadavg } from 'node:os';
import { nextUint32, seedSfc32 } from '../../src/kernel/rng.ts';
import { firstComeFirstServed } from '../../src/matchmaking/first-come.ts';
import { createMatcher, type Matcher } from '../../src/matchmaking/matcher.ts';
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

/** Every team needs a healer and a tank; of a hundred players three heal, ten are tanks. */
const SCARCE = defineRules({ ...FOUR_VS_FOUR, mode: 'synthetic', bots: null, roles: { healer: 1, tank: 1 } });
const BLOCKED = 200;
const ACCOUNTS = 100_000;

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
      ['steady stream', 'hypogeum', STEADY, createMatcher, stream],
      ['steady stream', 'first come', STEADY, () => firstComeFirstServed, stream],
      ['everybody at once', 'hypogeum', { ...FOUR_VS_FOUR, mode: 'synthetic' }, createMatcher, stream],
      ['nobody fits', 'hypogeum', STUCK, createMatcher, stream],
      ['scarce roles', 'hypogeum', SCARCE, createMatcher, withRoles(stream)],
      ['long block lists', 'hypogeum', STEADY, createMatcher, withBlocks(stream)],
    ] as const;
    const results: ResultRow[] = [];
    const all: Measured[] = [];
    for (const [pool, matcher, rules, create, arrivals] of runs) {
      progress(`${pool}, ${matcher}`);
      const measured = measure(arrivals, rules, create(), tickets, cycles);
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
        'load average': loadavg()[0]!,
      });
    }
    const [ours, peer] = all as [Measured, Measured];
    return {
      results,
      goals: [
        atMost('cycle of the steady stream, p99', percentile(ours.cycleMs, 0.99), 100, 'ms'),
        atMost('its processor time, p99', percentile(ours.cpuMs, 0.99), 60, 'ms'),
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
    let told = 0;
    for (const [, { waitedMs }] of result.reasons) if (waitedMs >= 0) told++;
    const tookMs = performance.now() - beganAtMs;
    const { user, system } = process.cpuUsage(cpu);
    if (told !== result.reasons.size) throw new Error('a reason was not told');
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

function withRoles(stream: readonly Ticket[]): Ticket[] {
  const uniform = uniforms(2);
  const roleOf = (): string => (uniform() < 0.03 ? 'healer' : uniform() < 0.1 ? 'tank' : 'damage');
  return stream.map((one) => ({ ...one, players: one.players.map((player) => ({ ...player, roles: [roleOf()] })) }));
}

/** Whom they block are players of the stream's first turn, of whom some wait and most do not. */
function withBlocks(stream: readonly Ticket[]): Ticket[] {
  const uniform = uniforms(3);
  const names = Array.from({ length: ACCOUNTS }, (_, i) => `p${i}-0`);
  const draw = (): string => names[Math.floor(uniform() * ACCOUNTS)]!;
  return stream.map((one) => ({ ...one, blocked: Array.from({ length: BLOCKED }, draw) }));
}

function uniforms(seed: number): () => number {
  const words = new Int32Array(4);
  seedSfc32(words, 0, seed);
  return () => nextUint32(words, 0) / 2 ** 32;
}

function arriving(ticket: Ticket, turn: number, nowMs: number): Ticket {
  const players = ticket.players.map((player) => ({ ...player, playerId: `${turn}.${player.playerId}` }));
  const blocked = ticket.blocked.map((playerId) => `${turn}.${playerId}`);
  return { ...ticket, ticketId: `${turn}.${ticket.ticketId}`, players, blocked, createdAtMs: nowMs };
}
