/**
 * Who plays with whom: one cycle over a pool of tickets. Pure and deterministic: equal tickets at the same time under the
 * same rules give the same matches, in whatever order they come.
 *
 * Running matches are filled first. Then every ticket, the oldest first, gathers those near its rating who accept it as
 * it accepts them, region by region, and takes those who go together. Every search is bounded, so that the time of a
 * cycle grows with the tickets and with nothing else.
 */
import { ANY_REGION, Pool, REACH, type Reach } from './pool.ts';
import { type Side, winProbabilityError } from './quality.ts';
import { playersFull, type Rules, ratingWindowOf } from './rules.ts';
import { fillRoles, Packing, RoleCounts, splitTeams, type TeamSeats, teamSeats } from './teams.ts';
import type { Backfill, Backfilled, Match, Ticket, TicketPlayer, WaitCause, WaitReason } from './ticket.ts';

export interface MatchResult {
  /** In the order in which their oldest ticket came. */
  readonly matches: readonly Match[];
  readonly backfilled: readonly Backfilled[];
  /** By ticket id: why each of the others waits. */
  readonly reasons: ReadonlyMap<string, WaitReason>;
}

/**
 * @param tickets of the rules' mode, with ids of their own, in any order
 * @param nowMs ms since 1970
 */
export type Matcher = (
  tickets: readonly Ticket[],
  nowMs: number,
  rules: Rules,
  backfills?: readonly Backfill[],
) => MatchResult;

/** Tickets that one ticket looks at; past the deadline, and for a running match, more. */
const LOOKS_MAX = 512;
const LOOKS_OVERDUE_MAX = 8_192;
/** Candidates are gathered until they are so many times the players that are wanted. */
const CHOICE = 3;
const CHOICE_PLAYERS_MIN = 32;
/** Regions that one ticket tries, the best first. */
const REGIONS_TRIED_MAX = 4;
/** Per ticket: how often all roles of a group are dealt anew for one more party. */
const REDEALS_MAX = 4;

export const match: Matcher = (tickets, nowMs, rules, backfills = []) => {
  for (const { mode, ticketId } of tickets) {
    if (mode !== rules.mode) throw new RangeError(`ticket ${ticketId} is of mode ${mode}, the rules of ${rules.mode}`);
  }
  return new Cycle(tickets, nowMs, rules).run(backfills);
};

/** Whom a ticket found. */
interface Candidates {
  readonly ranks: readonly number[];
  /** Other players in reach of the rating, those of them with a region in common, those of them who are blocked. */
  readonly inWindow: number;
  readonly inRegion: number;
  readonly blocked: number;
}

/** Tickets that go together; the team of each where roles had to be looked at. */
interface Group {
  readonly ranks: readonly number[];
  readonly players: number;
  readonly teams?: readonly number[];
  /** Somebody was left out for want of a role. */
  readonly lacksRoles: boolean;
}

class Cycle {
  readonly #pool: Pool;
  readonly #rules: Rules;
  readonly #nowMs: number;
  readonly #full: number;
  readonly #seats: TeamSeats;
  readonly #hasRoles: boolean;
  readonly #roleCounts: RoleCounts;
  readonly #countsByRank: Int32Array[] = [];
  readonly #nobody: Int32Array;
  readonly #packings = new Map<number, Packing>();
  readonly #matches: Match[] = [];
  readonly #costs: Float64Array;

  constructor(tickets: readonly Ticket[], nowMs: number, rules: Rules) {
    this.#rules = rules;
    this.#nowMs = nowMs;
    this.#pool = new Pool(tickets, nowMs, rules);
    this.#full = playersFull(rules);
    this.#seats = teamSeats(rules.roles, rules.teamSize);
    this.#hasRoles = this.#seats.roles.length > 0;
    this.#roleCounts = new RoleCounts(this.#seats);
    this.#nobody = this.#roleCounts.of([]);
    this.#costs = new Float64Array(this.#pool.tickets.length);
  }

