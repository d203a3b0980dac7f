/** Replays a stream of tickets against rules, cycle by cycle, and says how long they waited and how good matches were. */
import { nextUint32, seedSfc32 } from '../kernel/rng.ts';
import type { Matcher } from './matcher.ts';
import type { Rules } from './rules.ts';
import type { Ticket } from './ticket.ts';
import { standsInItsOwnWay } from './ticket-table.ts';

/** How one matcher did under one set of rules. Waits and latencies are those of people, not of tickets. */
export interface Outcome {
  readonly tickets: number;
  readonly players: number;
  readonly matches: number;
  /** Seconds from arrival to match. */
  readonly waitSecondsP50: number;
  readonly waitSecondsP95: number;
  /** Largest distance in a match, mu: of the middle match, and of the 95th in a hundred. */
  readonly ratingGapP50: number;
  readonly ratingGapP95: number;
  /** Mean over the matches, see `MatchQuality`. */
  readonly winProbabilityError: number;
  /** Of a player to the region, ms; null where nobody measured. */
  readonly latencyMsP50: number | null;
  readonly latencyMsP95: number | null;
  readonly bots: number;
  /** Players still without a match at the end; those whom no match can take are among them. */
  readonly unmatched: number;
  /** Share of players who were past the deadline. */
  readonly overdueShare: number;
  /** Time a cycle took, ms; largest pool. */
  readonly cycleMsP50: number;
  readonly cycleMsP99: number;
  readonly poolMax: number;
}

export interface SimulationOptions {
  /** Time between two cycles, ms. */
  readonly cycleMs: number;
  /** After every cycle: share of the stream that has arrived. May wait, so that others get a turn. */
  readonly progress?: (share: number) => void | Promise<void>;
}

/** Beyond the deadline of the last to come, the rest is called unmatched, ms. */
const LINGER_MS = 30_000;

/** @param arrivals ascending by `createdAtMs`; their mode is taken for that of the rules */
export async function simulate(
  arrivals: readonly Ticket[],
  rules: Rules,
  matcher: Matcher,
  { cycleMs, progress }: SimulationOptions,
): Promise<Outcome> {
  const waits: number[] = [];
  const gaps: number[] = [];
  const latenciesMs: number[] = [];
  const cyclesMs: number[] = [];
  let [errors, matches, bots, overdue, poolMax, next] = [0, 0, 0, 0, 0, 0];
  let pool: Ticket[] = [];
  const startMs = arrivals[0]?.createdAtMs ?? 0;
  const lastMs = arrivals.at(-1)?.createdAtMs ?? 0;
  const endMs = lastMs + rules.deadlineSeconds * 1_000 + LINGER_MS;
  for (let nowMs = startMs; nowMs <= endMs && (next < arrivals.length || pool.length > 0); nowMs += cycleMs) {
    while (next < arrivals.length && arrivals[next]!.createdAtMs <= nowMs) {
      pool.push({ ...arrivals[next++]!, mode: rules.mode });
    }
    poolMax = Math.max(poolMax, pool.length);
    const beganAtMs = performance.now();
    const result = matcher(pool, nowMs, rules);
    cyclesMs.push(performance.now() - beganAtMs);
    for (const { teams, region, quality, bots: ofTeams } of result.matches) {
      matches++;
      gaps.push(quality.ratingGap);
      errors += quality.winProbabilityError;
      for (const count of ofTeams) bots += count;
      for (const ticket of teams.flat()) {
        const waitedMs = nowMs - ticket.createdAtMs;
        const ms = region === null ? undefined : ticket.latencies[region];
        for (let i = 0; i < ticket.players.length; i++) {
          waits.push(waitedMs / 1_000);
          if (ms !== undefined) latenciesMs.push(ms);
          if (waitedMs >= rules.deadlineSeconds * 1_000) overdue++;
        }
      }
    }
    pool = pool.filter(({ ticketId }) => result.reasons.has(ticketId));
    await progress?.(next / arrivals.length);
    // Nothing but what no match can take: no need to go on until the deadline.
    if (next === arrivals.length && pool.every((ticket) => standsInItsOwnWay(ticket, rules) !== undefined)) break;
  }
  const unmatched = [...pool, ...arrivals.slice(next)].reduce((sum, { players }) => sum + players.length, 0);
  const at = (values: readonly number[], share: number): number => quantile(values, share) ?? 0;
  return {
    tickets: arrivals.length,
    players: waits.length + unmatched,
    matches,
    waitSecondsP50: at(waits, 0.5),
    waitSecondsP95: at(waits, 0.95),
    ratingGapP50: at(gaps, 0.5),
    ratingGapP95: at(gaps, 0.95),
    winProbabilityError: matches === 0 ? 0 : errors / matches,
    latencyMsP50: quantile(latenciesMs, 0.5) ?? null,
    latencyMsP95: quantile(latenciesMs, 0.95) ?? null,
    bots,
    unmatched,
    overdueShare: waits.length === 0 ? 0 : overdue / waits.length,
    cycleMsP50: at(cyclesMs, 0.5),
    cycleMsP99: at(cyclesMs, 0.99),
    poolMax,
  };
}

