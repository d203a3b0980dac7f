/**
 * First come, first served: what the matcher is measured against. The oldest fill a match seat by seat in the order in
 * which they came; ratings, latencies and roles are not looked at. Parties stay together, who blocked each other does not
 * meet, and small matches and bots come when the rules say so: the peer differs in whom it puts together, not in when.
 */
import type { Matcher } from './matcher.ts';
import { type Side, winProbabilityError } from './quality.ts';
import { playersFull, type Rules, ticketRating } from './rules.ts';
import type { Match, Ticket, WaitReason } from './ticket.ts';

interface OpenMatch {
  readonly teams: Ticket[][];
  readonly free: number[];
  readonly players: Set<string>;
  readonly blocked: Set<string>;
}

export const firstComeFirstServed: Matcher = (tickets, nowMs, rules) => {
  const waiting = [...tickets].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.ticketId < b.ticketId ? -1 : 1));
  const matches: Match[] = [];
  const open: OpenMatch[] = [];
  for (const ticket of waiting) {
    if (ticket.players.length > rules.teamSize) continue;
    let into = open.find((one) => takes(one, ticket));
    if (into === undefined) {
      into = {
        teams: Array.from({ length: rules.teams }, () => []),
        free: new Array<number>(rules.teams).fill(rules.teamSize),
        players: new Set(),
        blocked: new Set(),
      };
      open.push(into);
    }
    seat(into, ticket);
    if (into.free.every((seats) => seats === 0)) {
      matches.push(matchOf(into, rules, nowMs, false));
      open.splice(open.indexOf(into), 1);
    }
  }
  for (const one of open) {
    const oldest = Math.min(...one.teams.flat().map(({ createdAtMs }) => createdAtMs));
    const waitedSeconds = (nowMs - oldest) / 1_000;
    const { bots, playersMin, partialAfterSeconds, deadlineSeconds } = rules;
    const people = one.players.size;
    const isEven = rules.teams === 1 || one.free.every((seats) => seats === one.free[0]);
    const enough = waitedSeconds >= deadlineSeconds ? 1 : (bots?.peopleMin ?? 0);
    if (bots !== null && waitedSeconds >= bots.afterSeconds && people >= enough) {
      matches.push(matchOf(one, rules, nowMs, true));
    } else if (waitedSeconds >= partialAfterSeconds && people >= playersMin && isEven) {
      matches.push(matchOf(one, rules, nowMs, false));
    }
  }
  const placed = new Set(matches.flatMap(({ teams }) => teams.flat()));
  const reasons = new Map<string, WaitReason>();
  for (const ticket of waiting) {
    if (placed.has(ticket)) continue;
    const { playersMin } = rules;
    const players = waiting.length - placed.size;
    reasons.set(ticket.ticketId, {
      waitedMs: Math.max(0, nowMs - ticket.createdAtMs),
      placedInMs: null,
      code: 'TOO_FEW',
      players,
      playersMin,
    });
  }
  return { matches, backfilled: [], reasons };
};

function takes({ free, players, blocked }: OpenMatch, ticket: Ticket): boolean {
  return (
    free.some((seats) => seats >= ticket.players.length) &&
    !ticket.players.some(({ playerId }) => blocked.has(playerId) || players.has(playerId)) &&
    !ticket.blocked.some((playerId) => players.has(playerId))
  );
}

function seat({ teams, free, players, blocked }: OpenMatch, ticket: Ticket): void {
  const t = free.findIndex((seats) => seats >= ticket.players.length);
  teams[t]!.push(ticket);
  free[t]! -= ticket.players.length;
  for (const { playerId } of ticket.players) players.add(playerId);
  for (const playerId of ticket.blocked) blocked.add(playerId);
}

function matchOf({ teams, free }: OpenMatch, rules: Rules, nowMs: number, hasBots: boolean): Match {
  const all = teams.flat();
  const people = all.reduce((sum, { players }) => sum + players.length, 0);
  const missing = (t: number): number =>
    rules.teams === 1 ? Math.max(0, (rules.bots?.fillTo ?? playersFull(rules)) - people) : free[t]!;
  const bots = free.map((_, t) => (hasBots ? missing(t) : 0));
  const ratings = all.map(({ players }) => ticketRating(rules, players));
  const waitMsMax = nowMs - Math.min(...all.map(({ createdAtMs }) => createdAtMs));
  const sides: Side[] = teams.flatMap((team, t) => {
    const players = team.flatMap((ticket) => ticket.players).map(({ mu, sigma }) => ({ mu, sigmaSquared: sigma ** 2 }));
    if (rules.teams === 1) return players;
    const { mu = 0, sigma = 0 } = rules.bots ?? {};
    for (let i = 0; i < bots[t]!; i++) players.push({ mu, sigmaSquared: sigma ** 2 });
    const add = (a: Side, b: Side) => ({ mu: a.mu + b.mu, sigmaSquared: a.sigmaSquared + b.sigmaSquared });
    return [players.reduce(add, { mu: 0, sigmaSquared: 0 })];
  });
  const { region, latencyMsMax } = nearestRegion(all);
  return {
    mode: rules.mode,
    region,
    teams,
    bots,
    roles: {},
    quality: {
      ratingGap: Math.max(...ratings) - Math.min(...ratings),
      winProbabilityError: winProbabilityError(sides),
      latencyMsMax,
      waitMsMax,
      isOverdue: waitMsMax >= rules.deadlineSeconds * 1_000,
    },
  };
}

/** The region that all who measured anything have measured, with the least worst latency. */
function nearestRegion(tickets: readonly Ticket[]): { region: string | null; latencyMsMax: number | null } {
  const measured = tickets.map(({ latencies }) => latencies).filter((one) => Object.keys(one).length > 0);
  let best: { region: string | null; latencyMsMax: number | null } = { region: null, latencyMsMax: null };
  for (const region of Object.keys(measured[0] ?? {}).sort()) {
    if (!measured.every((one) => Object.hasOwn(one, region))) continue;
    const latencyMsMax = Math.max(...measured.map((one) => one[region]!));
    if (best.latencyMsMax === null || latencyMsMax < best.latencyMsMax) best = { region, latencyMsMax };
  }
  return best;
}