  run(backfills: readonly Backfill[]): MatchResult {
    const pool = this.#pool;
    const backfilled = this.#backfill(backfills);
    const causes = new Map<number, WaitCause>();
    for (let rank = 0; rank < pool.tickets.length; rank++) {
      if (pool.isTaken[rank] === 1) continue;
      const cause = this.#attempt(rank);
      if (cause !== undefined) causes.set(rank, cause);
    }
    return { matches: this.#matches, backfilled, reasons: this.#reasons(causes) };
  }

  /** Makes a match around a ticket, or says why not. */
  #attempt(anchor: number): WaitCause | undefined {
    const { bots } = this.#rules;
    const isOverdue = this.#pool.isOverdue[anchor] === 1;
    const found = this.#gather(anchor, isOverdue ? REACH.WIDEST : REACH.OWN);
    const group = this.#matchOf(anchor, found, isOverdue ? REACH.WIDEST : REACH.OWN);
    if (group === undefined) return undefined;
    if (!isOverdue || bots !== null) return this.#cause(anchor, found, group);
    const anybody = this.#gather(anchor, REACH.ANY);
    const widest = this.#matchOf(anchor, anybody, REACH.ANY);
    return widest === undefined ? undefined : this.#cause(anchor, anybody, widest);
  }

  /** @returns undefined when a match was made, otherwise the largest group */
  #matchOf(anchor: number, { ranks }: Candidates, reach: Reach): Group | undefined {
    const { teams, teamSize, playersMin, partialAfterSeconds, bots } = this.#rules;
    const waitedSeconds = this.#pool.waitedMs[anchor]! / 1_000;
    const isOverdue = this.#pool.isOverdue[anchor] === 1;
    const mayHaveBots =
      bots !== null && (isOverdue || (waitedSeconds >= bots.afterSeconds && bots.peopleMin <= playersMin));
    // Where not even the smallest match comes about, there is nothing to build.
    const atLeast = mayHaveBots ? 1 : playersMin - this.#pool.size[anchor]!;
    let largest: Group | undefined;
    for (const candidates of this.#byRegion(anchor, ranks, reach, atLeast)) {
      const group = this.#build(anchor, candidates, teamSize, reach);
      if (group.players === this.#full && this.#finish(group, teamSize, 0)) return undefined;
      if (largest === undefined || group.players > largest.players) largest = group;
    }
    largest ??= this.#build(anchor, [], teamSize, reach);
    if (bots !== null) {
      const needed = isOverdue ? 1 : bots.peopleMin;
      if ((isOverdue || waitedSeconds >= bots.afterSeconds) && largest.players >= needed) {
        const fillTo = teams === 1 ? (bots.fillTo ?? this.#full) : this.#full;
        if (this.#finish(largest, teamSize, fillTo)) return undefined;
      }
    }
    if ((isOverdue || waitedSeconds >= partialAfterSeconds) && largest.players >= playersMin) {
      if (teams === 1) return this.#finish(largest, teamSize, 0) ? undefined : largest;
      for (
        let seats = Math.min(teamSize - 1, Math.floor(largest.players / teams));
        seats * teams >= playersMin;
        seats--
      ) {
        for (const candidates of this.#byRegion(anchor, ranks, reach, atLeast)) {
          const group = this.#build(anchor, candidates, seats, reach);
          if (group.players === seats * teams && this.#finish(group, seats, 0)) return undefined;
        }
      }
    }
    return largest;
  }

  /** The others within reach, the nearest rating first, until there is choice enough. */
  #gather(anchor: number, reach: Reach): Candidates {
    const { rating, size, lower, higher, isOverdue } = this.#pool;
    const windows = this.#pool.windows[reach];
    const accepted = this.#pool.accepted[reach];
    const own = rating[anchor]!;
    const window = windows[anchor]!;
    const regions = accepted[anchor]!;
    const hasConflicts = this.#pool.hasConflicts(anchor);
    const wanted = Math.max(CHOICE_PLAYERS_MIN, CHOICE * this.#full);
    const ranks: number[] = [];
    let [inWindow, inRegion, blocked] = [0, 0, 0];
    let below = lower[anchor]!;
    let above = higher[anchor]!;
    let looks = isOverdue[anchor] === 1 ? LOOKS_OVERDUE_MAX : LOOKS_MAX;
    while (inRegion - blocked < wanted && looks-- > 0) {
      const down = below === -1 ? Infinity : own - rating[below]!;
      const up = above === -1 ? Infinity : rating[above]! - own;
      const distance = Math.min(down, up);
      if (distance > window || distance === Infinity) break;
      // Of two as near, the older: the same when the order of ratings is turned round.
      const isBelow = down < up || (down === up && below < above);
      const other = isBelow ? below : above;
      if (isBelow) below = lower[below]!;
      else above = higher[above]!;
      if (distance > windows[other]!) continue;
      inWindow += size[other]!;
      if ((regions & accepted[other]!) === 0) continue;
      inRegion += size[other]!;
      if (hasConflicts && this.#pool.conflict(anchor, other)) blocked += size[other]!;
      else ranks.push(other);
    }
    return { ranks, inWindow, inRegion, blocked };
  }

  /** Candidates of one region each, the best for the anchor first, those to prefer first. */
  *#byRegion(anchor: number, ranks: readonly number[], reach: Reach, atLeast: number): Generator<readonly number[]> {
    const { regions, latencyMs, size } = this.#pool;
    const accepted = this.#pool.accepted[reach];
    if (regions.length === 0) {
      yield this.#byCost(anchor, ranks, -1);
      return;
    }
    const tried: { bit: number; ms: number; players: number }[] = [];
    for (let bit = 0; bit < regions.length; bit++) {
      if (((accepted[anchor]! >>> bit) & 1) === 0) continue;
      let players = 0;
      for (const rank of ranks) if ((accepted[rank]! >>> bit) & 1) players += size[rank]!;
      if (players >= atLeast) tried.push({ bit, ms: latencyMs[anchor * regions.length + bit]!, players });
    }
    const enough = this.#rules.playersMin - size[anchor]!;
    // A region in which enough play before one in which too few do, and then the nearest.
    tried.sort(
      (a, b) =>
        Number(b.players >= enough) - Number(a.players >= enough) ||
        a.ms - b.ms ||
        b.players - a.players ||
        a.bit - b.bit,
    );
    for (const { bit } of tried.slice(0, REGIONS_TRIED_MAX)) {
      const there = ranks.filter((rank) => ((accepted[rank]! >>> bit) & 1) === 1);
      yield this.#byCost(anchor, there, bit);
    }
  }

  /** Sorted, the cheapest first, of equal ones the oldest. Sorts by insertion: few, and near their order already. */
  #byCost(anchor: number, ranks: readonly number[], region: number): number[] {
    const { rating, waitedMs, latencyMs, regions } = this.#pool;
    const { weights } = this.#rules;
    const costs = this.#costs;
    const sorted: number[] = [];
    for (const rank of ranks) {
      const ms = region === -1 ? 0 : latencyMs[rank * regions.length + region]!;
      const cost =
        weights.rating * Math.abs(rating[rank]! - rating[anchor]!) -
        (weights.wait * waitedMs[rank]!) / 1_000 +
        (weights.latency * ms) / 10;
      costs[rank] = cost;
      let at = sorted.length;
      while (at > 0) {
        const before = sorted[at - 1]!;
        const order = costs[before]! - cost || before - rank;
        if (order <= 0) break;
        sorted[at] = before;
        at--;
      }
      sorted[at] = rank;
    }
    return sorted;
  }

  /** Takes one after the other who goes with all before; in a second try the large parties first, which fit worse. */
  #build(anchor: number, candidates: readonly number[], seats: number, reach: Reach): Group {
    const group = this.#take(anchor, candidates, seats, reach);
    const { teams } = this.#rules;
    const { size } = this.#pool;
    const wanted = teams * seats;
    if (teams === 1 || group.players === wanted) return group;
    let players = size[anchor]!;
    let largest = 1;
    for (const rank of candidates) {
      players += size[rank]!;
      largest = Math.max(largest, size[rank]!);
    }
    if (players < wanted || (largest === 1 && size[anchor] === 1)) return group;
    const bySize: number[] = [];
    for (let wantedSize = largest; wantedSize > 0; wantedSize--) {
      for (const rank of candidates) if (size[rank] === wantedSize) bySize.push(rank);
    }
    const other = this.#take(anchor, bySize, seats, reach);
    return other.players > group.players ? other : group;
  }

  #take(anchor: number, candidates: readonly number[], seats: number, reach: Reach): Group {
    const pool = this.#pool;
    const { rating, size } = pool;
    const windows = pool.windows[reach];
    const accepted = pool.accepted[reach];
    const { teams } = this.#rules;
    const wanted = teams * seats;
    const ranks = [anchor];
    const sizes = [size[anchor]!];
    let teamOf: number[] | undefined = this.#hasRoles ? [0] : undefined;
    let players = size[anchor]!;
    let isMixed = players > 1;
    let regions = accepted[anchor]!;
    let [low, high] = [rating[anchor]!, rating[anchor]!];
    let floor = low - windows[anchor]!;
    let ceiling = high + windows[anchor]!;
    let redeals = REDEALS_MAX;
    const counts = this.#hasRoles ? Int32Array.from(this.#countsOf(anchor)) : this.#nobody;
    let lacksRoles = false;
    if (seats < players) return { ranks, players, lacksRoles };
    for (const rank of candidates) {
      if (players === wanted) break;
      const of = size[rank]!;
      const own = rating[rank]!;
      const window = windows[rank]!;
      if (players + of > wanted || of > seats || own < floor || own > ceiling) continue;
      if (own - low > window || high - own > window || (regions & accepted[rank]!) === 0) continue;
      if (pool.hasConflicts(rank) && ranks.some((other) => pool.conflict(rank, other))) continue;
      if (teams > 1 && (isMixed || of > 1)) {
        sizes.push(of);
        if (!this.#packing(seats).fits(sizes)) {
          sizes.pop();
          continue;
        }
        sizes.pop();
      }
      if (teamOf !== undefined && !this.#roleCounts.hold(counts, this.#countsOf(rank), teams)) {
        lacksRoles = true;
        continue;
      }
      if (teamOf !== undefined) {
        const dealt: number[] | undefined = this.#deal(ranks, teamOf, rank, seats, redeals > 0);
        if (dealt === undefined) {
          redeals--;
          lacksRoles = true;
          continue;
        }
        teamOf = dealt;
        this.#roleCounts.add(counts, this.#countsOf(rank));
      }
      ranks.push(rank);
      sizes.push(of);
      players += of;
      isMixed ||= of > 1;
      regions &= accepted[rank]!;
      low = Math.min(low, own);
      high = Math.max(high, own);
      floor = Math.max(floor, own - window);
      ceiling = Math.min(ceiling, own + window);
    }
    return { ranks, players, teams: teamOf, lacksRoles };
  }