/** Nearest rank; undefined without values. */
function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

export interface SyntheticOptions {
  readonly seed: number;
  /** Tickets a second, on average. */
  readonly perSecond: number;
  readonly seconds: number;
  /** Larger parties come as this one. */
  readonly partyMax: number;
}

/** Where people are: share, and latency to the other regions, ms. */
const REGIONS = [
  { name: 'eu', share: 0.35, toOthersMs: { us: 95, asia: 210, sa: 190, oc: 270 } },
  { name: 'us', share: 0.3, toOthersMs: { eu: 95, asia: 160, sa: 130, oc: 180 } },
  { name: 'asia', share: 0.2, toOthersMs: { eu: 210, us: 160, sa: 290, oc: 110 } },
  { name: 'sa', share: 0.1, toOthersMs: { eu: 190, us: 130, asia: 290, oc: 300 } },
  { name: 'oc', share: 0.05, toOthersMs: { eu: 270, us: 180, asia: 110, sa: 300 } },
] as const;
/** Of a hundred tickets: parties of 1, 2, 3 and 4. */
const PARTY_SHARES = [0.7, 0.17, 0.08, 0.05] as const;
const BLOCKING_SHARE = 0.15;

/**
 * A stream by a seed, the same on every machine. Arrivals are a Poisson process. Skill (mu) is normal, 25 +- 7; friends are
 * within 3 of each other; one in four players is new (sigma 8.33), the others are known (1.5 to 5). Home regions: eu 35 %,
 * us 30, asia 20, sa 10, oc 5; latency to the own one 10 to 60 ms, to others what cables need and as much again. Parties of
 * 1 to 4: 70, 17, 8, 5 %. In 15 % of tickets somebody blocked one of the hundred that came before.
 */
export function syntheticTickets({ seed, perSecond, seconds, partyMax }: SyntheticOptions): Ticket[] {
  const words = new Int32Array(4);
  seedSfc32(words, 0, seed);
  const uniform = (): number => (nextUint32(words, 0) + 0.5) / 2 ** 32;
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const pick = (shares: readonly number[]): number => {
    let left = uniform();
    for (const [i, share] of shares.entries()) {
      left -= share;
      if (left < 0) return i;
    }
    return shares.length - 1;
  };
  const tickets: Ticket[] = [];
  let atMs = 0;
  for (;;) {
    atMs += (-Math.log(uniform()) / perSecond) * 1_000;
    if (atMs >= seconds * 1_000) return tickets;
    const n = tickets.length;
    const size = Math.min(1 + pick(PARTY_SHARES), partyMax);
    const skill = 25 + 7 * normal();
    const home = REGIONS[pick(REGIONS.map(({ share }) => share))]!;
    const accessMs = 10 + 50 * uniform() ** 2;
    const latencies: Record<string, number> = { [home.name]: Math.round(accessMs) };
    for (const [region, ms] of Object.entries(home.toOthersMs)) {
      latencies[region] = Math.min(1_000, Math.round(ms + accessMs + 20 * uniform()));
    }
    const players = Array.from({ length: size }, (_, i) => ({
      playerId: `p${n}-${i}`,
      mu: Math.round((skill + (size > 1 ? 3 * normal() : 0)) * 1_000) / 1_000,
      sigma: uniform() < 0.25 ? 25 / 3 : 1.5 + 3.5 * uniform(),
    }));
    const enemy = n - 1 - Math.floor(uniform() * 100);
    const blocked = uniform() < BLOCKING_SHARE && enemy >= 0 ? [`p${enemy}-0`] : [];
    tickets.push({
      ticketId: `t${n}`,
      mode: 'synthetic',
      players,
      latencies,
      createdAtMs: Math.round(atMs),
      blocked,
      acceptsBackfill: true,
    });
  }
}
