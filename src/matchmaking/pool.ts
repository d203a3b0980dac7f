/**
 * The tickets of one cycle as columns: by age, linked in the order of ratings, with what each accepts by now. Built anew
 * for every cycle, in about the time it takes to sort.
 */
import { latencyWindowMsOf, type Rules, ratingWindowOf, ticketRating } from './rules.ts';
import { fillRoles, teamSeats } from './teams.ts';
import type { Ticket, WaitCause } from './ticket.ts';

/** Regions of a pool, one bit each; of more, those that the fewest tickets measured count as not measured. */
const REGIONS_MAX = 30;
/** What a ticket accepts that measured nothing: every region. */
export const ANY_REGION = 2 ** REGIONS_MAX - 1;

/** How far who is past no deadline goes along: as far as it would by itself, as far as it ever would, or anywhere. */
export type Reach = 0 | 1 | 2;
export const REACH = { OWN: 0, WIDEST: 1, ANY: 2 } as const satisfies Record<string, Reach>;

export class Pool {
  /** Who can be matched, the oldest first; an index of this list is a ticket's rank. */
  readonly tickets: readonly Ticket[];
  /** The rest, and why. */
  readonly leftOut: readonly { readonly ticket: Ticket; readonly cause: WaitCause }[];
  /** Ascending. */
  readonly regions: readonly string[];
  readonly waitedMs: Float64Array;
  readonly rating: Float64Array;
  readonly size: Uint8Array;
  readonly isOverdue: Uint8Array;
  /** By reach and rank: distance of ratings that is accepted, in mu. */
  readonly windows: readonly [Float64Array, Float64Array, Float64Array];
  /** By reach and rank: regions that are accepted, as bits. */
  readonly accepted: readonly [Int32Array, Int32Array, Int32Array];
  /** By rank x regions, ms; 0 where nothing was measured. */
  readonly latencyMs: Uint16Array;
  /** Of tickets that are still here: the next lower and the next higher rating, -1 at the ends. */
  readonly lower: Int32Array;
  readonly higher: Int32Array;
  readonly isTaken: Uint8Array;
  /** Players of all tickets that are still here. */
  players = 0;

  readonly #byRating: Int32Array;
  readonly #conflicts: Map<number, Set<number>>;

  constructor(tickets: readonly Ticket[], nowMs: number, rules: Rules) {
    const byAge = [...tickets].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.ticketId < b.ticketId ? -1 : 1));
    const leftOut: { ticket: Ticket; cause: WaitCause }[] = [];
    const possible = byAge.filter((ticket) => {
      const cause = standsInItsOwnWay(ticket, rules);
      if (cause !== undefined) leftOut.push({ ticket, cause });
      return cause === undefined;
    });
    const { eligible, rankOfPlayer } = withoutDuplicates(possible, leftOut);
    const n = eligible.length;
    this.tickets = eligible;
    this.leftOut = leftOut;
    this.waitedMs = new Float64Array(n);
    this.rating = new Float64Array(n);
    this.size = new Uint8Array(n);
    this.isOverdue = new Uint8Array(n);
    this.isTaken = new Uint8Array(n);
    this.windows = [new Float64Array(n), new Float64Array(n), new Float64Array(n).fill(Infinity)];
    const deadlineMs = rules.deadlineSeconds * 1_000;
    for (let rank = 0; rank < n; rank++) {
      const { players, createdAtMs } = eligible[rank]!;
      // A clock that was set back makes nobody younger than new.
      const waitedMs = Math.max(0, nowMs - createdAtMs);
      const isOverdue = waitedMs >= deadlineMs;
      this.waitedMs[rank] = waitedMs;
      this.rating[rank] = ticketRating(rules, players);
      this.size[rank] = players.length;
      this.players += players.length;
      this.isOverdue[rank] = isOverdue ? 1 : 0;
      this.windows[REACH.OWN][rank] = isOverdue ? Infinity : ratingWindowOf(rules, waitedMs);
      this.windows[REACH.WIDEST][rank] = isOverdue ? Infinity : rules.ratingWindow.max;
    }
    this.regions = regionsOf(eligible);
    this.latencyMs = new Uint16Array(n * this.regions.length);
    this.accepted = this.#acceptedRegions(rules);
    this.#byRating = this.#sortByRating();
    this.lower = new Int32Array(n).fill(-1);
    this.higher = new Int32Array(n).fill(-1);
    for (let at = 1; at < n; at++) {
      this.lower[this.#byRating[at]!] = this.#byRating[at - 1]!;
      this.higher[this.#byRating[at - 1]!] = this.#byRating[at]!;
    }
    this.#conflicts = conflictsOf(eligible, rankOfPlayer);
  }

  /** Removes a ticket: it is in a match. */
  take(rank: number): void {
    this.isTaken[rank] = 1;
    this.players -= this.size[rank]!;
    const [lower, higher] = [this.lower[rank]!, this.higher[rank]!];
    if (lower !== -1) this.higher[lower] = higher;
    if (higher !== -1) this.lower[higher] = lower;
  }

  hasConflicts(rank: number): boolean {
    return this.#conflicts.has(rank);
  }

  /** Whether somebody of one has blocked somebody of the other. */
  conflict(a: number, b: number): boolean {
    return this.#conflicts.get(a)?.has(b) ?? false;
  }

  /** The ticket still here with the highest rating that is at most this; -1 if there is none. */
  atMost(rating: number): number {
    let low = 0;
    let high = this.#byRating.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rating[this.#byRating[middle]!]! <= rating) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= 0; at--) {
      const rank = this.#byRating[at]!;
      if (this.isTaken[rank] === 0) return rank;
    }
    return -1;
  }

  /** The ticket still here with the lowest rating; -1 if there is none. */
  lowest(): number {
    return this.#byRating.find((rank) => this.isTaken[rank] === 0) ?? -1;
  }

  #acceptedRegions(rules: Rules): [Int32Array, Int32Array, Int32Array] {
    const n = this.tickets.length;
    const accepted: [Int32Array, Int32Array, Int32Array] = [new Int32Array(n), new Int32Array(n), new Int32Array(n)];
    const bitOf = new Map(this.regions.map((region, bit) => [region, bit]));
    for (let rank = 0; rank < n; rank++) {
      const { latencies } = this.tickets[rank]!;
      const own = latencyWindowMsOf(rules, this.waitedMs[rank]!);
      let nearest = Infinity;
      let measured = 0;
      const at = rank * this.regions.length;
      for (const region in latencies) {
        const bit = bitOf.get(region);
        if (bit === undefined) continue;
        const ms = latencies[region]!;
        this.latencyMs[at + bit] = ms;
        measured |= 1 << bit;
        if (ms < nearest) nearest = ms;
      }
      if (measured === 0) {
        for (const masks of accepted) masks[rank] = ANY_REGION;
        continue;
      }
      const within = (windowMs: number): number => {
        let mask = 0;
        // The nearest region is always good enough: nobody waits for being far from all of them.
        const limit = Math.max(windowMs, nearest);
        for (let bit = 0; bit < this.regions.length; bit++) {
          if ((measured >>> bit) & 1 && this.latencyMs[at + bit]! <= limit) mask |= 1 << bit;
        }
        return mask;
      };
      const isOverdue = this.isOverdue[rank] === 1;
      accepted[REACH.OWN][rank] = isOverdue ? measured : within(own);
      accepted[REACH.WIDEST][rank] = isOverdue ? measured : within(rules.latencyWindowMs.max);
      accepted[REACH.ANY][rank] = measured;
    }
    return accepted;
  }

  #sortByRating(): Int32Array {
    const { rating } = this;
    return Int32Array.from(rating.keys()).sort((a, b) => rating[a]! - rating[b]! || a - b);
  }
}