  /** Teams with one more party such that all roles can be filled: beside the others, or all dealt anew. */
  #deal(
    ranks: readonly number[],
    teamOf: readonly number[],
    rank: number,
    seats: number,
    mayRedeal: boolean,
  ): number[] | undefined {
    for (let t = 0; t < this.#rules.teams; t++) {
      const members = [...ranks.filter((_, i) => teamOf[i] === t), rank];
      if (this.#playersOf(members) <= seats && this.#holdRoles(members)) return [...teamOf, t];
    }
    return mayRedeal ? this.#split([...ranks, rank], seats) : undefined;
  }

  /** Whether these make a team in which everybody has a seat. */
  #holdRoles(ranks: readonly number[]): boolean {
    const counts = new Int32Array(this.#roleCounts.seats.length);
    for (const rank of ranks) this.#roleCounts.add(counts, this.#countsOf(rank));
    return this.#roleCounts.hold(counts, this.#nobody, 1);
  }

  #countsOf(rank: number): Int32Array {
    let counts = this.#countsByRank[rank];
    if (counts === undefined) {
      counts = this.#roleCounts.of(this.#pool.tickets[rank]!.players);
      this.#countsByRank[rank] = counts;
    }
    return counts;
  }

  #playersOf(ranks: readonly number[]): number {
    let players = 0;
    for (const rank of ranks) players += this.#pool.size[rank]!;
    return players;
  }

  #rolesOf(ranks: readonly number[]): Map<string, string> | undefined {
    const players = ranks.flatMap((rank) => this.#pool.tickets[rank]!.players);
    return fillRoles(players, this.#seats);
  }

  #packing(seats: number): Packing {
    let packing = this.#packings.get(seats);
    if (packing === undefined) {
      packing = new Packing(this.#rules.teams, seats);
      this.#packings.set(seats, packing);
    }
    return packing;
  }

  #split(ranks: readonly number[], seats: number): number[] | undefined {
    const { teams, searchSteps, bots } = this.#rules;
    const { tickets, size } = this.#pool;
    const ofBot = bots?.mu ?? 0;
    return splitTeams({
      sizes: ranks.map((rank) => size[rank]!),
      strengths: ranks.map((rank) => tickets[rank]!.players.reduce((sum, { mu }) => sum + mu - ofBot, 0)),
      teams,
      seats,
      steps: searchSteps,
      ...(this.#hasRoles
        ? {
            accepts: (parties) => this.#holdRoles(parties.map((p) => ranks[p]!)),
          }
        : {}),
    });
  }

  /**
   * Makes a group a match.
   * @param fillTo players with bots; teams get as many as they lack
   * @returns false if its parties make no teams after all
   */
  #finish(group: Group, seats: number, fillTo: number): boolean {
    const { mode, teams: teamCount, bots } = this.#rules;
    const pool = this.#pool;
    // By age, whatever the order in which they were found: the same group gives the same match.
    const order = group.ranks.map((_, i) => i).sort((a, b) => group.ranks[a]! - group.ranks[b]!);
    const ranks = order.map((i) => group.ranks[i]!);
    const teamOf = this.#split(ranks, seats) ?? (group.teams && order.map((i) => group.teams![i]!));
    if (teamOf === undefined) return false;
    const roles: Record<string, string> = {};
    const teams: Ticket[][] = Array.from({ length: teamCount }, () => []);
    const botsOf = new Array<number>(teamCount).fill(0);
    const sides: Side[] = [];
    for (let t = 0; t < teamCount; t++) {
      const members = ranks.filter((_, i) => teamOf[i] === t);
      teams[t] = members.map((rank) => pool.tickets[rank]!);
      if (this.#hasRoles) Object.assign(roles, Object.fromEntries(this.#rolesOf(members) ?? []));
      const players = teams[t]!.flatMap((ticket) => ticket.players);
      if (fillTo > 0) botsOf[t] = Math.max(0, (teamCount === 1 ? fillTo : seats) - players.length);
      sides.push(...this.#sidesOf(players, botsOf[t]!));
    }
    let [low, high, waitMsMax, isOverdue] = [Infinity, -Infinity, 0, false];
    for (const rank of ranks) {
      low = Math.min(low, pool.rating[rank]!);
      high = Math.max(high, pool.rating[rank]!);
      waitMsMax = Math.max(waitMsMax, pool.waitedMs[rank]!);
      isOverdue ||= pool.isOverdue[rank] === 1;
      pool.take(rank);
    }
    const { region, latencyMsMax } = this.#regionOf(ranks, isOverdue);
    const quality = {
      ratingGap: high - low,
      winProbabilityError: winProbabilityError(sides),
      latencyMsMax,
      waitMsMax,
      isOverdue,
    };
    this.#matches.push({ mode, region, teams, bots: bots === null ? botsOf.fill(0) : botsOf, roles, quality });
    return true;
  }

  /** Everybody a side of its own, where a bot's chance is nobody's concern; or the team, with its bots. */
  #sidesOf(players: readonly TicketPlayer[], botCount: number): Side[] {
    const { teams, bots } = this.#rules;
    const all = players.map(({ mu, sigma }) => ({ mu, sigmaSquared: sigma * sigma }));
    if (teams === 1) return all;
    if (bots !== null) for (let i = 0; i < botCount; i++) all.push({ mu: bots.mu, sigmaSquared: bots.sigma ** 2 });
    return [
      all.reduce((sum, { mu, sigmaSquared }) => ({ mu: sum.mu + mu, sigmaSquared: sum.sigmaSquared + sigmaSquared }), {
        mu: 0,
        sigmaSquared: 0,
      }),
    ];
  }

  /** The region in common whose worst latency is least, and then the sum of all. */
  #regionOf(ranks: readonly number[], isOverdue: boolean): { region: string | null; latencyMsMax: number | null } {
    const { regions, latencyMs, accepted } = this.#pool;
    // The narrowest reach that leaves a region is the one the group was found with.
    for (const masks of isOverdue ? accepted : [accepted[REACH.OWN]]) {
      let common = ANY_REGION;
      let hasMeasured = false;
      for (const rank of ranks) {
        common &= masks[rank]!;
        hasMeasured ||= masks[rank] !== ANY_REGION;
      }
      if (!hasMeasured) return { region: null, latencyMsMax: null };
      let best = { bit: -1, max: Infinity, sum: Infinity };
      for (let bit = 0; bit < regions.length; bit++) {
        if (((common >>> bit) & 1) === 0) continue;
        let [max, sum] = [0, 0];
        for (const rank of ranks) {
          const ms = latencyMs[rank * regions.length + bit]!;
          max = Math.max(max, ms);
          sum += ms;
        }
        if (max < best.max || (max === best.max && sum < best.sum)) best = { bit, max, sum };
      }
      if (best.bit !== -1) return { region: regions[best.bit]!, latencyMsMax: best.max };
    }
    throw new Error('a match without a region in common');
  }

  #cause(anchor: number, { inWindow, inRegion, blocked, ranks }: Candidates, group: Group): WaitCause {
    const { playersMin, partialAfterSeconds } = this.#rules;
    const { rating, size, windows, waitedMs } = this.#pool;
    const needed = playersMin - size[anchor]!;
    if (inWindow < needed) {
      const window = windows[REACH.OWN][anchor]!;
      return {
        code: 'RATING_WINDOW',
        withinMin: rating[anchor]! - window,
        withinMax: rating[anchor]! + window,
        candidates: inWindow,
        playersMin,
      };
    }
    if (inRegion < needed || this.#mostInOneRegion(anchor, ranks) + blocked < needed) {
      const candidates = Math.min(inRegion, this.#mostInOneRegion(anchor, ranks) + blocked);
      return { code: 'LATENCY', withinMs: this.#withinMs(anchor), candidates, playersMin };
    }
    if (inRegion - blocked < needed) return { code: 'BLOCKED', candidates: inRegion, blocked, playersMin };
    if (group.players < playersMin) {
      return { code: group.lacksRoles ? 'ROLES_SHORT' : 'COMBINATION', candidates: inRegion - blocked };
    }
    const startsInMs = partialAfterSeconds * 1_000 - waitedMs[anchor]!;
    if (startsInMs <= 0) return { code: 'COMBINATION', candidates: inRegion - blocked };
    return { code: 'FILLING', players: group.players, playersWanted: this.#full, startsInMs };
  }

  #mostInOneRegion(anchor: number, ranks: readonly number[]): number {
    const { regions, size } = this.#pool;
    const accepted = this.#pool.accepted[REACH.OWN];
    if (regions.length === 0) return this.#playersOf(ranks);
    let most = 0;
    for (let bit = 0; bit < regions.length; bit++) {
      if (((accepted[anchor]! >>> bit) & 1) === 0) continue;
      let players = 0;
      for (const rank of ranks) if ((accepted[rank]! >>> bit) & 1) players += size[rank]!;
      most = Math.max(most, players);
    }
    return most;
  }

  /** The worst latency that the ticket accepts by now, ms. */
  #withinMs(rank: number): number {
    const { regions, latencyMs } = this.#pool;
    const { latencyWindowMs } = this.#rules;
    const grown = latencyWindowMs.start + (latencyWindowMs.growthPerSecond * this.#pool.waitedMs[rank]!) / 1_000;
    let within = Math.min(latencyWindowMs.max, grown);
    for (let bit = 0; bit < regions.length; bit++) {
      if ((this.#pool.accepted[REACH.OWN][rank]! >>> bit) & 1) {
        within = Math.max(within, latencyMs[rank * regions.length + bit]!);
      }
    }
    return within;
  }

  #reasons(causes: ReadonlyMap<number, WaitCause>): Map<string, WaitReason> {
    const pool = this.#pool;
    const { playersMin, bots, deadlineSeconds } = this.#rules;
    const promisedMs = bots === null ? null : 1_000 * (bots.peopleMin === 1 ? bots.afterSeconds : deadlineSeconds);
    const reasons = new Map<string, WaitReason>();
    for (const { ticket, cause } of pool.leftOut) {
      const waitedMs = Math.max(0, this.#nowMs - ticket.createdAtMs);
      reasons.set(ticket.ticketId, { waitedMs, placedInMs: null, ...cause });
    }
    for (const [rank, cause] of causes) {
      // Who was passed over as a first one may have gone along with a later one.
      if (pool.isTaken[rank] === 1) continue;
      const waitedMs = pool.waitedMs[rank]!;
      const placedInMs = promisedMs === null ? null : Math.max(0, promisedMs - waitedMs);
      const why: WaitCause = pool.players < playersMin ? { code: 'TOO_FEW', players: pool.players, playersMin } : cause;
      reasons.set(pool.tickets[rank]!.ticketId, Object.assign(why, { waitedMs, placedInMs }));
    }
    return reasons;
  }

  /** Tickets for the free seats of running matches: the oldest that fit, to the weaker side. */
  #backfill(backfills: readonly Backfill[]): Backfilled[] {
    const inOrder = [...backfills].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.matchId < b.matchId ? -1 : 1));
    const done: Backfilled[] = [];
    for (const running of inOrder) {
      const teams = this.#fillSeats(running);
      if (teams === undefined) continue;
      const roles: Record<string, string> = {};
      for (const [t, tickets] of teams.entries()) {
        const seats = this.#seatsLeft(running, t);
        const filled = fillRoles(
          tickets.flatMap(({ players }) => players),
          seats,
        );
        Object.assign(roles, Object.fromEntries(filled ?? []));
      }
      done.push({ matchId: running.matchId, teams, roles });
    }
    return done;
  }

  #fillSeats(running: Backfill): Ticket[][] | undefined {
    const pool = this.#pool;
    const { freeSeats, players } = running;
    const free = [...freeSeats];
    const sums = free.map(() => 0);
    for (const { team, mu } of players) if (team < sums.length) sums[team]! += mu;
    const teams: Ticket[][] = free.map(() => []);
    const taken: number[] = [];
    for (const rank of this.#acceptableFor(running)) {
      const ticket = pool.tickets[rank]!;
      const size = pool.size[rank]!;
      if (pool.hasConflicts(rank) && taken.some((other) => pool.conflict(rank, other))) continue;
      let weakest = -1;
      for (let t = 0; t < free.length; t++) {
        if (free[t]! < size || (weakest !== -1 && sums[t]! >= sums[weakest]!)) continue;
        const members = [...teams[t]!, ticket].flatMap((one) => one.players);
        if (fillRoles(members, this.#seatsLeft(running, t)) !== undefined) weakest = t;
      }
      if (weakest === -1) continue;
      teams[weakest]!.push(ticket);
      free[weakest]! -= size;
      for (const { mu } of ticket.players) sums[weakest]! += mu;
      taken.push(rank);
      pool.take(rank);
      if (free.every((seats) => seats === 0)) break;
    }
    return taken.length > 0 ? teams : undefined;
  }

  /** Who would come into a running match and whom it would take, the oldest first. */
  #acceptableFor({ region, players, createdAtMs, freeSeats }: Backfill): number[] {
    const pool = this.#pool;
    const most = Math.max(...freeSeats);
    if (most === 0) return [];
    const isEmpty = players.length === 0;
    const mean = players.reduce((sum, { mu }) => sum + mu, 0) / players.length;
    const window = ratingWindowOf(this.#rules, this.#nowMs - createdAtMs);
    const bit = region === null ? -1 : pool.regions.indexOf(region);
    const there = new Set(players.map(({ playerId }) => playerId));
    const unwanted = new Set(players.flatMap(({ blocked }) => blocked));
    const ranks: number[] = [];
    let below = isEmpty ? -1 : pool.atMost(mean);
    let above = below === -1 ? pool.lowest() : pool.higher[below]!;
    for (let looks = 0; looks < LOOKS_OVERDUE_MAX && (below !== -1 || above !== -1); looks++) {
      const down = below === -1 ? Infinity : mean - pool.rating[below]!;
      const up = above === -1 ? Infinity : isEmpty ? 0 : pool.rating[above]! - mean;
      const distance = Math.min(down, up);
      const isBelow = down < up || (down === up && below < above);
      const rank = isBelow ? below : above;
      if (isBelow) below = pool.lower[below]!;
      else above = pool.higher[above]!;
      if (distance > window) {
        // Past the deadline a ticket goes anywhere; the match has no deadline.
        if (pool.isOverdue[rank] === 0 && distance > this.#rules.ratingWindow.max) break;
        if (pool.isOverdue[rank] === 0) continue;
      }
      const ticket = pool.tickets[rank]!;
      if (!ticket.acceptsBackfill || pool.size[rank]! > most || distance > pool.windows[REACH.OWN][rank]!) continue;
      const regions = pool.accepted[REACH.OWN][rank]!;
      if (region !== null && regions !== ANY_REGION && (bit === -1 || ((regions >>> bit) & 1) === 0)) continue;
      if (ticket.blocked.some((id) => there.has(id))) continue;
      if (ticket.players.some(({ playerId }) => there.has(playerId) || unwanted.has(playerId))) continue;
      ranks.push(rank);
    }
    return ranks.sort((a, b) => a - b);
  }

  /** Slots and seats of a team that nobody of a running match has. */
  #seatsLeft({ players, freeSeats }: Backfill, team: number): TeamSeats {
    const roles = [...this.#seats.roles];
    for (const player of players) {
      const at = player.team === team && player.role !== undefined ? roles.indexOf(player.role) : -1;
      if (at !== -1) roles.splice(at, 1);
    }
    const seats = freeSeats[team]!;
    return { roles: roles.slice(0, seats), open: Math.max(0, seats - roles.length) };
  }
}
