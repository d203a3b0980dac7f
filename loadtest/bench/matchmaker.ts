/**
 * A pool of 10,000 tickets: what a cycle takes, and how good its matches are. Beside them stands first come, first served over
 * the very tickets that were matched in that cycle: the same people after the same wait, in as many seats, put together in
 * the order in which they came. In the steady stream whoever is matched is replaced by somebody new, so that the pool stays full; in the stuck
 * pool nobody fits, so that every ticket looks in vain; roles are scarce where few play what every team needs and
 * one in twenty gives up each cycle, and block lists long where every ticket names two hundred of a hundred thousand. A cycle is one call, and the reading of all reasons. Also
 * its processor time, collector included, which other programs on the machine lengthen less.
 */
import { loadavg } from 'node:os';
import { nextUint32, seedSfc32 } from '../../src/kernel/rng.ts';
import { firstComeFirstServed } from '../../src/matchmaking/first-come.ts';
import { createMatcher } from '../../src/matchmaking/matcher.ts';
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
/** Of those who wait in vain, so many give up in a cycle: without newcomers a pool without healers stays as it is. */
const SCARCE_LEAVE_SHARE = 0.05;
const BLOCKED = 200;
const ACCOUNTS = 100_000;

interface Measured {
  readonly cycleMs: Float64Array;
  readonly cpuMs: Float64Array;
  readonly matches: number;
  readonly gap: number;
  readonly error: number;
  /** Of first come, first served. */
  readonly peerGap: number;
  readonly peerError: number;
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
      ['steady stream', STEADY, stream, 0],
      ['everybody at once', { ...FOUR_VS_FOUR, mode: 'synthetic' }, stream, 0],
      ['nobody fits', STUCK, stream, 0],
      ['scarce roles', SCARCE, withRoles(stream), SCARCE_LEAVE_SHARE],
      ['long block lists', STEADY, withBlocks(stream), 0],
    ] as const;
    const results: ResultRow[] = [];
    const all: Measured[] = [];
    for (const [pool, rules, arrivals, leaveShare] of runs) {
      progress(pool);
      const measured = measure(arrivals, rules, tickets, cycles, leaveShare);
      all.push(measured);
      results.push({
        pool,
        matches: measured.matches,
        'cycle p50 ms': percentile(measured.cycleMs, 0.5),
        'cycle p99 ms': percentile(measured.cycleMs, 0.99),
        'cpu p50 ms': percentile(measured.cpuMs, 0.5),
        'cpu p99 ms': percentile(measured.cpuMs, 0.99),
        'wait p95 s': measured.waitSecondsP95,
        'rating gap': measured.gap,
        'first come': measured.peerGap,
        'win error': measured.error,
        'its first come': measured.peerError,
        'load average': loadavg()[0]!,
      });
    }
    const [steady, atOnce] = all as [Measured, Measured];
    return {
      results,
      goals: [
        atMost('cycle of the steady stream, p99', percentile(steady.cycleMs, 0.99), 100, 'ms'),
        atMost('its processor time, p99', percentile(steady.cpuMs, 0.99), 60, 'ms'),
        atMost('rating gap over first come, at once', atOnce.gap / atOnce.peerGap, 0.5, 'x'),
        atMost('win error over first come, at once', atOnce.error / atOnce.peerError, 0.5, 'x'),
      ],
    };
  },
});

/** Cycles a second apart over a pool that is topped up before each. The first tenth warms up and is not counted. */
function measure(
  stream: readonly Ticket[],
  rules: Rules,
  poolSize: number,
  cycles: number,
  leaveShare: number,
): Measured {
  const run = createMatcher();
  const uniform = uniforms(4);
  const warm = Math.ceil(cycles / 10);
  const cycleMs = new Float64Array(cycles);
  const cpuMs = new Float64Array(cycles);
  const waits: number[] = [];
  let [matches, gaps, errors, drawn] = [0, 0, 0, 0];
  let [peers, peerGaps, peerErrors] = [0, 0, 0];
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
    pool = pool.filter(({ ticketId }) => result.reasons.has(ticketId) && (leaveShare === 0 || uniform() >= leaveShare));
    if (cycle < 0) continue;
    cycleMs[cycle] = tookMs;
    cpuMs[cycle] = (user + system) / 1_000;
    for (const { quality, teams } of result.matches) {
      matches++;
      gaps += quality.ratingGap;
      errors += quality.winProbabilityError;
      for (const { createdAtMs } of teams.flat()) waits.push((nowMs - createdAtMs) / 1_000);
    }
    const matched = result.matches.flatMap(({ teams }) => teams.flat());
    for (const { quality } of firstComeFirstServed(matched, nowMs, { ...rules, bots: null }).matches) {
      peers++;
      peerGaps += quality.ratingGap;
      peerErrors += quality.winProbabilityError;
    }
  }
  const waitSecondsP95 = waits.length === 0 ? 0 : percentile(waits, 0.95);
  return {
    cycleMs,
    cpuMs,
    matches,
    gap: gaps / matches,
    error: errors / matches,
    peerGap: peerGaps / peers,
    peerError: peerErrors / peers,
    waitSecondsP95,
  };
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