/** Why no match of these rules can ever take the ticket, if so: what a queue refuses at once. */
export function standsInItsOwnWay({ players }: Pick<Ticket, 'players'>, rules: Rules): WaitCause | undefined {
  if (players.length > rules.teamSize) return { code: 'PARTY_SIZE', size: players.length, sizeMax: rules.teamSize };
  const hasWishes = players.some(({ roles }) => roles !== undefined);
  if (hasWishes && fillRoles(players, teamSeats(rules.roles, rules.teamSize)) === undefined) return { code: 'ROLES' };
  return undefined;
}

/** Of tickets that have a player in common, the oldest. */
function withoutDuplicates(
  byAge: readonly Ticket[],
  leftOut: { ticket: Ticket; cause: WaitCause }[],
): { eligible: readonly Ticket[]; rankOfPlayer: Map<string, number> } {
  const rankOfPlayer = new Map<string, number>();
  let players = 0;
  for (let rank = 0; rank < byAge.length; rank++) {
    const party = byAge[rank]!.players;
    players += party.length;
    for (const { playerId } of party) rankOfPlayer.set(playerId, rank);
  }
  // The usual case costs no second look at every player.
  if (rankOfPlayer.size === players) return { eligible: byAge, rankOfPlayer };
  rankOfPlayer.clear();
  const eligible: Ticket[] = [];
  for (const ticket of byAge) {
    const ids = new Set(ticket.players.map(({ playerId }) => playerId));
    const other = [...ids].find((playerId) => rankOfPlayer.has(playerId));
    if (other !== undefined) {
      const { ticketId } = eligible[rankOfPlayer.get(other)!]!;
      leftOut.push({ ticket, cause: { code: 'DUPLICATE', ticketId } });
      continue;
    }
    // Somebody twice in one party is a fault of the ticket itself.
    if (ids.size < ticket.players.length) {
      leftOut.push({ ticket, cause: { code: 'DUPLICATE', ticketId: ticket.ticketId } });
      continue;
    }
    for (const playerId of ids) rankOfPlayer.set(playerId, eligible.length);
    eligible.push(ticket);
  }
  return { eligible, rankOfPlayer };
}

function regionsOf(tickets: readonly Ticket[]): string[] {
  const counts = new Map<string, number>();
  for (const { latencies } of tickets) {
    for (const region in latencies) counts.set(region, (counts.get(region) ?? 0) + 1);
  }
  const byUse = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return byUse
    .slice(0, REGIONS_MAX)
    .map(([region]) => region)
    .sort();
}

/** Who must not meet whom; both ways. */
function conflictsOf(tickets: readonly Ticket[], rankOfPlayer: ReadonlyMap<string, number>): Map<number, Set<number>> {
  const conflicts = new Map<number, Set<number>>();
  const add = (a: number, b: number): void => {
    const known = conflicts.get(a);
    if (known === undefined) conflicts.set(a, new Set([b]));
    else known.add(b);
  };
  for (const [rank, { blocked }] of tickets.entries()) {
    for (const playerId of blocked) {
      const other = rankOfPlayer.get(playerId);
      if (other === undefined || other === rank) continue;
      add(rank, other);
      add(other, rank);
    }
  }
  return conflicts;
}
