/**
 * The tickets of one cycle as columns, with what each accepts by now, in the order of ratings: who is near in rating is
 * near in memory. An index of these columns is a ticket's place.
 */
import { latencyWindowMsOf, ratingWindowOf } from './rules.ts';
import type { Ticket } from './ticket.ts';
import { ANY_REGION, type LeftOut, type TicketTable } from './ticket-table.ts';

/** How far who is past no deadline goes along: as far as it would by itself, as far as it ever would, or anywhere. */
export type Reach = 0 | 1 | 2;
export const REACH = { OWN: 0, WIDEST: 1, ANY: 2 } as const satisfies Record<string, Reach>;

export class Pool {
  readonly table: TicketTable;
  /** Who can be matched. */
  readonly count: number;
  /** The rest, and why; the oldest first. */
  readonly leftOut: readonly LeftOut[];
  /** Places, the oldest first. */
  readonly byAge: Int32Array;
  /** Ascending. */
  readonly regions: readonly string[];

  // By place.
  readonly tickets: readonly Ticket[];
  readonly slot: Int32Array;
  /** Index in {@link byAge}: smaller is older. */
  readonly rank: Int32Array;
  readonly waitedMs: Float64Array;
  readonly rating: Float64Array;
  readonly size: Uint8Array;
  readonly isOverdue: Uint8Array;
  /** By reach and place: distance of ratings that is accepted, in mu. */
  readonly windows: readonly [Float64Array, Float64Array, Float64Array];
  /** By reach and place: regions that are accepted, as bits. */
  readonly accepted: readonly [Int32Array, Int32Array, Int32Array];
  /** By place x regions, ms; 0 where nothing was measured. */
  readonly latencyMs: Uint16Array;
  /** Of tickets that are still here: the next lower and the next higher rating, -1 at the ends. */
  readonly lower: Int32Array;
  readonly higher: Int32Array;
  readonly isTaken: Uint8Array;
  /** By role and place: the nearest at or below, and at or above, who offers it, as of when they were last asked. */
  readonly #offeringBelow: readonly Int32Array[];
  readonly #offeringAbove: readonly Int32Array[];
  /** Players of all tickets that are still here. */
  players = 0;

  constructor(table: TicketTable, nowMs: number) {
    const n = table.byRating.length;
    this.table = table;
    this.count = n;
    this.regions = table.regions;
    this.slot = table.byRating;
    this.tickets = Array.from({ length: n }, (_, place) => table.tickets[table.byRating[place]!]!);
    this.byAge = new Int32Array(n);
    this.rank = new Int32Array(n);
    this.waitedMs = new Float64Array(n);
    this.rating = new Float64Array(n);
    this.size = new Uint8Array(n);
    this.isOverdue = new Uint8Array(n);
    this.isTaken = new Uint8Array(n);
    this.lower = new Int32Array(n);
    this.higher = new Int32Array(n);
    this.windows = [new Float64Array(n), new Float64Array(n), new Float64Array(n).fill(Infinity)];
    this.accepted = [new Int32Array(n), new Int32Array(n), new Int32Array(n)];
    this.latencyMs = new Uint16Array(n * this.regions.length);
    for (let place = 0; place < n; place++) this.#settle(place, nowMs);
    const { slots } = table.roleCounts;
    this.#offeringBelow = slots.map((_, role) => this.#nearestOffering(role, 0, 1));
    this.#offeringAbove = slots.map((_, role) => this.#nearestOffering(role, n - 1, -1));
    const leftOut: LeftOut[] = [];
    if (n < table.byAge.length) {
      for (const slot of table.byAge) {
        const cause = table.causes[slot];
        if (cause !== undefined) leftOut.push({ ticket: table.tickets[slot]!, cause });
      }
    }
    this.leftOut = leftOut;
  }

  #settle(place: number, nowMs: number): void {
    const { table, count } = this;
    const { rules } = table;
    const slot = this.slot[place]!;
    // A clock that was set back makes nobody younger than new.
    const waitedMs = Math.max(0, nowMs - table.createdAtMs[slot]!);
    const isOverdue = waitedMs >= rules.deadlineSeconds * 1_000;
    const rank = table.rank[slot]!;
    this.rank[place] = rank;
    this.byAge[rank] = place;
    this.waitedMs[place] = waitedMs;
    this.rating[place] = table.rating[slot]!;
    this.size[place] = table.size[slot]!;
    this.players += table.size[slot]!;
    this.isOverdue[place] = isOverdue ? 1 : 0;
    this.windows[REACH.OWN][place] = isOverdue ? Infinity : ratingWindowOf(rules, waitedMs);
    this.windows[REACH.WIDEST][place] = isOverdue ? Infinity : rules.ratingWindow.max;
    this.lower[place] = place - 1;
    this.higher[place] = place + 1 === count ? -1 : place + 1;
    this.#settleRegions(place, slot, waitedMs, isOverdue);
  }

  #settleRegions(place: number, slot: number, waitedMs: number, isOverdue: boolean): void {
    const { table, accepted, latencyMs } = this;
    const [own, widest, any] = accepted;
    const regions = this.regions.length;
    const measured = table.measured[slot]!;
    if (measured === 0) {
      own[place] = widest[place] = any[place] = ANY_REGION;
      return;
    }
    // The nearest region is always good enough: nobody waits for being far from all of them.
    const nearestMs = table.nearestMs[slot]!;
    const ownMs = Math.max(latencyWindowMsOf(table.rules, waitedMs), nearestMs);
    const widestMs = Math.max(table.rules.latencyWindowMs.max, nearestMs);
    let [ownMask, widestMask] = [0, 0];
    for (let bit = 0; bit < regions; bit++) {
      const ms = table.latencyMs[slot * regions + bit]!;
      latencyMs[place * regions + bit] = ms;
      if (ms <= ownMs) ownMask |= 1 << bit;
      if (ms <= widestMs) widestMask |= 1 << bit;
    }
    own[place] = isOverdue ? measured : ownMask & measured;
    widest[place] = isOverdue ? measured : widestMask & measured;
    any[place] = measured;
  }

  /** Players of a ticket who offer a role. */
  offering(place: number, role: number): number {
    const { roleCounts, wishes } = this.table;
    return roleCounts.offering(role, this.size[place]!, wishes, this.slot[place]! * roleCounts.sets);
  }

  #nearestOffering(role: number, first: number, step: 1 | -1): Int32Array {
    const nearest = new Int32Array(this.count);
    let last = -1;
    for (let place = first; place >= 0 && place < this.count; place += step) {
      if (this.offering(place, role) > 0) last = place;
      nearest[place] = last;
    }
    return nearest;
  }

  /** The ticket still here that offers a role, at this place or the nearest below; -1 if there is none, or no place. */
  offeringBelow(role: number, place: number): number {
    return this.#hereFrom(this.#offeringBelow[role]!, place, -1);
  }

  /** As {@link offeringBelow}, above. */
  offeringAbove(role: number, place: number): number {
    return this.#hereFrom(this.#offeringAbove[role]!, place, 1);
  }

  #hereFrom(nearest: Int32Array, place: number, step: 1 | -1): number {
    let found = place;
    while (found >= 0 && found < this.count) {
      const next = nearest[found]!;
      if (next === -1 || this.isTaken[next] === 0) {
        found = next;
        break;
      }
      found = next + step;
    }
    if (found === this.count) found = -1;
    // Who is gone does not come back: all who were passed lead there at once from now on.
    for (let at = place; at >= 0 && at < this.count && nearest[at] !== found; ) {
      const next = nearest[at]!;
      nearest[at] = found;
      at = next + step;
    }
    return found;
  }

  /** Removes a ticket: it is in a match. */
  take(place: number): void {
    this.isTaken[place] = 1;
    this.players -= this.size[place]!;
    const [lower, higher] = [this.lower[place]!, this.higher[place]!];
    if (lower !== -1) this.higher[lower] = higher;
    if (higher !== -1) this.lower[higher] = lower;
  }

  hasConflicts(place: number): boolean {
    return this.table.blocks.counts[this.slot[place]!]! > 0;
  }

  /** Whether somebody of one has blocked somebody of the other. */
  conflict(a: number, b: number): boolean {
    return this.table.blocks.has(this.slot[a]!, this.slot[b]!);
  }

  /** The ticket still here with the highest rating that is at most this; -1 if there is none. */
  atMost(rating: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rating[middle]! <= rating) low = middle + 1;
      else high = middle;
    }
    for (let place = low - 1; place >= 0; place--) if (this.isTaken[place] === 0) return place;
    return -1;
  }

  /** The ticket still here with the lowest rating; -1 if there is none. */
  lowest(): number {
    return this.isTaken.indexOf(0);
  }
}
